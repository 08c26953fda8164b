"""What kernels ask of a machine, and the time that takes: the one formula that all families share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Literal, Protocol

import numpy as np

from ircost.cost_models.gpu.labels import OF_HOST, WIDTHS

Constants = Mapping[str, np.ndarray | float]  # by parameter's name; a number, or [rows]
Column = np.ndarray  # float64, a row for each kernel
Amount = np.ndarray | float  # [rows], or one number for all

SHARPNESS = "sharpness"
RESIDENT = "resident"
HOST, ISSUE, RECORD = "host", "issue", "record"
# The host runs ahead of the device or does not: little shows of the shorter of the two.
HOST_SHARPNESS = 6.0
# Least-recently-used replacement loses all of what is a little too large: the step from hot to cold is steep.
STEEPNESS = 8.0
NEVER = 1e6  # launches of what there is no kernel for, or that may not be taken


ALL_EFFECTS = frozenset(WIDTHS)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A constant that no data sheet gives.

    Args:
        kind: ``share`` of a data-sheet rate, 0 to 1; ``time`` in seconds; ``factor``, a positive number; ``exponent``,
            one at least.
        default: before any fit.
        meaning: for people.
        effects: what may move it; see ``labels``.
        freedom: how far a fit may take it from its default, as a share of how far it may take others.
    """

    kind: Literal["share", "time", "factor", "exponent"]
    default: float
    meaning: str
    effects: frozenset[str] = ALL_EFFECTS
    freedom: float = 1.0


# Steps of a main loop that one processor starts behind one another, for lack of anything else to do meanwhile.
CHAIN = "chain"
STEPS = Parameter("factor", 1e7, "steps of a main loop that one processor takes in a second, one after the other")

COMMON = {
    HOST: Parameter(
        "time", 2e-6, "from one launch to the next on the host, where it runs ahead of the device", OF_HOST
    ),
    ISSUE: Parameter("time", 1e-5, "from a kernel's call to its launch, where the device waits for the host", OF_HOST),
    RECORD: Parameter("time", 1e-5, "from its launch until its end is put on record, beside the device", OF_HOST),
    SHARPNESS: Parameter("exponent", 3.0, "how well resources overlap: exponent of the norm of their times"),
    # Hardware, not software: a fit to machines whose memory is nearly as fast as their L2 takes it for anything.
    RESIDENT: Parameter("factor", 0.9, "share of the cache that keeps what is used again", frozenset(), freedom=0.01),
}


@dataclass(frozen=True, slots=True)
class Demand:
    """What each candidate (a tile, a split) of each kernel asks for; every column is [rows, candidates] or broadcasts.

    Args:
        busy: seconds at data-sheet speed, by resource; resources work side by side, each at its fitted share. Of
            ``chain`` it is how many steps follow one another, at so many fitted steps a second.
        fixed: how often each fitted time is paid, by its name: launches, waves, steps.
        reused: what a cache may save of ``busy["main"]``, and how much is touched between two uses of it, as a share of
            that cache: operands that a benchmark's last run, or the kernel before, has left there.
        choices: the candidates, in words.
        repeats: resource -> the fitted factor by which its seconds grow, where there is one.
        issues: kernels that the host launches for it: 0 for a later phase of one that runs already, and on a CPU.
        least: resource -> seconds that it takes at least, whatever its share: operations at the rate that the board's
            power sustains.
        active: share of the processors that work, for what they draw; no time depends on it.
    """

    busy: Mapping[str, Column]
    fixed: Mapping[str, Column]
    reused: tuple[tuple[Column, Column], ...] = ()
    choices: tuple[str, ...] = ("",)
    repeats: Mapping[str, str] = field(default_factory=dict)
    issues: Column = field(default_factory=lambda: np.ones((1, 1)))
    least: Mapping[str, Column] = field(default_factory=dict)
    active: Column = field(default_factory=lambda: np.ones((1, 1)))

    @property
    def rows(self) -> int:
        return len(next(iter(self.busy.values())))

    def issued(self, is_waited_for: bool) -> Demand:
        """The same where the device waits for the host before each kernel, or does not."""
        return replace(self, fixed={**self.fixed, ISSUE: np.full((self.rows, 1), float(is_waited_for))})

    def narrowed(self) -> Demand:
        """The same in half of the memory: for fits, which hold the candidates of many rows."""

        def of(column: Column) -> Column:
            return np.asarray(column, dtype=np.float32)

        return self._each(of)

    def fastest(self, constants: Constants) -> tuple[Column, Demand]:
        """The candidate of each row by its whole time, the first of those that are alike; and what it asks for."""
        best = fastest_candidate(self, constants)
        return best, self.chosen(best)

    def at(self, rows: Column) -> Demand:
        """Some rows, of columns that are [rows]."""
        return self._each(lambda column: column[rows])

    def with_rows(self, rows: Column, other: Demand) -> Demand:
        """Another's rows in the place of these, of columns that are [rows]."""

        def of(column: Column, others: Column) -> Column:
            found = np.array(column)
            found[rows] = others
            return found

        return replace(
            self,
            busy={name: of(column, other.busy[name]) for name, column in self.busy.items()},
            fixed={name: of(column, other.fixed[name]) for name, column in self.fixed.items()},
            reused=tuple((of(a, b), of(c, d)) for (a, c), (b, d) in zip(self.reused, other.reused, strict=True)),
            issues=of(self.issues, other.issues),
            least={name: of(column, other.least[name]) for name, column in self.least.items()},
            active=of(self.active, other.active),
        )

    def chosen(self, best: Column) -> Demand:
        """One candidate of each row; all columns become [rows]."""
        rows = np.arange(len(best))

        def of(column: Column) -> Column:
            column = np.asarray(column, dtype=float)
            if column.ndim == 2 and column.shape[1] == 1:  # the same for all candidates
                return np.broadcast_to(column[:, 0], (len(best),))
            picked: Column = np.broadcast_to(column, (len(best), len(self.choices)))[rows, best]
            return picked

        return self._each(of)

    def _each(self, of: Callable[[Column], Column]) -> Demand:
        """The same with each column of times and footprints changed."""
        return Demand(
            {name: of(column) for name, column in self.busy.items()},
            {name: of(column) for name, column in self.fixed.items()},
            tuple((of(seconds), of(footprint)) for seconds, footprint in self.reused),
            self.choices,
            self.repeats,
            of(self.issues),
            least={name: of(column) for name, column in self.least.items()},
            active=of(self.active),
        )


