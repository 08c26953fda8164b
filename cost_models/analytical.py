"""The analytical model: each kernel tile by tile, on constants fitted to measured kernels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ircost.backends import Target, TargetError
from ircost.backends.runtime import RUNTIMES
from ircost.cost_models.collectives import CollectiveTimes, collective_times
from ircost.cost_models.energy import kernel_energy_j
from ircost.cost_models.engines import BOUNDING_ENGINES, ENGINES
from ircost.cost_models.gpu.activity import Activity, activity_of
from ircost.cost_models.gpu.constants import ConstantsFile, bundled_constants
from ircost.cost_models.gpu.demand import HOST, ISSUE, Terms, host_beside_s, times
from ircost.cost_models.gpu.families import WAITED_FOR
from ircost.cost_models.gpu.kernel_work import Rates, demand_of, labels_of_group, rates_of, work_of
from ircost.cost_models.gpu.labels import GRAPH_REPLAY
from ircost.cost_models.gpu.machine import GpuMachine, machine_of
from ircost.cost_models.gpu.power_limit import product_flops_per_s
from ircost.cost_models.interface import COST_MODELS, CostModel, Estimates
from ircost.cost_models.kernel_table import KernelTable
from ircost.cost_models.main_memory import main_memory_floor_s
from ircost.cost_models.part_groups import FIELDS, PartGroup
from ircost.cost_models.roofline import shortest_arithmetic_s
from ircost.cost_models.unmeasured import at_kernel, unmeasured_notes

CHUNK = 1000  # parts at a time: what a few dozen columns of candidates take stays in the CPU's cache
MAIN = "main"  # main memory, which each target calls by a name of its own
# What a fitted time is paid for; the rest of them is the latency of steps that wait for each other.
PAID_FOR = {
    **dict.fromkeys(("launch", "host", "issue"), "launch"),
    **dict.fromkeys(("convert", "transforms", "layout", "rows", "others"), MAIN),
    "winograd": "matrix",
}
# Columns of busy resources that are another's: loads in flight are main memory's latency.
WORKS_FOR = {"flight": MAIN, "chain": "steps"}
BUSY = ("matrix", "vector", "shared", "l2", MAIN, "launch", "steps")

Labels = Mapping[str, Mapping[str, str]]  # family -> what its kernels have in common: effect -> level


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Some parts of one group, and the times they take.

    Args:
        rows: [parts] of the table of kernels.
        launches: [parts] of each part in one run of its kernel.
        terms: of one launch.
        constants: the fitted ones. labels: which they are.
        work: what the family's model was asked about.
    """

    group: PartGroup
    rows: np.ndarray
    launches: np.ndarray
    terms: Terms
    constants: Mapping[str, float]
    labels: Mapping[str, str]
    rates: Rates
    work: Any


