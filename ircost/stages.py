"""Stages of a pipeline, each costed as a model of its own."""

from __future__ import annotations

from ircost.backends import Target
from ircost.collective_kernels import collective_kernels
from ircost.cost_models.interface import CostModel
from ircost.cost_models.kernel_table import kernel_table
from ircost.frontends.config.build import BuiltModel
from ircost.passes import PassContext, run_pipeline


def slowest_stage_s(built: BuiltModel, latency_s: float, target: Target, model: CostModel, pipeline: str) -> float:
    """The time of the stage that sets the pace, what it sends on included; all of ``latency_s`` where there is one.

    Args:
        latency_s: of one pass through all stages.
        pipeline: passes that ran on the whole model.

    Raises:
        TargetError: the target has no links.
    """
    if built.mesh.pp == 1:
        return latency_s
    return max(_stage_s(built.of_stage(stage), target, model, pipeline) for stage in range(built.mesh.pp))


def _stage_s(stage: BuiltModel, target: Target, model: CostModel, pipeline: str) -> float:
    run_pipeline(stage.module, pipeline, context=PassContext(target=target, cost_model=model.for_search))
    table = kernel_table(stage.module)
    latency_s = model.estimate(table, target).latency_s
    kernels_s = float(sum(latency_s[run.row] * run.count for run in table.runs))
    return kernels_s + sum(kernel.latency_s or 0.0 for kernel in collective_kernels(stage, target))
