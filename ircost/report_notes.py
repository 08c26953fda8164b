"""What the reader of a report should know: what was assumed, what is left out, what the machine lacks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ircost.backends import Target
from ircost.collective_kernels import notes_on_links
from ircost.cost_models.energy import notes_on_energy
from ircost.cost_models.gpu.machine import MEASURED_KINDS
from ircost.cost_models.kernel_table import KernelTable
from ircost.cost_models.memory import MemoryUse
from ircost.costed_runs import CostedRuns
from ircost.frontends import Imported
from ircost.ir.attributes import float_of
from ircost.ir.constant import Splat
from ircost.ir.graph import Module, Op
from ircost.ir.ops.experts import experts_met, spread
from ircost.ir.types import DType, f32
from ircost.kernel_reports import node_name
from ircost.passes import parse_pipeline
from ircost.passes.autocast import Autocast
from ircost.passes.tile import Tile
from ircost.passes.weight_only import is_weight_only
from ircost.quantity_text import bytes_text, small_text
from ircost.transformer_figures import TransformerFigures, notes_on_batches

# Weights that grow by this, and by so many bytes, when they are loaded are told of.
MUCH_WIDER, LARGE_BYTES = 1.5, 2**20
# Against measured servers: docs/energy.md.
ENERGY_NOTES = {
    True: "energy: of the pass alone, by factors fitted to the power of an H200's kernels; measured servers of H100s "
    "drew a median of a tenth more or less, and as much between passes",
    False: "energy: published figures of operations and main memory, and idle power; compared with no measurement",
}


def notes_on(
    imported: Imported,
    costed: CostedRuns,
    memory: MemoryUse,
    target: Target,
    dtype: str | None,
    pipeline: str,
    figures: TransformerFigures | None,
    limit_bytes: int,
) -> tuple[str, ...]:
    """All notes of a report, the cost model's own first.

    Args:
        dtype: the number format that was asked for. pipeline: the passes that ran.
        figures: of a language model. limit_bytes: of memory that a device may take.
    """
    table, estimates, built = costed.table, costed.estimates, imported.built
    return (
        *estimates.notes,
        *imported.notes,
        *_counted(costed),
        *notes_on_format(dtype, costed.dtype),
        *notes_on_autocast(table.load_time, pipeline, target),
        *_widened_weights(imported.module, memory),
        *_unbounded_loops(imported.module),
        *_idle_matrix_units(table, target),
        *weight_only_notes(table, target),
        *_left_untiled(table, pipeline, target),
        *_idle_runtime(target, estimates.model),
        *_spread_experts(table),
        *([] if built is None else notes_on_links(built, target)),
        *([] if figures is None else notes_on_batches(figures, limit_bytes)),
        *notes_on_energy(table, target, estimates.latency_s),
        *([] if built is None else [ENERGY_NOTES[target.kind == "gpu"]]),
    )


def _counted(costed: CostedRuns) -> list[str]:
    """Ops and branches that are in no figure."""
    table, runs, notes = costed.table, costed.runs, []
    if table.load_time:
        depend = "op depends" if len(table.load_time) == 1 else "ops depend"
        notes.append(f"{len(table.load_time)} {depend} on weights only: run once, at load, and not included")
    if len(runs) < len(table.runs):
        notes.append("of each `if` the more expensive branch is counted (--value binds an input that decides one)")
    unknown = sum(1 for run in runs if table.is_unknown[run.row])
    if unknown:
        notes.append(f"{unknown} opaque operators: their cost is unknown and not included, so every total is too low")
    return notes


def notes_on_autocast(load_time: Sequence[Op], pipeline: str, target: Target) -> list[str]:
    """What is assumed of weights under `autocast`, and what it takes where that does not hold.

    Args:
        load_time: ops that depend on weights only. pipeline: the passes that ran.

    Source: PyTorch, aten/src/ATen/autocast_mode.cpp, ``cached_cast`` and ``clear_cache``.
    """
    passes = [instance for instance in parse_pipeline(pipeline) if isinstance(instance, Autocast)]
    if not passes:
        return []
    at_load = set(load_time)
    cast = [
        result
        for op in load_time
        for result in op.results
        if op.name != "constant"
        and result.type.dtype == passes[0].to
        and any(user not in at_load for user in result.users)
    ]
    to = passes[0].to
    read, written = (sum(math.prod(value.type.shape) * dtype.bits // 8 for value in cast) for dtype in (f32, to))
    again_s = (read + written) / target.main_memory.bandwidth_bytes_per_s
    return [
        f"autocast: {bytes_text(read)} of weights are converted to {to} once, at load, and {bytes_text(written)} are "
        f"kept; torch.autocast keeps both, and converts anew in each context: {small_text(again_s, 's')} longer, or "
        "more, where each run opens its own"
    ] * bool(cast)


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
    return [f"runtime {target.runtime} changes nothing: no kernels of {target.kind}s were measured under any"]


def _widened_weights(module: Module, memory: MemoryUse) -> list[str]:
    """Weights that are stored in fewer bits than they have in memory: quantised ones that are dequantised at load."""
    constants = (op for op in module.walk() if op.name == "constant" and not isinstance(op.attrs["value"], Splat))
    stored_bytes = sum(op.result.type.size_bytes for op in constants)
    if memory.weights_bytes < MUCH_WIDER * stored_bytes or memory.weights_bytes - stored_bytes < LARGE_BYTES:
        return []
    return [
        f"weights are widened at load: {bytes_text(stored_bytes)} as stored, "
        f"{bytes_text(memory.weights_bytes)} in memory and whenever they are read"
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
    load = "which real prompts load more than random routing does (--mesh balance=)"
    if balance < 1:
        load = f"which gets {1 / balance:.2f} times the mean, or what random routing gives it if that is more"
    busiest = f"; all wait for the busiest of {ranks} ranks, {load}"
    return (
        f"routing is assumed random: {tokens:,} tokens with {chosen} experts each "
        f"read {met:.0f} of {experts} a layer, and fewer if they agree{busiest if ranks > 1 else ''}"
    )


def _inside(kernel: Op) -> Iterable[Op]:
    return kernel.regions[0].block.ops if kernel.name == "kernel" else ()


def _unbounded_loops(module: Module) -> list[str]:
    """Loops that stop on a condition nobody can foresee."""
    return [
        f"loop '{node_name(op)}' has no known trip count, so its body is counted once (--bound {node_name(op)}=N)"
        for op in module.walk()
        if op.name == "while" and op.attrs["trip_bound"] == 0
    ]
