"""A module's costs put together: kernels, what ranks send each other, stages and memory, as a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ircost.backends import Target
from ircost.collective_kernels import collective_kernels
from ircost.cost_models.automatic import chosen_model
from ircost.cost_models.interface import CostModel
from ircost.cost_models.kernel_table import KernelTable, kernel_table
from ircost.cost_models.lower_bound import model_lower_bound_s
from ircost.cost_models.memory import MemoryUse, memory_use
from ircost.costed_runs import costed_runs
from ircost.frontends import Imported
from ircost.frontends.config.build import BuiltModel
from ircost.intervals import interval_of_runs, uncorrected
from ircost.ir.graph import Module
from ircost.kernel_reports import kernel_reports, node_name
from ircost.rank_memory import memory_of
from ircost.report import KernelReport, Report
from ircost.report_notes import notes_on
from ircost.stages import costed_stages, fullest_stage, slowest_stage_s
from ircost.transformer_figures import figures_of


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
        dtype: the number format that was asked for, if any: if most arithmetic is in another, a note says so.
        pipeline, source: what the report says of the passes that ran, and the model's file. Defaults: none, and the
            module's name.
        memory: of the module, if it is known already; a model in stages is reported by its fullest stage's.
        memory_limit_bytes: that has to be enough; by default the capacity of the target.
    """
    module, built = imported.module, imported.built
    model = chosen_model(cost_model, target)
    table = kernel_table(module)
    costed = costed_runs(table, model.estimate(table, target), target)
    sent = [] if built is None else uncorrected(collective_kernels(built, target, model), costed.estimates)
    kernels = (*kernel_reports(costed, target), *sent)
    stages = costed_stages(built, target, model, pipeline)
    memory = fullest_stage(stages).memory if stages else memory or memory_use(module, target=target)
    capacity_bytes = int(target.main_memory.capacity_bytes)
    limit_bytes = capacity_bytes if memory_limit_bytes is None else memory_limit_bytes
    lower_bound_s = model_lower_bound_s(module, table, costed.runs, target)
    # Each kernel may find in the caches what all together cannot: the whole model's limit is a limit of its own.
    latency_s = max(float(sum(kernel.latency_s or 0.0 for kernel in kernels)), lower_bound_s)
    low_s, high_s = interval_of_runs(costed, sent, latency_s, lower_bound_s)
    energy_j = float(sum(kernel.energy_j or 0.0 for kernel in kernels))
    figures = None
    if built is not None:
        stage_s = slowest_stage_s(stages) if stages else latency_s
        held = memory_of(fullest_stage(stages).built if stages else built, memory)
        figures = figures_of(built, target, kernels, held, latency_s, energy_j, stage_s, costed.dtype, limit_bytes)
    return Report(
        source=source or module.name,
        nodes=imported.nodes,
        target=target.name,
        target_description=target.description,
        target_digest=target.digest(),
        dtype=costed.dtype,
        model=costed.estimates.model,
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
        distinct_kernels=len({run.row for run in costed.runs}),
        load_time_ops=len(table.load_time),
        unknown=tuple(kernel.name for kernel in kernels if kernel.latency_s is None),
        pipeline=pipeline,
        notes=notes_on(imported, costed, memory, target, dtype, pipeline, figures, limit_bytes),
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
    """The latency and energy that ``report_on`` would give, without the rest of a report.

    Args:
        built: the model that the module was built from, whose ranks send each other something; None: one device.
    """
    costed = costed_runs(table, model.estimate(table, target), target)
    known = ~table.is_unknown[[run.row for run in costed.runs]]
    latency_s, energy_j = (float(sum(column[known].tolist())) for column in (costed.seconds, costed.energies_j))
    sent = [] if built is None else collective_kernels(built, target, model)
    latency_s += sum(kernel.latency_s or 0.0 for kernel in sent)
    energy_j += sum(kernel.energy_j or 0.0 for kernel in sent)
    return Totals(max(latency_s, model_lower_bound_s(module, table, costed.runs, target)), energy_j)


def _bound_shares(kernels: Sequence[KernelReport], latency_s: float) -> dict[str, float]:
    shares: dict[str, float] = {}
    for kernel in kernels:
        if kernel.latency_s:
            shares[kernel.bound] = shares.get(kernel.bound, 0.0) + kernel.latency_s / latency_s
    return dict(sorted(shares.items(), key=lambda item: -item[1]))
