"""Making a module fit a memory limit, and suggesting what else would make it fit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ircost.backends import Target, load_target, target_names
from ircost.cost_models.gpu.table_work import devices_in_a_node
from ircost.cost_models.memory import MemoryUse, memory_use
from ircost.cost_models.patches import LayerChain
from ircost.costing import report_on
from ircost.frontends import Imported, ImportOptions, load
from ircost.frontends.config.plan import Mesh, parse_mesh
from ircost.ir.errors import IrcError
from ircost.ir.graph import Module
from ircost.ir.types import DTYPES
from ircost.ir.verify import verify
from ircost.passes import PassContext, run_pipeline
from ircost.passes.rematerialise import limit_bytes
from ircost.quantity_text import bytes_text, small_text
from ircost.report import Report

# Formats to cost the model in instead, the widest first.
NARROWER = ("f16", "f8e4m3")
TARGETS_NAMED = 3
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
MOST_STAGES = 16
# Limits up to here are those of microcontrollers: patches are looked for.
SMALL_MEMORY_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was done to a module.

    Args:
        memory: as it is now.
        pipeline: the passes that ran, as text.
        before_bytes: weights and arena as they were. latency_s: as it was; None where nothing was done.
        copies: ops that are computed twice.
    """

    memory: MemoryUse
    pipeline: str = ""
    before_bytes: int = 0
    latency_s: float | None = None
    copies: int = 0

    def notes(self, latency_s: float) -> tuple[str, ...]:
        """What was done and what it costs, for the report."""
        if self.latency_s is None:
            return ()
        if not self.pipeline:
            return ("for the memory limit: neither another order of ops nor values computed twice free anything",)
        now = bytes_text(self.memory.allocated_bytes)
        orders = ["another order of ops"] if "order-for-memory" in self.pipeline else []
        twice = f"{self.copies} value{'s' if self.copies > 1 else ''} computed twice"
        done = ", ".join([*orders, *([twice] if self.copies else [])])
        # Sums of the same terms in another order differ in their last digits.
        is_longer = latency_s > self.latency_s * (1 + 1e-9)
        extra = small_text(latency_s - self.latency_s if is_longer else 0.0, "s")
        return (f"for the memory limit: {done}; {bytes_text(self.before_bytes)} -> {now}, latency +{extra}",)


def fit(
    imported: Imported, context: PassContext, limit_bytes: int | None, exact: bool = False, *, cost_model: str
) -> Fitted:
    """Rewrites a module until weights and arena fit the limit, as far as an order and copies can do that.

    Element-wise results are in place anyway. An order that helps costs nothing and is tried first; then values are
    computed twice, the cheapest first. A model in stages stays as it is.

    Args:
        cost_model: of the report that the note stands in: what the limit costs is a difference of two of its figures.
    """
    module = imported.module
    use = partial(memory_use, exact=exact, target=context.target)
    memory = use(module)
    if imported.built is not None and imported.built.mesh.pp > 1:
        return Fitted(memory)  # each stage is a module of its own; nothing in the whole one says how full they are
    if limit_bytes is None or memory.allocated_bytes <= limit_bytes:
        return Fitted(memory)
    before = memory.allocated_bytes
    assert context.target is not None, "a compilation has one"
    latency_s = report_on(imported, context.target, cost_model=cost_model, memory=memory).latency_s
    (order,) = run_pipeline(module, "order-for-memory", context=context)
    ran = [order.text] if order.fired["blocks"] else []
    memory = use(module)
    copies = 0
    for _ in range(2):  # the second time for what the arena has beyond its bound
        if memory.allocated_bytes <= limit_bytes:
            break
        goal = limit_bytes - (memory.allocated_bytes - memory.peak_bytes)
        if goal < 1:
            break
        (report,) = run_pipeline(module, f"rematerialise{{limit={goal}}}", context=context)
        if not report.fired["copies"]:
            break
        ran.append(report.text)
        copies += report.fired["copies"]
        memory = use(module)
    return Fitted(memory, ",".join(ran), before, latency_s, copies)


