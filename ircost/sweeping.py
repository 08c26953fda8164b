"""A model at many sizes: each a point with its latency, throughput, energy and memory, all priced together."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ircost.backends import Target
from ircost.collective_kernels import collective_kernels_of, notes_on_links
from ircost.cost_models.interface import CostModel, Estimates
from ircost.cost_models.kernel_table import KernelRun, KernelTable, table_of_modules
from ircost.cost_models.lower_bound import LowerBounds
from ircost.cost_models.memory import memory_use
from ircost.cost_models.side_by_side import side_by_side
from ircost.costed_runs import costed_runs, main_dtype
from ircost.dequantised import noted
from ircost.frontends import Imported, ImportOptions, load
from ircost.frontends.config.architecture import Architecture
from ircost.frontends.config.frontend import build_pass, read_architecture
from ircost.frontends.config.plan import AXES, with_axes
from ircost.intervals import interval_of_runs, uncorrected
from ircost.ir.collector import collector_paused
from ircost.ir.errors import IrcError
from ircost.ir.load_time import load_time_ops
from ircost.passes import Pass, PassContext, parse_pipeline, run_pipeline
from ircost.passes.fuse import Fuse
from ircost.rank_memory import memory_of
from ircost.report import KernelReport
from ircost.report_notes import notes_on_autocast, notes_on_format, weight_only_notes
from ircost.stages import InFlight, Stage, costed_stages, fullest_stage, in_flight, slowest_stage_s
from ircost.sweep_axes import SweepError
from ircost.sweep_points import Sweep, SweepPoint, with_knees

FEWEST_POINTS = 100  # that are worth a process of their own


def sweep(
    model: Path | Architecture,
    options: ImportOptions,
    axes: Mapping[str, Sequence[int]],
    target: Target,
    cost_model: CostModel,
    pipeline: str,
    processes: int = 1,
) -> Sweep:
    """Every combination of the axes' values.

    Args:
        model: a file, or a configuration that was read.
        axes: dims of the model; of a configuration also the axes of its mesh, such as ``tp``.
        options: of all points; the axes' dims come on top.
        pipeline: passes that run on each.
        processes: that many points are split over; copies of this one, which is no good while threads run in it.

    Raises:
        IrcError: a point cannot be built; says which. Where axes of the mesh are swept, no point can.
    """
    context = PassContext(target=target, cost_model=cost_model.for_search)
    sizes = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    passes = tuple(parse_pipeline(pipeline))
    if isinstance(model, Path) and model.suffix == ".json":
        model = read_architecture(model)

    def points_at(some: Sequence[dict[str, int]]) -> list[tuple[SweepPoint, tuple[str, ...]] | SweepError]:
        with collector_paused():
            read = [_point(model, options, dims) for dims in some]
            imported = [noted(point, target, pipeline) for point in read if isinstance(point, Imported)]
            built = _rewritten(imported, passes, context)
            table, runs = table_of_modules(imported.module for imported in built)
            priced = _Priced(
                table,
                cost_model.estimate(table, target),
                LowerBounds(table, target),
                target,
                (
                    *_notes_on_format(table, runs, options),
                    *_notes_on_autocast(built, pipeline, target),
                    *weight_only_notes(table, target),
                ),
            )
            stages = [costed_stages(imported.built, target, cost_model, pipeline) for imported in built]
            own = [dims for dims, point in zip(some, read, strict=True) if isinstance(point, Imported)]
            points = map(priced.point, own, built, runs, _sent(built, target, cost_model), stages)
            priced_points = zip(points, (priced.notes(imported) for imported in built), strict=True)
            return [point if isinstance(point, SweepError) else next(priced_points) for point in read]

    found = side_by_side(points_at, sizes, processes, FEWEST_POINTS)
    left_out = [point for point in found if isinstance(point, SweepError)]
    if left_out and (len(left_out) == len(found) or not axes.keys() & _mesh_axes(model)):
        raise left_out[0]
    points, notes = zip(*(point for point in found if not isinstance(point, SweepError)), strict=True)
    return Sweep(
        {name: tuple(values) for name, values in axes.items()},
        tuple(with_knees(points, axes)),
        "tokens" if isinstance(model, Architecture) else "items",
        (*(note for note in notes[0] if all(note in others for others in notes)), *_told(left_out, len(found))),
    )


def _mesh_axes(model: Path | Architecture) -> frozenset[str]:
    """What can be swept beside dims: files may have dims of these names."""
    return frozenset((*AXES, "redundant") if isinstance(model, Architecture) else ())


def _point(model: Path | Architecture, options: ImportOptions, sizes: dict[str, int]) -> Imported | SweepError:
    """The model at one size; why there is none."""
    axes = {name: size for name, size in sizes.items() if name in _mesh_axes(model)}
    dims = {name: size for name, size in sizes.items() if name not in axes}
    read = partial(build_pass, model) if isinstance(model, Architecture) else partial(load, model)
    try:
        mesh = with_axes(options.mesh, axes) if axes else options.mesh
        return read(replace(options, dims={**options.dims, **dims}, mesh=mesh))
    except IrcError as error:
        place = ", ".join(f"{name}={value}" for name, value in sizes.items())
        return SweepError(f"at {place}: {error.message}", help=error.help)


def _told(left_out: Sequence[SweepError], count: int) -> list[str]:
    """That some points are missing, and why the first is."""
    if not left_out:
        return []
    return [f"{len(left_out):,} of {count:,} points are left out, which no such mesh can run; {left_out[0].message}"]


def _rewritten(points: Iterable[Imported], passes: tuple[Pass, ...], context: PassContext) -> list[Imported]:
    """All after the passes. The first is verified after each pass; the others differ from it in extents only."""
    built = list(points)
    if built:
        run_pipeline(built[0].module, passes, context=context)
    others = [imported.module for imported in built[1:]]
    for each in passes:
        if isinstance(each, Fuse):
            each.run_together(others, context)
        else:
            for module in others:
                each.run(module, context)
    return built


def _notes_on_format(
    table: KernelTable, runs: Sequence[tuple[KernelRun, ...]], options: ImportOptions
) -> Iterator[str]:
    """Of the first point, as ``main_dtype`` has them."""
    if options.dtype is not None and runs:
        yield from notes_on_format(options.dtype.name, main_dtype(table, runs[0]))


def _notes_on_autocast(points: Sequence[Imported], pipeline: str, target: Target) -> Iterator[str]:
    """Of the first point: all have the same weights."""
    for imported in points[:1]:
        block = imported.module.main.block
        at_load = load_time_ops(block)
        yield from notes_on_autocast([op for op in block.ops if op in at_load], pipeline, target)


def _sent(points: Sequence[Imported], target: Target, model: CostModel) -> list[list[KernelReport]]:
    """What the ranks of each point's model send each other."""
    models = [imported.built for imported in points if imported.built is not None]
    return collective_kernels_of(models, target, model) if len(models) == len(points) else [[] for _ in points]


