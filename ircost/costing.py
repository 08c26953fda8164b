"""A module's costs put together: estimates of distinct kernels, back to the places that run them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ircost.backends import Target
from ircost.collective_kernels import collective_kernels, notes_on_links
from ircost.cost_models.automatic import chosen_model
from ircost.cost_models.energy import notes_on_energy
from ircost.cost_models.gpu.machine import MEASURED_KINDS
from ircost.cost_models.interface import CostModel, Estimates
from ircost.cost_models.kernel_table import KernelRun, KernelTable, kernel_table
from ircost.cost_models.lower_bound import model_lower_bound_s
from ircost.cost_models.memory import MemoryUse, memory_use
from ircost.cost_models.roofline import data_sheet_s
from ircost.frontends import Imported
from ircost.frontends.config.build import BuiltModel
from ircost.intervals import interval_of_runs, uncorrected
from ircost.ir.attributes import float_of
from ircost.ir.constant import Splat
from ircost.ir.graph import Module, Op
from ircost.ir.ops.experts import experts_met, spread
from ircost.ir.schedule import parse_schedule
from ircost.ir.types import DType
from ircost.launching import run_energies_j, run_seconds
from ircost.passes import parse_pipeline
from ircost.passes.tile import Tile
from ircost.passes.weight_only import is_weight_only
from ircost.quantity_text import bytes_text
from ircost.rank_memory import memory_of
from ircost.report import KernelReport, Report
from ircost.stages import costed_stages, fullest_stage, slowest_stage_s
from ircost.transformer_figures import batches_on_the_way, figures_of

# Weights that grow by this, and by so many bytes, when they are loaded are told of.
MUCH_WIDER, LARGE_BYTES = 1.5, 2**20
# Against measured servers: docs/energy.md.
ENERGY_NOTES = {
    True: "energy: of the pass alone, by factors fitted to the power of an H200's kernels; measured servers of H100s "
    "drew a median of a tenth more or less, and as much between passes",
    False: "energy: published figures of operations and main memory, and idle power; compared with no measurement",
}


def report_on(
    imported: Imported,
    target: Target,
    *,
    cost_model: str = "auto",
    dtype: str | None = None,
    pipeline: str = "",
    source: str = "",
    memory: MemoryUse | None = None,
    memory_limit_bytes: int | None = None,
) -> Report:
    """Costs a module as it is.

    Args:
        cost_model: name of the cost model.
        dtype: the number format that was asked for, if any: where most arithmetic is in another, a note says so.
        pipeline, source: what the report says of the passes that ran, and of the model's file; where left out, none,
            and the module's name.
        memory: of the module, where it is known already; of a model in stages the fullest stage's is asked for.
        memory_limit_bytes: what has to be enough; the capacity of the target where left out.
    """
    module = imported.module
    table = kernel_table(module)
    model = chosen_model(cost_model, target)
    estimates = model.estimate(table, target)
    runs = branches_taken(table, estimates)
    at_peak_s = data_sheet_s(table, target)
    seconds = run_seconds(runs, estimates)
    energies_j = run_energies_j(runs, seconds, estimates, target)
    kernels = tuple(
        _kernel_report(table, estimates, at_peak_s, run, own_s, own_j)
        for run, own_s, own_j in zip(runs, seconds.tolist(), energies_j.tolist(), strict=True)
    )
    built = imported.built
    sent = [] if built is None else uncorrected(collective_kernels(built, target, model), estimates)
    kernels = (*kernels, *sent)
    stages = costed_stages(built, target, model, pipeline)
    memory = fullest_stage(stages).memory if stages else memory or memory_use(module, target=target)
    capacity_bytes = int(target.main_memory.capacity_bytes)
    limit_bytes = capacity_bytes if memory_limit_bytes is None else memory_limit_bytes
    lower_bound_s = model_lower_bound_s(module, table, runs, target)
    # Each kernel may find in the caches what all together cannot: the whole model's limit is a limit of its own.
    latency_s = max(float(sum(kernel.latency_s or 0.0 for kernel in kernels)), lower_bound_s)
    low_s, high_s = interval_of_runs(estimates, runs, seconds, sent, latency_s, lower_bound_s)
    energy_j = float(sum(kernel.energy_j or 0.0 for kernel in kernels))
    most_dtype = main_dtype(table, runs)
    figures = None
    if built is not None:
        stage_s = slowest_stage_s(stages) if stages else latency_s
        held = memory_of(fullest_stage(stages).built if stages else built, memory)
        figures = figures_of(built, target, kernels, held, latency_s, energy_j, stage_s, most_dtype, limit_bytes)
    return Report(
        source=source or module.name,
        nodes=imported.nodes,
        target=target.name,
        target_description=target.description,
        target_digest=target.digest(),
        dtype=most_dtype,
        model=estimates.model,
        latency_s=latency_s,
        lower_bound_s=lower_bound_s,
        energy_j=energy_j,
        peak_memory_bytes=memory.peak_bytes,
        weights_bytes=memory.weights_bytes,
        peak_at=node_name(memory.peak_op) if memory.peak_op else "",
        arena_bytes=memory.allocation.arena_bytes,
        lower_bound_bytes=memory.allocation.lower_bound_bytes,
        memory_capacity_bytes=capacity_bytes,
        memory_limit_bytes=limit_bytes,
        flash_bytes=None if target.flash is None else int(target.flash.capacity_bytes),
        flops=sum(kernel.flops for kernel in kernels),
        macs=sum(kernel.macs for kernel in kernels),
        bytes=sum(kernel.bytes for kernel in kernels),
        bound_shares=_bound_shares(kernels, latency_s),
        kernels=kernels,
        distinct_kernels=len({run.row for run in runs}),
        load_time_ops=len(table.load_time),
        unknown=tuple(kernel.name for kernel in kernels if kernel.latency_s is None),
        pipeline=pipeline,
        notes=(
            *estimates.notes,
            *imported.notes,
            *_notes(table, runs),
            *notes_on_format(dtype, most_dtype),
            *_widened_weights(module, memory),
            *_unbounded_loops(module),
            *_idle_matrix_units(table, target),
            *weight_only_notes(table, target),
            *_left_untiled(table, pipeline, target),
            *_idle_runtime(target, estimates.model),
            *_spread_experts(table),
            *([] if built is None else notes_on_links(built, target)),
            *([] if figures is None else batches_on_the_way(figures, limit_bytes)),
            *notes_on_energy(table, target, estimates.latency_s),
            *([ENERGY_NOTES[target.kind == "gpu"]] if built is not None else []),
        ),
        remedies=(),
        transformer=figures,
        module=module,
        low_s=low_s,
        high_s=high_s,
    )


@dataclass(frozen=True, slots=True)
class Totals:
    """Of one run of a module."""

    latency_s: float
    energy_j: float


def totals_of(
    module: Module, table: KernelTable, model: CostModel, target: Target, built: BuiltModel | None = None
) -> Totals:
    """What ``report_on`` would say of latency and energy, without the rest of a report.

    Args:
        built: where the module is of a model by its configuration, whose ranks tell each other something.
    """
    estimates = model.estimate(table, target)
    runs = branches_taken(table, estimates)
    seconds = run_seconds(runs, estimates)
    known = ~table.is_unknown[[run.row for run in runs]]
    latency_s, energy_j = (
        float(sum(column[known].tolist())) for column in (seconds, run_energies_j(runs, seconds, estimates, target))
    )
    sent = [] if built is None else collective_kernels(built, target, model)
    latency_s += sum(kernel.latency_s or 0.0 for kernel in sent)
    energy_j += sum(kernel.energy_j or 0.0 for kernel in sent)
    return Totals(max(latency_s, model_lower_bound_s(module, table, runs, target)), energy_j)


def branches_taken(table: KernelTable, estimates: Estimates) -> list[KernelRun]:
    """The runs without those in the cheaper branch of each `if`; inner ones are decided first."""
    # Of a side: its own runs, and of inner choices the side taken.
    cost: defaultdict[tuple[int, int], float] = defaultdict(float)
    around: dict[int, tuple[int, int]] = {}
    for run in table.runs:
        if run.branch:
            cost[run.branch[-1]] += float(estimates.latency_s[run.row]) * run.count
            around |= {inner: outer for outer, (inner, _) in pairwise(run.branch)}
    dropped = set()
    for choice in sorted({number for run in table.runs for number, _ in run.branch}, reverse=True):
        taken = int(cost[choice, 0] < cost[choice, 1])
        dropped.add((choice, 1 - taken))
        if choice in around:
            cost[around[choice]] += cost[choice, taken]
    return [run for run in table.runs if dropped.isdisjoint(run.branch)]


def _kernel_report(
    table: KernelTable, estimates: Estimates, at_peak_s: np.ndarray, run: KernelRun, seconds: float, energy_j: float
) -> KernelReport:
    """Args:
    seconds, energy_j: that all repetitions of the run add to the whole.
    """
    row, count = run.row, run.count
    is_unknown = bool(table.is_unknown[row])
    once_s, alone_s = seconds / count if count else 0.0, float(estimates.latency_s[row])
    repeats = seconds / alone_s if alone_s else 0.0
    return KernelReport(
        name=node_name(run.op),
        op=_op_label(run.op),
        source_nodes=run.location.nodes if run.location else (),
        count=count,
        latency_s=None if is_unknown else seconds,
        energy_j=None if is_unknown else energy_j,
        flops=int(table.flops[row]) * count,
        macs=int(table.macs[row]) * count,
        bytes=int(table.traffic_bytes[row]) * count,
        bound="unknown" if is_unknown else estimates.bound_names[int(estimates.bound[row])],
        of_peak=None if is_unknown or not once_s else min(float(at_peak_s[row]) / once_s, 1.0),
        tile=(estimates.choice[row] if estimates.choice else "") or innermost_tile(run.op),
        low_s=None if is_unknown or estimates.low_s is None else float(estimates.low_s[row]) * repeats,
        high_s=None if is_unknown or estimates.high_s is None else float(estimates.high_s[row]) * repeats,
        grade=estimates.grades[row] if estimates.grades and not is_unknown else "",
    )


def innermost_tile(op: Op) -> str:
    """The tile nearest to the arithmetic, of a kernel with a schedule."""
    tiles = parse_schedule(str(op.attrs.get("schedule", ""))).named("tile")
    return str(tiles[-1]) if tiles else ""


def node_name(op: Op) -> str:
    """The node that an op is mostly for: of a fused one, that of the op in it that does most; the first of equals."""
    if op.name == "kernel":
        inside = [inner for inner in op.regions[0].block.ops if inner.location and inner.location.nodes]
        op = max(inside, key=lambda inner: inner.definition.counts(inner).flops, default=op)
    return op.location.nodes[0] if op.location and op.location.nodes else f"{op.name}"


def _op_label(op: Op) -> str:
    if op.name == "opaque":
        return str(op.attrs["op"])
    if op.name != "kernel":
        return op.name
    inside = [inner for inner in op.regions[0].block.ops if not inner.definition.is_terminator]
    return "+".join(inner.name for inner in inside if not inner.definition.is_view and inner.name != "constant")


def main_dtype(table: KernelTable, runs: Sequence[KernelRun]) -> str:
    """The format of most contraction work; of most work where there is none."""
    counts = np.zeros(len(table))
    for run in runs:
        counts[run.row] += run.count
    totals = (table.work * counts[:, None]).sum(axis=0)
    ranked = sorted(
        zip(table.work_columns, totals, strict=True),
        key=lambda item: (item[0][0] == "matrix", item[1]),
        reverse=True,
    )
    return ranked[0][0][1].name if ranked else "f32"


def _bound_shares(kernels: Sequence[KernelReport], latency_s: float) -> dict[str, float]:
    shares: dict[str, float] = {}
    for kernel in kernels:
        if kernel.latency_s:
            shares[kernel.bound] = shares.get(kernel.bound, 0.0) + kernel.latency_s / latency_s
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _notes(table: KernelTable, runs: Sequence[KernelRun]) -> list[str]:
    notes = []
    if table.load_time:
        depend = "op depends" if len(table.load_time) == 1 else "ops depend"
        notes.append(f"{len(table.load_time)} {depend} on weights only: run once, at load, and in no figure")
    if len(runs) < len(table.runs):
        notes.append("of each `if` the costlier branch is counted (--value binds an input that decides one)")
    unknown = sum(1 for run in runs if table.is_unknown[run.row])
    if unknown:
        notes.append(f"{unknown} opaque operators: their cost is unknown and in no figure, so every total is too low")
    return notes


def _left_untiled(table: KernelTable, pipeline: str, target: Target) -> list[str]:
    """Kernels that the pass ``tile`` found nothing for, so that an empty column says why."""
    if not any(isinstance(instance, Tile) for instance in parse_pipeline(pipeline)):
        return []
    inner = ", ".join(level.name for level in target.memory[1:])
    if not inner:
        return [f"tile: {target.name} has no memory but {target.main_memory.name}, so there is nothing to tile for"]
    left = sum(1 for op in table.ops if not op.attrs.get("schedule"))
    return [
        f"tile: {left} of {len(table)} distinct kernels have no schedule: no single nest of loops, or no tile of it "
        f"fits {inner} of {target.name}"
    ] * bool(left)


def _idle_runtime(target: Target, model: str) -> list[str]:
    """A runtime that was asked for, of a machine of which the roofline is all that is known."""
    if not target.runtime or model != "roofline" or target.kind in MEASURED_KINDS:
        return []
    return [f"runtime {target.runtime} changes no kernel: those of {target.kind}s were measured under none"]


def _widened_weights(module: Module, memory: MemoryUse) -> list[str]:
    """Weights that are stored in fewer bits than they have in memory: quantised ones that are dequantised at load."""
    constants = (op for op in module.walk() if op.name == "constant" and not isinstance(op.attrs["value"], Splat))
    stored_bytes = sum(op.result.type.size_bytes for op in constants)
    if memory.weights_bytes < MUCH_WIDER * stored_bytes or memory.weights_bytes - stored_bytes < LARGE_BYTES:
        return []
    return [
        f"weights are widened at load: {bytes_text(stored_bytes)} as they are stored, "
        f"{bytes_text(memory.weights_bytes)} in memory and when they are read"
    ]


def notes_on_format(asked: str | None, found: str) -> list[str]:
    """What became of a number format that was asked for.

    >>> notes_on_format("bf16", "f8e4m3")
    ['most arithmetic is in f8e4m3, not in bf16 (--dtype): integers and what the model itself quantises stay']
    """
    if asked in (None, found):
        return []
    return [
        f"most arithmetic is in {found}, not in {asked} (--dtype): integers and what the model itself quantises stay"
    ]


def weight_only_notes(table: KernelTable, target: Target) -> list[str]:
    """Narrow floats that stand in memory alone, since the machine's matrix units lack them."""
    found: dict[tuple[DType, DType], None] = {}
    for op in [op for kernel in table.ops for op in (kernel, *_inside(kernel)) if op.name in WITH_WEIGHTS]:
        weights, arithmetic = op.operands[WITH_WEIGHTS[op.name]].type.dtype, op.operands[0].type.dtype
        if not op.attrs.get("is_narrow", False) and is_weight_only(weights, target):
            found[weights, arithmetic] = None
    return [
        f"{weights} weights are multiplied in {arithmetic}, widened on the way, activations left as they are: the "
        f"matrix units of {target.name} have no {weights} (as vLLM's Marlin kernels do)"
        for weights, arithmetic in found
    ]