class Analytical(CostModel):
    """Time of the tile and split that a library's heuristic would take, on a machine's data sheet and fitted shares.

    Every kernel is read off its iteration space as work of a family: products, convolutions, attention, experts,
    streams. Weights come from main memory; what the kernel before has written may still be in the last cache. No
    estimate is below the physical limit: arithmetic at peak, or what caches cannot hold over main memory's bandwidth.

    Args:
        constants: the fits; those that come with the package where left out.
        name: what reports say.
    """

    name = "analytical"

    def __init__(self, constants: ConstantsFile | None = None, name: str = "analytical") -> None:
        self.name = name
        self._constants = constants

    @property
    def constants(self) -> ConstantsFile:
        return self._constants or bundled_constants()

    @property
    def runtimes(self) -> frozenset[str]:
        return self.constants.runtimes

    def estimate(self, kernels: KernelTable, target: Target) -> Estimates:
        return self.estimate_of(self.evaluated(kernels, target), kernels, target)

    def collectives(
        self, kind: str, sizes_bytes: Sequence[float], ranks: int, target: Target, node: int | None = None
    ) -> CollectiveTimes:
        return collective_times(kind, sizes_bytes, ranks, target, self.constants, node)

    def estimate_of(self, parts: Iterable[Evaluated], kernels: KernelTable, target: Target) -> Estimates:
        """Estimates of kernels whose parts are evaluated already."""
        names = (*BUSY[:-3], target.main_memory.name, *BUSY[-2:])
        count = len(kernels)
        latency_s, terms_s = np.zeros(count), np.zeros((count, len(names)))
        choice = np.full(count, "", dtype=object)
        machine, busy = machine_of(target), _Busy.of(count)
        launched = _Launched.of(count) if self.launches_one_by_one(target) else None
        for part in parts:
            np.add.at(latency_s, part.rows, part.terms.latency_s * part.launches)
            for resource, seconds in resources_s(part).items():
                np.add.at(terms_s[:, BUSY.index(resource)], part.rows, seconds * part.launches)
            busy.add(part, machine)
            if launched is not None:
                launched.add(part)
            if not machine.cuts_to_size:  # what is cut to size is no kernel that a library has a name for
                choice[part.rows] = np.array(part.terms.choices, dtype=object)[part.terms.choice]
        limit_s = physical_limits_s(kernels, target)
        terms_s = at_the_limit(terms_s, limit_s, latency_s)
        latency_s = np.maximum(latency_s, limit_s.max(axis=1))
        return Estimates(
            latency_s=latency_s,
            energy_j=kernel_energy_j(kernels, target, latency_s, busy.activity()),
            lower_bound_s=limit_s.max(axis=1),
            bound=terms_s.argmax(axis=1),
            bound_names=names,
            terms_s=terms_s,
            model=self.name,
            choice=tuple(map(str, choice)),
            notes=self._notes(kernels, target),
            host_s=None if launched is None else launched.host_s,
            device_s=None if launched is None else launched.device_s,
        )

    def evaluated(self, kernels: KernelTable, target: Target) -> Iterator[Evaluated]:
        """All parts of all kernels with their times, some at a time: figures and their explanation are made of these.

        Raises:
            TargetError: the target cannot compute in a format that a kernel needs.
        """
        machine = machine_of(target)
        for group in kernels.parts:
            labels = labels_of_group(group, machine, self.constants)
            constants = self.constants_of(group, labels, target)
            rates = self._rates_of(group, kernels, target)
            for at in _chunks(group):
                work = work_of(group, at, machine, rates)
                terms = times(demand_of(group.family, work, machine), constants)
                yield Evaluated(group, group.rows[at], group.times[at], terms, constants, labels, rates, work)

    def _rates_of(self, group: PartGroup, kernels: KernelTable, target: Target) -> Rates:
        """Raises:
        TargetError: the target cannot compute in the group's format; names the first kernel that asks for it.
        """
        try:
            return rates_of(target, machine_of(target), group.dtype, group.scales)
        except TargetError as error:
            raise at_kernel(error, kernels.ops[int(group.rows[0])]) from error

    def launches_one_by_one(self, target: Target) -> bool:
        """Whether a host launches each kernel while the device runs those before."""
        runtime = RUNTIMES.get(target.runtime)
        return target.kind == "gpu" and runtime is not None and runtime.launch == "eager"

    def constants_of(self, group: PartGroup, labels: Mapping[str, str], target: Target) -> Mapping[str, float]:
        """The fitted constants of a group's kernels, as the target's runtime launches them."""
        return launched_by(target, self.constants.of(group.family, labels))

    def _notes(self, kernels: KernelTable, target: Target) -> tuple[str, ...]:
        machine = machine_of(target)
        labels = {group.family: labels_of_group(group, machine, self.constants) for group in kernels.parts}
        return (
            *self._unmeasured_device(labels, target),
            *self._other_name(labels, machine),
            *self._assumed_launches(labels, target),
            *self._stand_ins(labels, machine),
            *_unknown_products(kernels),
            *unmeasured_notes(kernels),
            *_wide_sums(kernels, target),
        )

    def _unmeasured_device(self, labels: Labels, target: Target) -> Iterator[str]:
        unmet = [name for name, own in labels.items() if not self.constants.has_met(name, "device", own["device"])]
        if target.kind != "gpu" and unmet:
            has_met = all(self.constants.has_met(name, "machine", target.kind) for name in unmet)
            others = f"other {target.kind.upper()}s stand" if has_met else "GPUs stand"
            yield f"no {', '.join(unmet)} kernel of {target.name} was measured: those of {others} in"

    def _other_name(self, labels: Labels, machine: GpuMachine) -> Iterator[str]:
        """By which target's name the constants of the machine's chip are known, where that is not its own."""
        name, chip = machine.name.partition("+")[0], machine.chip
        if name != chip and any(self.constants.has_met(family, "device", chip) for family in labels):
            yield f"{name} has the chip of {chip}: what was fitted to that holds, as shares of {name}'s own figures"

    def _assumed_launches(self, labels: Labels, target: Target) -> Iterator[str]:
        """Whose kernels they are taken to be, and what a host adds that launches them one by one."""
        runtime = machine_of(target).runtime
        if runtime and runtime not in RUNTIMES:
            yield (
                f"{runtime} is known by its measured kernels alone: they are taken to be replayed as graphs, with "
                "nothing of the host between them, and fused as on other runtimes (--opt, --passes)"
            )
        if target.kind == "cpu" and not runtime and labels:
            yield "no runtime is named: kernels as of ONNX Runtime"
        if runtime in WAITED_FOR and target.kind == "gpu" and labels:
            host_s = [self.constants.of(family, own)[ISSUE] for family, own in labels.items()]
            yield (
                f"PyTorch launches op by op: {1e6 * min(host_s):.0f} to {1e6 * max(host_s):.0f} us of the host each, "
                "as measured of single calls, which do not show where it runs ahead; more Python between them takes "
                "longer, beyond the interval"
            )

    def _stand_ins(self, labels: Labels, machine: GpuMachine) -> Iterator[str]:
        """Constants of other families, architectures or runtimes that are used, since none of these were fitted."""
        homes = {family: self.constants.home(family, own, "launch") for family, own in labels.items()}
        for family, home in homes.items():
            if family != home:
                whose = "its" if self.constants.has_met(home, "architecture", machine.architecture) else "other"
                measured = f"no {family} kernel of {machine.architecture} was measured"
                yield f"{measured}: {whose} {home} kernels stand in"
        for effect, level in {"architecture": machine.architecture, "runtime": machine.runtime}.items():
            families = [family for family, own in labels.items() if effect in self.constants.unseen(homes[family], own)]
            if effect == "runtime":
                families = [family for family in families if not self.constants.has_met_runtime(family, level)]
            if level and families:
                met = ", ".join(dict.fromkeys(families))
                yield f"{effect} {level} is in no fit of {met} kernels: the mean of the others stands in"
        replaced = [family for family, own in labels.items() if own["runtime"] == GRAPH_REPLAY and machine.runtime]
        if replaced:
            measured = f"no {', '.join(dict.fromkeys(replaced))} kernel of {machine.runtime} was measured"
            yield f"{measured}: the mean of runtimes that replay graphs stands in"


