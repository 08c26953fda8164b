"""A model at many sizes: each a point with its latency, throughput, energy and memory, all priced together."""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ircost.backends import Target
from ircost.bound_text import bound_text
from ircost.collective_kernels import collective_kernels_of, notes_on_links
from ircost.cost_models.interface import CostModel, Estimates
from ircost.cost_models.kernel_table import KernelRun, KernelTable, table_of_modules
from ircost.cost_models.lower_bound import LowerBounds
from ircost.cost_models.memory import memory_use
from ircost.cost_models.side_by_side import side_by_side
from ircost.costing import branches_taken, main_dtype, notes_on_format, weight_only_notes
from ircost.dequantised import noted
from ircost.frontends import Imported, ImportOptions, load
from ircost.frontends.config.architecture import Architecture
from ircost.frontends.config.frontend import build_pass, read_architecture
from ircost.frontends.config.plan import AXES, with_axes
from ircost.intervals import interval_of_runs, uncorrected
from ircost.ir.collector import collector_paused
from ircost.ir.errors import IrcError
from ircost.launching import run_energies_j, run_seconds
from ircost.passes import Pass, PassContext, parse_pipeline, run_pipeline
from ircost.passes.fuse import Fuse
from ircost.rank_memory import memory_of
from ircost.report import KernelReport
from ircost.stages import Stage, costed_stages, fullest_stage, in_flight, slowest_stage_s

MOST_POINTS = 20_000
FEWEST_POINTS = 100  # that are worth a process of their own
# What limits a point changes over to something else where this part of its latency does.
LEVEL = 0.5  # elasticity below which throughput has levelled off