@dataclass(frozen=True, slots=True)
class Retry:
    """A model that can be read again under other options."""

    model: str | Path
    options: ImportOptions
    pipeline: str
    exact: bool
    context: PassContext

    def allocated_bytes(
        self, dims: Mapping[str, int] | None = None, convert: str = "", then: str = "", **others: Any
    ) -> int:
        """Of main memory, with other extents of dims, conversion by a pass, passes behind the others, or options."""
        return self.memory(dims, convert, then, **others).allocated_bytes

    def memory(
        self, dims: Mapping[str, int] | None = None, convert: str = "", then: str = "", **others: Any
    ) -> MemoryUse:
        """Likewise, all that is known of it, of the device that holds most."""
        options = replace(self.options, dims={**self.options.dims, **(dims or {})}, **others)
        imported = load(self.model, options)
        passes = ",".join(filter(None, [convert, self.pipeline, then]))
        uses = [self._memory(module, passes) for module in _on_devices(imported)]
        return max(uses, key=lambda use: use.allocated_bytes)

    def has_arithmetic(self, dtype: str) -> bool:
        return self.context.target is None or _has_arithmetic(self.context.target, dtype)

    def _memory(self, module: Module, passes: str) -> MemoryUse:
        verify(module)
        run_pipeline(module, passes, context=self.context)
        return memory_use(module, exact=self.exact, target=self.context.target)


def _on_devices(imported: Imported) -> Iterator[Module]:
    """What different devices hold: the model, or each of its stages."""
    built = imported.built
    if built is None or built.mesh.pp == 1:
        yield imported.module
        return
    for stage in range(built.mesh.pp):
        yield built.of_stage(stage).module


def remedies(report: Report, target: Target, retry: Retry | None, is_own_limit: bool) -> tuple[str, ...]:
    """What would make a report's model fit, each with what it then takes; what does not help is left out.

    Args:
        target: of the report.
        retry: the model to read again; None where it cannot be.
        is_own_limit: the limit was given, and is not that of the target.
    """
    found: list[str] = []
    if retry is not None and report.resident_bytes < report.memory_limit_bytes and report.weights_fit:
        found += _smaller_dims(report, retry)
    if retry is not None:
        found += _narrower_formats(report, retry)
        found += _more_ranks(report, retry)
    if retry is not None and report.weights_fit:
        found += _rebuilt(report, retry)
    found += _patches(report)
    enough = limit_text(report.allocated_bytes)
    if is_own_limit and limit_bytes(enough) <= report.memory_capacity_bytes and report.weights_fit:
        found.append(f"--memory-limit {enough}")
    else:
        found += _larger_targets(report, target)
    return tuple(found)