def _unknown_products(kernels: KernelTable) -> list[str]:
    has_some = any(group.family == "vector" and _column(group, "contraction_flops").any() for group in kernels.parts)
    return ["products of no known family count as streams that compute at peak"] * has_some


def _wide_sums(kernels: KernelTable, target: Target) -> list[str]:
    """Products that run below the data sheet's rate for their format, since their sums are kept in f32."""
    products = [group.dtype.name for group in kernels.parts if group.family not in ("vector", "collective")]
    return [
        f"{name} products add up in f32, at its rate: the lanes of {target.name} multiply and add in one format "
        "(+tensorrt: in 16 bits)"
        for name in dict.fromkeys(products)
        if product_flops_per_s(target, name) < target.peak_flops_per_s(name) * target.processors.boost
    ]


@dataclass(slots=True)
class _Busy:
    """What the parts of each kernel keep busy, summed up."""

    latency_s: np.ndarray
    active_s: np.ndarray
    port_bytes: np.ndarray
    main_bytes: np.ndarray

    @staticmethod
    def of(count: int) -> _Busy:
        return _Busy(*(np.zeros(count) for _ in range(4)))

    def add(self, part: Evaluated, machine: GpuMachine) -> None:
        own = activity_of(part.terms, part.constants, machine)
        np.add.at(self.latency_s, part.rows, part.terms.latency_s * part.launches)
        np.add.at(self.active_s, part.rows, own.active_share * part.terms.latency_s * part.launches)
        np.add.at(self.port_bytes, part.rows, own.port_bytes * part.launches)
        np.add.at(self.main_bytes, part.rows, own.main_bytes * part.launches)

    def activity(self) -> Activity:
        share = self.active_s / np.where(self.latency_s > 0, self.latency_s, 1.0)
        return Activity(share, self.port_bytes, self.main_bytes)