class Asked(Protocol):
    """What kernels ask for, of which the fastest candidate can be told."""

    @property
    def choices(self) -> tuple[str, ...]:
        """The candidates, in words."""

    def fastest(self, constants: Constants) -> tuple[Column, Demand]:
        """The candidate of each row by its whole time, and what it asks for: [rows]."""

    def issued(self, is_waited_for: bool) -> Asked:
        """The same where the device waits for the host before each kernel, or does not."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Times of kernels, taken apart; every column is [rows].

    Args:
        latency_s: overlapped + fixed, or what the host takes to launch the next, whichever is longer.
        device_s: without the host.
        busy: seconds of resources that work side by side; ``hidden`` behind the slowest of them, but for what shows.
        fixed: seconds that nothing hides.
        choice: which of ``choices`` the model took.
        demand: of the chosen candidates.
    """

    latency_s: Column
    busy: Mapping[str, Column]
    fixed: Mapping[str, Column]
    choice: Column
    choices: tuple[str, ...]
    demand: Demand = field(repr=False)
    device_s: Column


def times(demand: Asked, constants: Constants) -> Terms:
    """Time of each kernel under its best candidate.

    The slowest resource sets the pace; how much others show beside it is ``sharpness``.
    """
    best, own = demand.fastest(constants)
    busy, fixed = busy_s(own, constants), fixed_s(own, constants)
    whole_s = overlapped(list(busy.values()), constants[SHARPNESS]) + sum(fixed.values())
    issue_s = fixed.get(ISSUE, 0.0)
    host_s = np.broadcast_to(host_beside_s(own, constants), whole_s.shape)
    latency_s = issue_s + overlapped([whole_s - issue_s, host_s], HOST_SHARPNESS)
    return Terms(latency_s, busy, fixed, best, demand.choices, own, whole_s)


def host_beside_s(demand: Demand, constants: Constants) -> Column:
    """Seconds of the host while the device works: to launch the next kernel, or to record the end of one waited for.

    Events around an eager call show it: the first is passed at once, the kernel starts when it is launched, and the
    second counts when both the kernel and the host have come to it.
    """
    host_s: Column = constants[HOST] * demand.issues
    return host_s + constants[RECORD] * demand.fixed[ISSUE] if ISSUE in demand.fixed else host_s


def device_s(demand: Demand, constants: Constants) -> Column:
    """Seconds of the device, of one candidate a row."""
    found: Column = overlapped(list(busy_s(demand, constants).values()), constants[SHARPNESS])
    return found + sum(fixed_s(demand, constants).values())


def fixed_s(demand: Demand, constants: Constants) -> dict[str, Column]:
    """Seconds that nothing hides, by their name."""
    return {name: count * constants[name] for name, count in demand.fixed.items()}


def best_candidate(demand: Demand, constants: Constants) -> Column:
    """The candidate of each row by the largest of its resources, and what is fixed."""
    if len(demand.choices) == 1:
        return np.zeros(demand.rows, dtype=int)
    best: Column = _least_s(demand, *_candidates_s(demand, constants)).argmin(axis=1)
    return best