class SweepError(IrcError):
    """What is to be swept cannot be read."""


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One size.

    Args:
        dims: by name, axes of the mesh as well.
        latency_s, lower_bound_s, energy_j: of one run; energy of one device.
        low_s, high_s: ends of the interval of 90 % around the latency; None of cost models that give none.
        items: what one run does: new tokens of all sequences, or examples of a batch.
        devices: that it takes.
        stages: of the mesh. batches_in_flight: that are in them at once: one for each, or as many as memory holds.
        items_per_s, items_per_j: of all devices together, with so many batches in flight; idle power of stages that
            wait is included.
        memory_bytes: of the device that holds most, with one batch; fits: whether its memory is enough for that.
        bound: what limits most of the latency; bound_share: how much of it.
        knee: what takes over here from what limited the point before, that throughput levels off, or that memory ends,
            in words; "" elsewhere.
        cost_per_million: items, at the price of all devices; None where no price was given.
    """

    dims: dict[str, int]
    latency_s: float
    low_s: float | None
    high_s: float | None
    lower_bound_s: float
    energy_j: float
    items: int
    devices: int
    stages: int
    batches_in_flight: int
    items_per_s: float
    items_per_j: float
    memory_bytes: int
    fits: bool
    bound: str
    bound_share: float
    knee: str = ""
    cost_per_million: float | None = None

    def to_dict(self) -> dict[str, Any]:
        values = asdict(self)
        return {**values.pop("dims"), **values}


@dataclass(frozen=True, slots=True, repr=False)
class Sweep:
    """Args:
    axes: what was swept, and its values. points: in the order of the axes, the last running fastest; where axes of the
        mesh are among them, without those that no such mesh can run.
    items: what is counted: ``tokens`` of a language model, ``items`` of all others.
    notes: what the reader should know of every point.
    """

    axes: dict[str, tuple[int, ...]]
    points: tuple[SweepPoint, ...]
    items: str = "items"
    notes: tuple[str, ...] = ()

    def priced(self, price_per_hour: float) -> Sweep:
        """With what a million items cost.

        Args:
            price_per_hour: of one device, in any currency.
        """
        each_item = price_per_hour / 3600.0
        points = [
            replace(point, cost_per_million=1e6 * each_item * point.devices / point.items_per_s)
            if point.items_per_s
            else point
            for point in self.points
        ]
        return replace(self, points=tuple(points))

    @property
    def spans_meshes(self) -> bool:
        """Whether points differ in how many devices they take."""
        return len({point.devices for point in self.points}) > 1

    def __repr__(self) -> str:
        axes = ", ".join(f"{name} {values[0]:,} to {values[-1]:,}" for name, values in self.axes.items())
        return f"<Sweep of {len(self.points):,} points: {axes}>"

    def _repr_html_(self) -> str:
        """What notebooks show."""
        from ircost.answer_html import sweep_html

        return sweep_html(self)

    def to_columns(self) -> dict[str, list[Any]]:
        """The points as columns by name: what frames take."""
        rows = [point.to_dict() for point in self.points]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def to_csv(self) -> str:
        """The points, a line each, with a header."""
        out = io.StringIO()
        rows = [point.to_dict() for point in self.points]
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()


def parse_axes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """``batch=1,2,4..256`` and ``context=1024..8192:1024``: values, runs that double, runs by steps.

    Raises:
        SweepError: no such form, an axis twice, or too many points.

    >>> parse_axes(["batch=1,2,4..32", "context=1024..4096:1024"])
    {'batch': (1, 2, 4, 8, 16, 32), 'context': (1024, 2048, 3072, 4096)}
    """
    axes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not name or not values:
            raise SweepError(f"--sweep {text}: no values", help="such as --sweep batch=1,2,4..256")
        if name in axes:
            raise SweepError(f"--sweep {name} is given twice", help="put all values into one: --sweep batch=1,4..64")
        axes[name] = tuple(value for item in values.split(",") for value in _values(text, item.strip()))
    return checked_axes(axes)


def checked_axes(axes: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """Each value of each axis once.

    Raises:
        SweepError: no axis or no value, a value below one, or too many points.
    """
    if not axes:
        raise SweepError("nothing to sweep", help="name a dim and its sizes: batch=1,2,4")
    for name, values in axes.items():
        if not values:
            raise SweepError(f"axis {name} has no values", help=f"such as {name}=1,2,4")
        if min(values) < 1:
            raise SweepError(f"axis {name} has the value {min(values)}", help="sizes are one or more")
    found = {name: tuple(dict.fromkeys(values)) for name, values in axes.items()}
    count = int(np.prod([len(values) for values in found.values()], dtype=float))
    if count > MOST_POINTS:
        raise SweepError(f"{count:,} points, {MOST_POINTS:,} are the most", help="take fewer values, or larger steps")
    return found


def _values(text: str, item: str) -> Iterator[int]:
    first, dots, rest = item.partition("..")
    last, colon, step = rest.partition(":")
    words = [first, *([last] if dots else []), *([step] if colon else [])]
    if not all(word.strip().isdecimal() and int(word) > 0 for word in words):
        raise SweepError(f"--sweep {text}: '{item}' is no value", help="whole numbers, 4..256 or 1024..8192:1024")
    value, end = int(first), int(last) if dots else int(first)
    if end < value:
        raise SweepError(f"--sweep {text}: '{item}' runs backwards")
    if colon and (end - value) // int(step) > MOST_POINTS:
        raise SweepError(f"--sweep {text}: '{item}' has too many values")
    while value <= end:
        yield value
        value = value + int(step) if colon else 2 * value


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
                (*_notes_on_format(table, runs, options), *weight_only_notes(table, target)),
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
        tuple(_with_knees(points, axes)),
        "tokens" if isinstance(model, Architecture) else "items",
        (*(note for note in notes[0] if all(note in others for others in notes)), *_told(left_out, len(found))),
    )


def _notes_on_format(
    table: KernelTable, runs: Sequence[tuple[KernelRun, ...]], options: ImportOptions
) -> Iterator[str]:
    """Of the first point, as ``main_dtype`` has them."""
    if options.dtype is not None and runs:
        yield from notes_on_format(options.dtype.name, main_dtype(table, runs[0]))


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
        estimates = self.estimates
        runs = branches_taken(replace(self.table, runs=all_runs), estimates)
        rows = np.array([run.row for run in runs], dtype=int)
        own_s = run_seconds(runs, estimates)
        shares: dict[str, float] = {}
        for row, seconds in zip(rows, own_s, strict=True):
            bound = estimates.bound_names[int(estimates.bound[row])]
            shares[bound] = shares.get(bound, 0.0) + float(seconds)
        energy_j = float(run_energies_j(runs, own_s, estimates, self.target).sum())
        ranks, devices, batches, items = 1, 1, 1, max(imported.batch_dims.values(), default=1)
        if imported.built is not None:
            shares["link"] = sum(kernel.latency_s or 0.0 for kernel in sent)
            energy_j += sum(kernel.energy_j or 0.0 for kernel in sent)
            work = imported.built.workload
            mesh = imported.built.mesh
            ranks, devices, items = mesh.stage_ranks, mesh.ranks, work.batch * work.rows
        lower_bound_s = self.bounds.of(imported.module, runs)
        latency_s = max(sum(shares.values()), lower_bound_s)
        bound = max(shares, key=lambda name: shares[name], default="")
        messages = uncorrected(sent, estimates)
        low_s, high_s = interval_of_runs(estimates, runs, own_s, messages, latency_s, lower_bound_s)
        pace_s, waiting_j = latency_s, 0.0
        if stages:
            fullest = fullest_stage(stages)
            memory, held = fullest.memory, memory_of(fullest.built, fullest.memory)
            flow = in_flight(len(stages), latency_s, slowest_stage_s(stages), held, self.target)
            batches, pace_s, waiting_j = flow.batches, flow.pace_s, flow.waiting_j
        else:
            memory = memory_use(imported.module, target=self.target)
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
            batches_in_flight=batches,
            items_per_s=items / pace_s if pace_s else 0.0,
            items_per_j=items / ((energy_j + waiting_j) * ranks) if energy_j else 0.0,
            memory_bytes=memory.allocated_bytes,
            fits=self.target.holds(memory.weights_bytes, memory.allocation.arena_bytes),
            bound=bound,
            bound_share=shares[bound] / latency_s if latency_s else 0.0,
        )


def _with_knees(points: Sequence[SweepPoint], axes: Mapping[str, Sequence[int]]) -> Iterator[SweepPoint]:
    """Points along the last axis where something else begins to limit, throughput levels off, or memory ends."""
    *others, axis = axes or ("",)
    for _, along in itertools.groupby(points, key=lambda point: [point.dims[name] for name in others]):
        line = list(along)
        gains = [_elasticity(axis, *pair) for pair in itertools.pairwise(line)]
        yield line[0]
        for number, (before, point) in enumerate(itertools.pairwise(line)):
            levels_off = number > 0 and gains[number] < LEVEL <= gains[number - 1]
            yield replace(point, knee=", ".join(_knees(axis, before, point, levels_off)))


def _elasticity(axis: str, before: SweepPoint, point: SweepPoint) -> float:
    """By how many percent throughput grows for one percent more of the axis; at two sizes of one kind 0."""
    sizes = point.dims[axis] / before.dims[axis]
    if sizes == 1 or not before.items_per_s or not point.items_per_s:
        return 0.0
    return math.log(point.items_per_s / before.items_per_s) / math.log(sizes)


def _knees(axis: str, before: SweepPoint, point: SweepPoint, levels_off: bool) -> Iterator[str]:
    if before.bound != point.bound:
        yield f"from {bound_text(before.bound)} to {bound_text(point.bound)}"
    if levels_off:
        times = point.dims[axis] / before.dims[axis]
        yield f"levels off: {point.items_per_s / before.items_per_s:.2f} times as fast for {times:.3g} times the {axis}"
    if before.batches_in_flight == before.stages and point.fits and point.batches_in_flight < point.stages:
        yield f"stages begin to wait: memory holds {point.batches_in_flight} of {point.stages} batches"
    if before.fits and not point.fits:
        yield "does not fit any more"
