"""Where a figure comes from: a tree whose leaves add up to its root, each leaf with its source.

Built from the very columns that gave the figure: demand, times and constants; nothing is estimated a second time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ircost.backends import Target
from ircost.backends.figure import Figure
from ircost.cost_models.analytical import Analytical, Evaluated, physical_limits_s
from ircost.cost_models.gpu.constants import ConstantsFile
from ircost.cost_models.gpu.demand import HOST, RESIDENT, SHARPNESS, cold_share
from ircost.cost_models.gpu.families import FAMILIES
from ircost.cost_models.gpu.machine import PORT_BYTES_PER_CLOCK, SHARED_BYTES_PER_CLOCK, machine_of
from ircost.cost_models.interface import Estimates
from ircost.cost_models.kernel_table import KernelTable

# Where terms add up, no data sheet alone gives one.
FITTED_TERM = "the data sheet's rate, or a clock an element, times what was fitted to published runs of whole networks"
How = Literal["leaf", "sum", "product", "quotient", "loss odds"]


@dataclass(frozen=True, slots=True)
class Node:
    """A figure, and what it is made of.

    Args:
        label: what it is, for people.
        value, unit: SI base units; ``1`` is a plain number.
        source: data sheet, fit, access map or formula that a leaf rests on; of others what they are.
        how: how the children make the value: a ``sum`` of all that are not hidden; the ``product`` of all; the first
            over all others (``quotient``); or a share, 1 / (1 + odds of a loss), with the odds of the first child
            multiplied by the others (``loss odds``).
        children: in order.
        is_hidden: beside something slower, so that it is no part of the sum.
        is_folded: people want its children in one line, or not at all.
    """

    label: str
    value: float
    unit: str
    source: str = ""
    how: How = "leaf"
    children: tuple[Node, ...] = ()
    is_hidden: bool = False
    is_folded: bool = False

    def combined(self) -> float:
        """The value as the children make it; a leaf's own."""
        values = [child.value for child in self.children if not child.is_hidden]
        if self.how == "leaf" or not values:
            return self.value
        if self.how == "sum":
            return math.fsum(values)
        if self.how == "product":
            return math.prod(values)
        first, *others = values
        if self.how == "quotient":
            return first / math.prod(others)
        return 1.0 / (1.0 + (1.0 / first - 1.0) * math.prod(others))

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            yield from child.walk()

    def to_json(self) -> dict[str, object]:
        """Plain values; keys without content are left out."""
        plain: dict[str, object] = {"label": self.label, "value": self.value, "unit": self.unit}
        if self.source:
            plain["source"] = self.source
        if self.is_hidden:
            plain["hidden"] = True
        if self.children:
            plain["how"] = self.how
            plain["children"] = [child.to_json() for child in self.children]
        return plain


def explain_kernels(
    kernels: KernelTable, target: Target, model: Analytical, estimates: Estimates, rows: Sequence[int]
) -> dict[int, Node]:
    """One run of each of some kernels of a table, as the analytical model has estimated them.

    Args:
        rows: of the table.
    """
    wanted = set(rows)
    found: dict[int, list[Node]] = {row: [] for row in rows}
    if wanted:
        for part in model.evaluated(kernels, target):
            for place, row in enumerate(part.rows):
                if int(row) in wanted:
                    found[int(row)].append(_Launch(part, place, kernels, target, model.constants).node())
    limits_s = physical_limits_s(kernels, target)
    nodes = {row: _kernel(row, parts, limits_s, estimates, target) for row, parts in found.items()}
    return {row: _with_schedule(node, str(kernels.ops[row].attrs.get("schedule", ""))) for row, node in nodes.items()}


def explain_terms(kernels: KernelTable, target: Target, estimates: Estimates, rows: Sequence[int]) -> dict[int, Node]:
    """The same of any model that gives no more than terms: they add up, or the longest hides all others."""
    found = {}
    for row in rows:
        longest = int(estimates.bound[row])
        children = tuple(
            Node(
                name,
                float(seconds),
                "s",
                FITTED_TERM if estimates.adds_up else _source_of_bound(name, target),
                is_hidden=place != longest and not estimates.adds_up,
            )
            for place, (name, seconds) in enumerate(zip(estimates.bound_names, estimates.terms_s[row], strict=True))
            if seconds > 0 or place == longest
        )
        found[row] = Node("one run", float(estimates.latency_s[row]), "s", estimates.model, "sum", children)
    return found


