"""What users of language models ask: tokens a second, memory by what it is for, the largest batch that fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ircost.backends import Target
from ircost.cost_models.collectives import collective_times
from ircost.cost_models.memory import memory_use
from ircost.frontends.config.build import BuiltModel, build_model
from ircost.frontends.config.plan import Collective, Mesh
from ircost.ir.graph import Function
from ircost.report import KernelReport

LARGEST_BATCH = 2**20  # that is looked for


@dataclass(frozen=True, slots=True)
class TransformerFigures:
    """Of one pass of a model that came as a configuration.

    Args:
        phase: prefill, chunk, decode, verify or encode.
        batch: sequences.
        new_tokens: of each.
        context: tokens that the last of them attends to, itself included.
        tp: ranks that share a layer.
        pp: stages of layers.
        parameters: of the whole model.
        kv_bytes_per_token: that one token adds to the cache, on all ranks together.
        weights_bytes, cache_bytes, activations_bytes: of the rank that holds most, the new tokens in the cache.
        communication_s: part of the latency that goes to collectives.
        stage_s: the slowest stage's part of the latency; all of it where there is one stage.
        tokens_per_s: new tokens of all sequences; with stages, as many batches are on their way as there are stages.
        tokens_per_j: the same for the energy of all ranks.
        flops_per_byte: arithmetic intensity of the whole pass: all operations over all bytes moved.
        largest_batch: that fits the memory of a rank; 0 where none does.
    """

    phase: str
    batch: int
    new_tokens: int
    context: int
    tp: int
    pp: int
    parameters: int
    kv_bytes_per_token: float
    weights_bytes: int
    cache_bytes: int
    activations_bytes: int
    communication_s: float
    stage_s: float
    tokens_per_s: float
    tokens_per_j: float
    flops_per_byte: float
    largest_batch: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def collective_kernels(built: BuiltModel, target: Target) -> list[KernelReport]:
    """What the ranks send each other, as kernels of the report.

    Raises:
        TargetError: the target has no links.
    """
    return [_collective_kernel(item, target) for item in built.collectives]


def _collective_kernel(item: Collective, target: Target) -> KernelReport:
    found = collective_times(item.kind, [item.size_bytes], item.ranks, target)
    once_s, at_best_s = float(found.latency_s[0]), float(found.at_best_s[0])
    once_s = max(once_s, at_best_s)
    return KernelReport(
        name=item.purpose,
        op=item.kind,
        source_nodes=(),
        count=item.count,
        latency_s=once_s * item.count,
        energy_j=float(target.power.idle_w) * once_s * item.count,
        flops=0,
        macs=0,
        bytes=0,
        bound="link",
        of_peak=min(at_best_s / once_s, 1.0) if once_s else None,
        tile=found.algorithm[0],
    )


@dataclass(frozen=True, slots=True)
class RankMemory:
    """Bytes of the rank that holds most."""

    weights_bytes: int
    cache_bytes: int
    activations_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.weights_bytes + self.cache_bytes + self.activations_bytes


def rank_memory(built: BuiltModel) -> RankMemory:
    """Of the fullest stage. Weights and activations as the module says, the cache with the new tokens in it."""
    stages = [built] if built.mesh.pp == 1 else [built.of_stage(stage) for stage in range(built.mesh.pp)]
    return max((_memory_of(stage) for stage in stages), key=lambda memory: memory.total_bytes)


def _memory_of(stage: BuiltModel) -> RankMemory:
    use, main = memory_use(stage.module), stage.module.main
    cache = [value for name, value in zip(_names(main, "inputs"), main.arguments, strict=True) if ".past_" in name]
    cache += [value for name, value in zip(_names(main, "outputs"), main.results, strict=True) if "." in name]
    held = sum(value.type.size_bytes for value in cache)
    return RankMemory(use.weights_bytes, held, max(use.allocation.arena_bytes - held, 0))


def _names(main: Function, which: str) -> list[str]:
    names = main.attrs[which]
    assert isinstance(names, tuple), "the builder names inputs and outputs"
    return [str(name) for name in names]


def largest_batch(built: BuiltModel, capacity_bytes: float) -> int:
    """The most sequences whose pass fits a rank's memory; by bisection, since memory grows with them."""

    def fits(batch: int) -> bool:
        work = replace(built.workload, batch=batch)
        other = build_model(built.architecture, work, built.mesh)
        return rank_memory(other).total_bytes <= capacity_bytes

    if not fits(1):
        return 0
    low, high = 1, 2
    while high <= LARGEST_BATCH and fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def whole_parameters(built: BuiltModel) -> int:
    """Of all ranks together, nothing counted twice."""
    if built.mesh.ranks == 1:
        return built.parameters
    return build_model(built.architecture, built.workload, Mesh()).parameters


def figures_of(
    built: BuiltModel,
    target: Target,
    kernels: Sequence[KernelReport],
    energy_j: float,
    stage_s: float,
) -> TransformerFigures:
    """All of the above.

    Args:
        kernels: of the report, collectives included. energy_j: of one pass, of one rank of each stage.
        stage_s: time of the slowest stage.
    """
    work, mesh, memory = built.workload, built.mesh, rank_memory(built)
    tokens = work.batch * work.rows
    moved = sum(kernel.bytes for kernel in kernels)
    return TransformerFigures(
        phase=work.phase,
        batch=work.batch,
        new_tokens=work.rows,
        context=work.context,
        tp=mesh.tp,
        pp=mesh.pp,
        parameters=whole_parameters(built),
        kv_bytes_per_token=built.kv_bytes_per_token if work.phase != "encode" else 0.0,
        weights_bytes=memory.weights_bytes,
        cache_bytes=memory.cache_bytes,
        activations_bytes=memory.activations_bytes,
        communication_s=sum(kernel.latency_s or 0.0 for kernel in kernels if kernel.bound == "link"),
        stage_s=stage_s,
        tokens_per_s=tokens / stage_s if stage_s else 0.0,
        tokens_per_j=tokens / (energy_j * mesh.tp) if energy_j else 0.0,
        flops_per_byte=sum(kernel.flops for kernel in kernels) / moved if moved else 0.0,
        largest_batch=largest_batch(built, float(target.main_memory.capacity_bytes)),
    )
