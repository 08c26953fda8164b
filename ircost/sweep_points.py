"""The answer of a sweep: a point for each size, and where along an axis something changes."""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ircost.bound_text import bound_text

LEVEL = 0.5  # elasticity below which throughput has levelled off


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


def with_knees(points: Sequence[SweepPoint], axes: Mapping[str, Sequence[int]]) -> Iterator[SweepPoint]:
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