@dataclass(slots=True)
class _Launched:
    """What the host takes to launch each kernel, and the device to run it."""

    host_s: np.ndarray
    device_s: np.ndarray

    @staticmethod
    def of(count: int) -> _Launched:
        return _Launched(np.zeros(count), np.zeros(count))

    def add(self, part: Evaluated) -> None:
        host_s = np.broadcast_to(host_beside_s(part.terms.demand, part.constants), part.terms.device_s.shape)
        np.add.at(self.host_s, part.rows, host_s * part.launches)
        np.add.at(self.device_s, part.rows, part.terms.device_s * part.launches)


def activity_of_parts(parts: Iterable[Evaluated], count: int, target: Target) -> Activity:
    """Of kernels whose parts are evaluated already."""
    busy, machine = _Busy.of(count), machine_of(target)
    for part in parts:
        busy.add(part, machine)
    return busy.activity()


def launched_by(target: Target, constants: Mapping[str, float]) -> Mapping[str, float]:
    """The constants where a runtime launches kernels one by one: the host then sets the pace of short ones.

    From one launch to the next it takes what the target says, or, of a runtime that was timed call by call, what was
    measured from a call to its launch: PyTorch's own part of it is ten times the driver's.
    """
    runtime = RUNTIMES.get(target.runtime)
    if runtime is None or runtime.launch != "eager":
        return constants
    measured_s = constants[ISSUE] if target.runtime in WAITED_FOR and target.kind == "gpu" else 0.0
    return {**constants, HOST: max(constants[HOST], float(target.launch_overhead_s), measured_s)}


def _chunks(group: PartGroup) -> Iterator[np.ndarray]:
    """Places of a group's parts; those that may take Winograd's shortcut apart, since it doubles the candidates."""
    order = np.arange(len(group))
    if "is_winograd" in FIELDS[group.family]:
        may = _column(group, "is_winograd") > 0
        halves = [order[may], order[~may]]
    else:
        halves = [order]
    for half in halves:
        for start in range(0, len(half), CHUNK):
            yield half[start : start + CHUNK]


def _column(group: PartGroup, name: str) -> np.ndarray:
    column: np.ndarray = group.sizes[:, FIELDS[group.family].index(name)]
    return column


def resources_s(part: Evaluated) -> dict[str, np.ndarray]:
    """Seconds of each resource in one launch, by ``BUSY``."""
    found: dict[str, np.ndarray] = {}
    for name, seconds in part.terms.busy.items():
        resource = _unit(WORKS_FOR.get(name, name), part)
        found[resource] = np.maximum(found[resource], seconds) if resource in found else seconds
    for name, seconds in part.terms.fixed.items():
        resource = _unit(PAID_FOR.get(name, "steps"), part)
        found[resource] = found[resource] + seconds if resource in found else seconds
    shown = np.maximum(part.terms.latency_s - part.terms.device_s, 0.0)
    found["launch"] = found["launch"] + shown if "launch" in found else shown
    return found


def _unit(resource: str, part: Evaluated) -> str:
    """The unit that products run on, which machines without matrix units call vector units."""
    return part.rates.unit if resource == "matrix" else resource


def physical_limits_s(kernels: KernelTable, target: Target) -> np.ndarray:
    """[rows, 3] seconds that no run is shorter than: matrix units, vector units, main memory."""
    floor_s = main_memory_floor_s(kernels.traffic_bytes, target)
    limits = np.column_stack([shortest_arithmetic_s(kernels, target), floor_s])
    found: np.ndarray = np.where(kernels.is_unknown[:, None], 0.0, limits)
    return found


LIMITS = (*ENGINES[BOUNDING_ENGINES], MAIN)


def at_the_limit(terms_s: np.ndarray, limit_s: np.ndarray, latency_s: np.ndarray) -> np.ndarray:
    """Terms of which the limiting one is as long as the physical limit, where that is longer than the estimate."""
    places = np.array([BUSY.index(name) for name in LIMITS])[limit_s.argmax(axis=1)]
    rows = np.flatnonzero(limit_s.max(axis=1) > latency_s)
    lifted = terms_s.copy()
    lifted[rows, places[rows]] = np.maximum(limit_s.max(axis=1)[rows], terms_s[rows].max(axis=1))
    return lifted


COST_MODELS.add(Analytical.name, Analytical())