def _kernel(row: int, parts: Sequence[Node], limits_s: np.ndarray, estimates: Estimates, target: Target) -> Node:
    """All launches of a kernel, and what lifts it to the physical limit where they would take less."""
    latency_s = float(estimates.latency_s[row])
    launches_s = math.fsum(part.value for part in parts)
    children = list(parts)
    if estimates.learned_s is not None:
        children.append(_learned(row, estimates))
        launches_s += children[-1].value
    lift_s = latency_s - launches_s
    if lift_s > 1e-12 * latency_s:
        place = int(limits_s[row].argmax())
        name = ("matrix units", "vector units", target.main_memory.name)[place]
        children.append(Node("up to the physical limit", lift_s, "s", f"no run is shorter: {name} at data-sheet speed"))
    if len(children) == 1 and parts:
        return parts[0]
    return Node("one run", latency_s, "s", "launches, one after another", "sum", tuple(children))


def _learned(row: int, estimates: Estimates) -> Node:
    """What a learned model adds or takes away, and how well the sum is known."""
    assert estimates.learned_s is not None and estimates.low_s is not None and estimates.high_s is not None, "learned"
    ends = (f"{1e6 * float(end[row]):.3g}" for end in (estimates.low_s, estimates.high_s))
    known = f"grade {estimates.grades[row]}; one run takes {' to '.join(ends)} us with a probability of 90 %"
    return Node("learned correction", float(estimates.learned_s[row]), "s", known)


def _with_schedule(node: Node, schedule: str) -> Node:
    return replace(node, source=f"{node.source}; {schedule}") if schedule else node


def _source_of_bound(name: str, target: Target) -> str:
    if name == target.main_memory.name:
        return f"compulsory traffic over {name} bandwidth: {target.main_memory.bandwidth_bytes_per_s.source}"
    if name == "launch":
        return target.launch_overhead_s.source
    return "operations over the peak of the target's data sheet (irc targets)"