def limit_text(least_bytes: int) -> str:
    """A limit that is enough, in four digits, as ``--memory-limit`` takes it.

    >>> limit_text(69_774_085_408), limit_text(512), limit_text(1_100)
    ('64.99GiB', '512B', '1.075KiB')
    """
    power = min(max(least_bytes.bit_length() - 1, 0) // 10, len(UNITS) - 1)
    shown = least_bytes / 2 ** (10 * power)
    step = 10.0 ** (math.floor(math.log10(max(shown, 1))) - 3) if power else 1.0
    return f"{math.ceil(shown / step) * step:.4g}{UNITS[power]}"


def _smaller_dims(report: Report, retry: Retry) -> Iterator[str]:
    """For each dim that was bound, the largest extent below that fits; by bisection, since memory grows with it."""
    for name, extent in retry.options.dims.items():
        most = _largest(report, retry, name, extent)
        if most is not None:
            taken = bytes_text(retry.allocated_bytes({name: most}))
            yield f"--dim {name}={most} instead of {extent}, {taken}"


def _largest(report: Report, retry: Retry, name: str, extent: int) -> int | None:
    def fits(value: int) -> bool:
        try:
            return retry.allocated_bytes({name: value}) <= report.memory_limit_bytes
        except IrcError:  # an extent that the model cannot take
            return False

    if extent < 2 or not fits(1):
        return None
    low, high = 1, extent
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _narrower_formats(report: Report, retry: Retry) -> Iterator[str]:
    """The widest format below the model's own that fits."""
    for name in NARROWER:
        if report.dtype not in DTYPES or DTYPES[name].bits >= DTYPES[report.dtype].bits:
            continue
        if report.transformer is None:
            use = retry.memory(convert=f"convert-dtype{{to={name}}}")
        elif not retry.has_arithmetic(name):
            continue
        else:
            use = retry.memory(dtype=DTYPES[name])  # models by their configuration are built in a format
        has_room = report.flash_bytes is None or use.weights_bytes <= report.flash_bytes
        if use.allocated_bytes <= report.memory_limit_bytes and has_room:
            yield f"--dtype {name} instead of {report.dtype}, {bytes_text(use.allocated_bytes)}"
            return


def _more_ranks(report: Report, retry: Retry) -> Iterator[str]:
    """Of a model by its configuration, the fewest devices that share it: each layer within a node, then stages."""
    target = retry.context.target
    if report.transformer is None or target is None or not target.links:
        return
    mesh = parse_mesh(retry.options.mesh)
    node, tp, pp = devices_in_a_node(target), mesh.tp, mesh.pp
    while True:
        wider = tp * 2 <= node and _allocated(retry, replace(mesh, tp=tp * 2, pp=pp)) is not None
        tp, pp = (tp * 2, pp) if wider else (tp, pp * 2)
        shared = replace(mesh, tp=tp, pp=pp)
        taken = _allocated(retry, shared)
        if taken is None or pp > MOST_STAGES:
            return
        if taken <= report.memory_limit_bytes:
            count = f", {shared.ranks} devices" if shared.ranks > node else ""
            yield f"--mesh {shared}, {bytes_text(taken)} of each device{count}"
            return


def _allocated(retry: Retry, mesh: Mesh) -> int | None:
    """Of a device of such a mesh; None where the model cannot be split so."""
    try:
        return retry.allocated_bytes(mesh=str(mesh))
    except IrcError:
        return None


def _rebuilt(report: Report, retry: Retry) -> Iterator[str]:
    """Values had back from what was computed of them: reversible blocks keep their last result alone."""
    goal = report.memory_limit_bytes - (report.allocated_bytes - report.peak_memory_bytes)
    if goal <= report.resident_bytes:
        return
    then = f"rematerialise{{limit={goal},rebuild=true}}"
    taken = retry.allocated_bytes(then=then)
    if taken <= report.memory_limit_bytes:
        yield f"--passes '{retry.pipeline},{then}', {bytes_text(taken)}, results equal up to rounding"


def _patches(report: Report) -> Iterator[str]:
    """The first layers patch by patch, the image held as a whole; in small memories only."""
    room = report.memory_limit_bytes - report.resident_bytes
    if report.memory_limit_bytes > SMALL_MEMORY_BYTES or room <= 0 or not report.weights_fit:
        return
    plan = LayerChain(report.module.main, is_streamed=False).best(room)
    if plan.stage_ops and plan.peak_bytes <= room:
        taken = bytes_text(report.resident_bytes + plan.peak_bytes)
        yield (
            f"the first {plan.stage_ops} kernels in {plan.grid} x {plan.grid} patches, {taken}, "
            f"{plan.overhead:.1%} of the multiply-adds done again"
        )


def _larger_targets(report: Report, target: Target) -> Iterator[str]:
    """Machines with enough memory that could run it: those of the same kind first, of these the smallest."""
    enough = sorted(
        (machine.kind != target.kind, machine.main_memory.capacity_bytes, machine.name)
        for machine in map(load_target, target_names())
        if machine.holds(report.weights_bytes, report.arena_bytes)
        and _has_arithmetic(machine, report.dtype)
        and _joins(machine, report, target)
    )
    names = [f"{name} ({bytes_text(capacity)})" for _, capacity, name in enough[:TARGETS_NAMED]]
    if names:
        yield f"on {', '.join(names)}"


def _has_arithmetic(machine: Target, dtype: str) -> bool:
    """Whether a machine multiplies in a format; without it nothing could be costed."""
    try:
        return bool(machine.unit_for(dtype))
    except IrcError:
        return False


def _joins(machine: Target, report: Report, target: Target) -> bool:
    """Whether as many devices of it stand in a node as share a layer in one of the target."""
    sharing = 1 if report.transformer is None else report.transformer.stage_devices
    return devices_in_a_node(machine) >= min(sharing, devices_in_a_node(target))