# Products of weights with scales -> their operand that is the weights.
WITH_WEIGHTS = {"block_quantised_matmul": 1, "mixture_of_experts": 3}


def _idle_matrix_units(table: KernelTable, target: Target) -> list[str]:
    """Formats of contractions that the machine has no units for, so that slower ones do the work."""
    formats = dict.fromkeys(dtype.name for engine, dtype in table.work_columns if engine == "matrix")
    notes = []
    for name in formats:
        unit, unit_format = target.unit_for(name)
        if target.matrix and unit == "vector":
            have = f"the matrix units of {target.name} have {', '.join(target.matrix)}"
            notes.append(f"{name} contractions run on vector units: {have}")
        elif unit_format != name and target.peak_flops_per_s(name) < target.peak_flops_per_s("f32"):
            notes.append(f"{name} contractions run in {unit_format} on {target.name}, more slowly than those in f32")
    return notes


def _spread_experts(table: KernelTable) -> list[str]:
    """How many experts are read is up to the router, which nobody can foresee."""
    mixtures = [op for kernel in table.ops for op in (kernel, *_inside(kernel)) if op.name == "mixture_of_experts"]
    sizes = dict.fromkeys(
        (op.operands[2].type.shape, op.operands[3].type.shape[0], spread(op), float_of(op.attrs, "balance"))
        for op in mixtures
    )
    return [
        _routing_note(tokens * senders, chosen, held * ranks, ranks, balance)
        for (tokens, chosen), held, (ranks, senders), balance in sizes
        if tokens * senders > 1 or ranks > 1
    ]


def _routing_note(tokens: int, chosen: int, experts: int, ranks: int, balance: float) -> str:
    met = experts_met(tokens, chosen, experts)
    load = "which real prompts load more than chance does (--mesh balance=)"
    if balance < 1:
        load = f"which gets {1 / balance:.2f} times the mean, or what chance deals out where that is more"
    busiest = f"; all wait for the busiest of {ranks} ranks, {load}"
    return (
        f"routing is taken as random: {tokens:,} tokens of {chosen} experts each "
        f"read {met:.0f} of {experts} a layer, and fewer where they agree{busiest if ranks > 1 else ''}"
    )


def _inside(kernel: Op) -> Iterable[Op]:
    return kernel.regions[0].block.ops if kernel.name == "kernel" else ()


def _unbounded_loops(module: Module) -> list[str]:
    """Loops that stop on a condition nobody can foresee."""
    return [
        f"loop '{node_name(op)}' has no known trip count: its body is counted once (--bound {node_name(op)}=N)"
        for op in module.walk()
        if op.name == "while" and op.attrs["trip_bound"] == 0
    ]