@dataclass(slots=True)
class _Launch:
    """One launch of a part of a kernel."""

    part: Evaluated
    place: int
    kernels: KernelTable
    target: Target
    constants: ConstantsFile

    def node(self) -> Node:
        """Busy resources side by side, fixed times behind them, and the host where it is slower than all that."""
        terms = self.part.terms
        busy = {name: float(column[self.place]) for name, column in terms.busy.items()}
        longest = max(busy, key=lambda name: busy[name])
        fixed = [self._fixed(name, float(column[self.place])) for name, column in terms.fixed.items()]
        device_s, latency_s = float(terms.device_s[self.place]), float(terms.latency_s[self.place])
        fixed_s = math.fsum(node.value for node in fixed)
        children = [
            self._busy(longest, busy[longest], is_hidden=False),
            *(
                self._busy(name, busy[name], is_hidden=True)
                for name in sorted(busy, key=lambda n: -busy[n])
                if name != longest and busy[name] > 0
            ),
            Node(
                "what shows of the hidden ones",
                device_s - fixed_s - busy[longest],
                "s",
                f"norm of the resources' times, exponent {self.part.constants[SHARPNESS]:.3g} ({self._fit(SHARPNESS)})",
            ),
            *(node for node in fixed if node.value > 0),
            Node("host", latency_s - device_s, "s", f"what the host shows beside the kernel: {self._host()}"),
        ]
        children = [node for node in children if node.value or node is children[0]]
        times = float(self.part.launches[self.place])
        choice = terms.choices[int(terms.choice[self.place])]
        source = ", ".join(filter(None, [f"family {self.part.group.family}", choice and f"tile {choice}"]))
        is_launched = bool(terms.demand.fixed["launch"][self.place])
        once = Node("one launch" if is_launched else "then", latency_s, "s", source, "sum", tuple(children))
        if times == 1:
            return once
        count = Node("launches", times, "1", "trips of the loop in it")
        return Node(f"{times:g} launches", latency_s * times, "s", source, "product", (once, count))

    # ---- resources that work side by side

    def _busy(self, name: str, seconds: float, is_hidden: bool) -> Node:
        demand = self.part.terms.demand
        at_peak_s = float(demand.busy[name][self.place])
        share = self._constant(name)
        factors = [share]
        factor = getattr(demand, "repeats", {}).get(name)
        if name == "main":
            at_peak_s = self._main_s()
        label = {"main": self.target.main_memory.name, "matrix": self.part.rates.unit}.get(name, name)
        if name in demand.least and seconds == float(demand.least[name][self.place]):
            return Node(label, seconds, "s", self._power_source(), is_hidden=is_hidden)
        whole = self._at_peak(name, at_peak_s)
        if factor is None:
            return Node(label, seconds, "s", "", "quotient", (whole, *factors), is_hidden)
        once = Node(label, at_peak_s / share.value, "s", "once", "quotient", (whole, *factors))
        return Node(label, seconds, "s", "", "product", (once, self._constant(factor)), is_hidden)

    def _main_s(self) -> float:
        """Seconds of main memory at its data-sheet speed, without what the cache still holds."""
        return max(math.fsum([self._touched_s(), *(-saved for saved in self._saved_s())]), 0.0)

    def _touched_s(self) -> float:
        return float(self.part.terms.demand.busy["main"][self.place])

    def _saved_s(self) -> list[float]:
        resident = self.part.constants[RESIDENT]
        return [
            float(seconds[self.place]) * (1.0 - float(cold_share(footprint[self.place], resident)))
            for seconds, footprint in self.part.terms.demand.reused
        ]

    def _at_peak(self, name: str, seconds: float) -> Node:
        """Amount over rate where the rate is one figure, else the seconds that both make."""
        if name == "main":
            rate = Node("bandwidth", float(self._bandwidth), "B/s", self._bandwidth.source)
            return Node("at data-sheet speed", seconds, "s", "", "quotient", (self._main_bytes(), rate))
        if name == "matrix":
            peak = self.part.rates.flops_per_s
            rate = Node("peak", peak, "flop/s", self._peak_source())
            choice = self.part.terms.choices[int(self.part.terms.choice[self.place])]
            amount = Node(
                "operations", seconds * peak, "flop", f"whole tiles and waves{f' of {choice}' if choice else ''}"
            )
            return Node("at data-sheet speed", seconds, "s", "", "quotient", (amount, rate))
        if name == "chain":
            return Node("steps, one after another", seconds, "1", "steps of the main loop that a processor takes")
        return Node("at data-sheet speed", seconds, "s", self._source_of(name))

    @property
    def _bandwidth(self) -> Figure:
        return self.target.main_memory.bandwidth_bytes_per_s

    def _main_bytes(self) -> Node:
        rate = float(self._bandwidth)
        row = int(self.part.rows[self.place])
        touched = self._touched_s() * rate
        saved = min(math.fsum(self._saved_s()) * rate, touched)
        if len(self._launches_of(row)) > 1 or self.part.launches[self.place] != 1:
            once = touched
            source = "operands and result of this launch, each once"
        else:
            once = min(float(self.kernels.traffic_bytes[row]), touched)
            source = f"access maps: {self._operands(row)}; each once"
        children = [
            Node("compulsory traffic", once, "B", source),
            Node("again", touched - once, "B", "what does not stay in the cache between waves, whole sectors, windows"),
            Node("still in the cache", -saved, "B", f"written by the kernel before, {self._cache()}"),
        ]
        shown = tuple(node for node in children if node.value)
        return Node("bytes", max(touched - saved, 0.0), "B", "", "sum", shown)

    def _launches_of(self, row: int) -> list[int]:
        return [place for place in range(len(self.part.rows)) if int(self.part.rows[place]) == row]

    def _operands(self, row: int) -> str:
        op = self.kernels.ops[row]
        read = [
            f"{value.type} {_bytes(n)}" for value, n in zip(op.operands, op.definition.operand_bytes(op), strict=True)
        ]
        written = [f"{result.type} {_bytes(result.type.size_bytes)}" for result in op.results]
        return f"reads {', '.join(read) or 'nothing'}; writes {', '.join(written)}"

    def _cache(self) -> str:
        machine = machine_of(self.target)
        return f"{self.part.constants[RESIDENT]:.0%} of {_bytes(machine.cache_bytes)} keep it ({self._fit(RESIDENT)})"

    def _power_source(self) -> str:
        sustained = self.part.rates.sustained_flops_per_s / 1e12
        return f"operations at the {sustained:.4g} TFLOP/s that {float(self.target.power.peak_w):.0f} W sustain"

    def _peak_source(self) -> str:
        engine, form = self.target.unit_for(self.part.group.dtype)
        peak = (self.target.matrix if engine == "matrix" else self.target.vector)[form]
        if self.part.rates.flops_per_s < float(peak) * self.target.processors.boost:
            return f"{engine} {form}, summed in f32 at its rate, beside {peak.source}"
        return f"{engine} {form}: {peak.source}"

    def _source_of(self, name: str) -> str:
        target = self.target
        caches = [level for level in target.memory[1:] if not level.per_processor]
        clock = target.processors.top_clock_hz or target.processors.clock_hz
        port = f"{PORT_BYTES_PER_CLOCK} B/clock for each processor at {float(clock) / 1e9:.3g} GHz"
        if name == "l2":
            level = f"; {caches[-1].name}: {caches[-1].bandwidth_bytes_per_s.source}" if caches else ""
            return f"tiles' operands through {port}{level}"
        if name == "shared":
            return f"tiles' operands at {SHARED_BYTES_PER_CLOCK} B/clock for each processor; clock: {clock.source}"
        if name == "flight":
            return "bytes over those that the processors can have in flight, times main memory's latency"
        vector = target.vector.get("f32") or next(iter(target.vector.values()))
        special = f"; special functions: {target.special_per_s.source}" if target.special_per_s is not None else ""
        return f"counts of the ops' scalar bodies; vector lanes: {vector.source}{special}"

    # ---- fixed times

    def _fixed(self, name: str, seconds: float) -> Node:
        count = float(self.part.terms.demand.fixed[name][self.place])
        constant = self._constant(name)
        kind = FAMILIES[self.constants.home(self.part.group.family, self.part.labels, name)].parameters[name].kind
        slower = machine_of(self.target).clocks_per_reference
        if kind == "time" and count == int(count):
            of = Node("how often", count, "1", "of the tile and its waves")
            return Node(name, seconds, "s", "", "product", (of, constant))
        if kind == "time":
            of = Node("how often", count / slower, "1", "of the tile and its waves")
            clock = Node("clock", slower, "1", "2 GHz, which times are fitted at, over this machine's clock")
            return Node(name, seconds, "s", "", "product", (of, clock, constant))
        once = Node("once", count, "s", "bytes or operations at data-sheet speed")
        return Node(name, seconds, "s", "", "product", (once, constant))

    # ---- constants

    def _constant(self, name: str) -> Node:
        family = self.constants.home(self.part.group.family, self.part.labels, name)
        parameter = FAMILIES[family].parameters[name]
        shares = self.constants.shares(self.part.group.family, self.part.labels, name)
        unit = "s" if parameter.kind == "time" else "1"
        first, *others = shares
        children = (
            Node(first.effect, first.factor, unit, f"all {family} kernels of the fit"),
            *(
                Node(
                    f"{s.effect} {s.level}{self._whose(s.effect)}",
                    s.factor,
                    "1",
                    "times the odds of a loss" if parameter.kind == "share" else "times",
                )
                for s in others
            ),
        )
        how: How = "loss odds" if parameter.kind == "share" else "product"
        value = float(self.part.constants[name])
        source = f"{parameter.meaning}; {fit_text(self.constants, family)}"
        return Node(f"'{name}'", value, unit, source, how, children, is_folded=True)

    def _whose(self, effect: str) -> str:
        name = self.target.name.partition("+")[0]
        return f", whose chip {name} has" if effect == "device" and name != self.target.measured_as else ""

    def _host(self) -> str:
        launch_s = self.target.launch_overhead_s
        if self.part.constants[HOST] == float(launch_s):
            return f"one launch after another, {launch_s.source}"
        return self._fit(HOST)

    def _fit(self, name: str) -> str:
        return fit_text(self.constants, self.constants.home(self.part.group.family, self.part.labels, name))


def fit_text(constants: ConstantsFile, family: str) -> str:
    """What a family's constants were fitted to.

    >>> fit_text(ConstantsFile(), "gemm")
    'defaults: no fit'
    """
    fit = constants.fits.get(family)
    if fit is None:
        return "defaults: no fit"
    devices = f"{len(fit.devices)} device{'s' if len(fit.devices) != 1 else ''}"
    onto = f"; onto it {fit.added_rows:,} of {len(fit.added_devices)} devices" if fit.added else ""
    return (
        f"fit: {fit.rows:,} measured kernels of family {family}, {devices}, median error {fit.median_error:.0%}{onto}"
    )


def _bytes(count: float) -> str:
    scale, prefix = next(((s, p) for s, p in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if count >= s), (1.0, "B"))
    return f"{count / scale:.3g} {prefix}"
