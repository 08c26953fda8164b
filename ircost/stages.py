"""Stages of a pipeline, each costed as a model of its own, and how many batches are in them at once."""

from __future__ import annotations

from dataclasses import dataclass

from ircost.backends import Target
from ircost.collective_kernels import collective_kernels
from ircost.cost_models.energy import static_w
from ircost.cost_models.interface import CostModel
from ircost.cost_models.kernel_table import kernel_table
from ircost.cost_models.memory import MemoryUse, memory_use
from ircost.frontends.config.build import BuiltModel
from ircost.launching import run_seconds
from ircost.passes import PassContext, run_pipeline
from ircost.rank_memory import RankMemory, batches_held


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage, as one of its ranks runs it.

    Args:
        built: the stage alone, after the passes. latency_s: of one pass, what it sends on included.
        memory: of one batch.
    """

    built: BuiltModel
    latency_s: float
    memory: MemoryUse


def costed_stages(built: BuiltModel | None, target: Target, model: CostModel, pipeline: str) -> tuple[Stage, ...]:
    """The stages of a model that has several, first to last; none of others.

    Args:
        pipeline: passes that ran on the whole model.

    Raises:
        TargetError: the target has no links.
    """
    if built is None or built.mesh.pp == 1:
        return ()
    return tuple(_costed(built.of_stage(stage), target, model, pipeline) for stage in range(built.mesh.pp))


def fullest_stage(stages: tuple[Stage, ...]) -> Stage:
    """That whose devices hold most; the first of equals."""
    return max(stages, key=lambda stage: stage.memory.allocated_bytes)


def slowest_stage_s(stages: tuple[Stage, ...]) -> float:
    """The time of the stage that sets the pace."""
    return max(stage.latency_s for stage in stages)


@dataclass(frozen=True, slots=True)
class InFlight:
    """Batches that are in the stages at once, one behind the other.

    Args:
        batches: as many as memory holds, at most one for each stage.
        pace_s: from the end of one batch to the end of the next.
        waiting_j: of each batch, what one device of each stage draws while its stage has no batch.
    """

    batches: int
    pace_s: float
    waiting_j: float


def in_flight(
    stages: int, latency_s: float, stage_s: float, memory: RankMemory, target: Target, limit_bytes: float | None = None
) -> InFlight:
    """How fast batches follow each other.

    Each takes ``latency_s`` for all stages, and the slowest stage takes ``stage_s`` for each: of n in flight one ends
    every ``latency_s / n``, or every ``stage_s`` where that is longer.

    Args:
        latency_s: of one batch. stage_s: of the slowest stage. memory: of the fullest stage, with one batch.
        limit_bytes: what a device may take; all that the target has where left out.
    """
    capacity_bytes = float(target.main_memory.capacity_bytes if limit_bytes is None else limit_bytes)
    batches = batches_held(memory, stages, capacity_bytes)
    pace_s = stage_s if batches == stages else max(stage_s, latency_s / batches)
    return InFlight(batches, pace_s, waiting_j(stages, latency_s, pace_s, target))


def waiting_j(stages: int, latency_s: float, pace_s: float, target: Target) -> float:
    """What stages without a batch draw, of one device of each, for each batch that passes.

    Args:
        latency_s: of one batch, in which one stage works at a time. pace_s: from one batch to the next.
    """
    return static_w(target) * max(stages * pace_s - latency_s, 0.0)


def _costed(stage: BuiltModel, target: Target, model: CostModel, pipeline: str) -> Stage:
    run_pipeline(stage.module, pipeline, context=PassContext(target=target, cost_model=model.for_search))
    table = kernel_table(stage.module)
    kernels_s = float(run_seconds(table.runs, model.estimate(table, target)).sum())
    sent_s = sum(kernel.latency_s or 0.0 for kernel in collective_kernels(stage, target, model))
    return Stage(stage, kernels_s + sent_s, memory_use(stage.module, target=target))