def fastest_candidate(demand: Demand, constants: Constants) -> Column:
    """The candidate of each row by its whole time, so that a better machine cannot lead to a slower choice.

    The largest of the resources is a lower bound of their overlapped time: only candidates whose bound is below the
    time of the best by bounds need a second look.
    """
    if len(demand.choices) == 1:
        return np.zeros(demand.rows, dtype=int)
    busy, fixed = _candidates_s(demand, constants)
    least = _least_s(demand, busy, fixed)
    rows = np.arange(demand.rows)

    def whole_s(at: Column, candidates: Column) -> Column:
        of_rows = [np.broadcast_to(column, least.shape)[at, candidates] for column in busy]
        sharpness = constants[SHARPNESS]
        overlap = overlapped(of_rows, sharpness[at] if np.ndim(sharpness) else sharpness)  # type: ignore[index]
        total: Column = overlap + np.broadcast_to(fixed, least.shape)[at, candidates]
        return total

    upper = whole_s(rows, least.argmin(axis=1))
    near, candidates = np.nonzero(least <= upper[:, None])
    exact = np.full(least.shape, np.inf)
    exact[near, candidates] = whole_s(near, candidates)
    best: Column = exact.argmin(axis=1)
    return best


def _candidates_s(demand: Demand, constants: Constants) -> tuple[list[Column], Column]:
    """Seconds of each resource, and fixed ones together, of all candidates."""
    beside = {name: np.asarray(value)[..., None] if np.ndim(value) else value for name, value in constants.items()}
    fixed: Column = sum((count * beside[name] for name, count in demand.fixed.items()), start=np.zeros((1, 1)))
    return list(busy_s(demand, beside).values()), fixed


def _least_s(demand: Demand, busy: list[Column], fixed: Column) -> Column:
    total = reduce(np.maximum, busy) + fixed
    return np.broadcast_to(total, (demand.rows, len(demand.choices)))


def busy_s(demand: Demand, constants: Constants) -> dict[str, Column]:
    """Seconds of each resource at its fitted share of the data-sheet speed."""
    found = {name: seconds / constants[name] for name, seconds in demand.busy.items()}
    if "main" in found:
        main_s = demand.busy["main"]
        for seconds, footprint in demand.reused:
            main_s = main_s - seconds * (1.0 - cold_share(footprint, constants[RESIDENT]))
        found["main"] = np.maximum(main_s, 0.0) / constants["main"]
    for name, factor in demand.repeats.items():
        found[name] = found[name] * constants[factor]
    for name, seconds in demand.least.items():
        found[name] = np.maximum(found[name], seconds)
    return found


def cold_share(footprint: Column, resident: np.ndarray | float) -> Column:
    """Share of what a kernel touches that main memory must bring, though it ran just before: 1 far beyond the cache."""
    with np.errstate(over="ignore"):
        share: Column = 1.0 / (1.0 + (resident / np.maximum(footprint, 1e-9)) ** STEEPNESS)
    return share


def overlapped(columns: list[Column], sharpness: np.ndarray | float) -> Column:
    """Time of resources that work side by side: the largest, and a little more where others come near to it.

    (sum of t^p)^(1/p): p = 1 is one after the other, p without end the largest alone.
    """
    top = reduce(np.maximum, columns)
    if not np.any(top):
        return np.zeros_like(top)
    safe = np.where(top > 0, top, 1.0)
    total = sum((column / safe) ** sharpness for column in columns if np.any(column))
    result: Column = top * total ** (1.0 / sharpness)
    return result


def beside(*columns: Amount) -> list[Column]:
    """Columns [rows] as [rows, 1], beside candidates; one number for all rows stays as it is."""
    return [np.asarray(column, dtype=float)[..., None] if np.ndim(column) else np.asarray(column) for column in columns]


def either(first: Demand, second: Demand) -> Demand:
    """The candidates of both; they ask for the same resources and times."""

    def joined(a: Column, b: Column) -> Column:
        wide = [np.broadcast_to(c, (first.rows, len(d.choices))) for c, d in ((a, first), (b, second))]
        return np.concatenate(wide, axis=1)

    def all_of(a: Mapping[str, Column], b: Mapping[str, Column]) -> dict[str, Column]:
        return {name: joined(a[name], b[name]) for name in a}

    count = max(len(first.reused), len(second.reused))
    none = (np.zeros((first.rows, 1)), np.ones((first.rows, 1)))
    pairs = zip(*((*d.reused, *(none,) * (count - len(d.reused))) for d in (first, second)), strict=True)
    return Demand(
        all_of(first.busy, second.busy),
        all_of(first.fixed, second.fixed),
        tuple((joined(a[0], b[0]), joined(a[1], b[1])) for a, b in pairs),
        (*first.choices, *second.choices),
        first.repeats,
        issues=first.issues,
        least=all_of(first.least, second.least),
        active=joined(first.active, second.active),
    )