@dataclass(frozen=True, slots=True)
class _Priced:
    """The kernels of all points, and what the machine makes of them.

    Args:
        formats: notes on formats that it makes something else of, which all points of a model share.
    """

    table: KernelTable
    estimates: Estimates
    bounds: LowerBounds
    target: Target
    formats: tuple[str, ...] = ()

    def notes(self, imported: Imported) -> tuple[str, ...]:
        """Of one point, before it is known which all points have."""
        networks = [] if imported.built is None else notes_on_links(imported.built, self.target)
        return (*self.estimates.notes, *imported.notes, *self.formats, *networks)

    def point(
        self,
        dims: dict[str, int],
        imported: Imported,
        all_runs: tuple[KernelRun, ...],
        sent: Sequence[KernelReport],
        stages: tuple[Stage, ...],
    ) -> SweepPoint:
        costed = costed_runs(replace(self.table, runs=all_runs), self.estimates, self.target)
        shares: dict[str, float] = {}
        for run, seconds in zip(costed.runs, costed.seconds, strict=True):
            bound = self.estimates.bound_names[int(self.estimates.bound[run.row])]
            shares[bound] = shares.get(bound, 0.0) + float(seconds)
        energy_j = float(costed.energies_j.sum())
        ranks, devices, items = 1, 1, max(imported.batch_dims.values(), default=1)
        if imported.built is not None:
            shares["link"] = sum(kernel.latency_s or 0.0 for kernel in sent)
            energy_j += sum(kernel.energy_j or 0.0 for kernel in sent)
            work, mesh = imported.built.workload, imported.built.mesh
            ranks, devices, items = mesh.stage_ranks, mesh.ranks, work.batch * work.rows
        lower_bound_s = self.bounds.of(imported.module, costed.runs)
        latency_s = max(sum(shares.values()), lower_bound_s)
        bound = max(shares, key=lambda name: shares[name], default="")
        messages = uncorrected(sent, self.estimates)
        low_s, high_s = interval_of_runs(costed, messages, latency_s, lower_bound_s)
        memory = fullest_stage(stages).memory if stages else memory_use(imported.module, target=self.target)
        flow = self._flow(stages, latency_s)
        return SweepPoint(
            dims=dims,
            latency_s=latency_s,
            low_s=low_s,
            high_s=high_s,
            lower_bound_s=lower_bound_s,
            energy_j=energy_j,
            items=items,
            devices=devices,
            stages=len(stages) or 1,
            batches_in_flight=flow.batches,
            items_per_s=items / flow.pace_s if flow.pace_s else 0.0,
            items_per_j=items / ((energy_j + flow.waiting_j) * ranks) if energy_j else 0.0,
            memory_bytes=memory.allocated_bytes,
            fits=self.target.holds(memory.weights_bytes, memory.allocation.arena_bytes),
            bound=bound,
            bound_share=shares[bound] / latency_s if latency_s else 0.0,
        )

    def _flow(self, stages: tuple[Stage, ...], latency_s: float) -> InFlight:
        """Batches one behind the other; one at a time if there are no stages."""
        if not stages:
            return InFlight(1, latency_s, 0.0)
        fullest = fullest_stage(stages)
        held = memory_of(fullest.built, fullest.memory)
        return in_flight(len(stages), latency_s, slowest_stage_s(stages), held, self.target)
