"""Tiles of a kernel for each memory of a target: searched from the inside out, told as a schedule, and what they move.

The tiles that processors are handed come first, since they decide how much of the machine is busy; the tiles around
them are multiples of those. Within a level the search is exact among its candidates; over levels it is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ircost.backends import Target
from ircost.cost_models.engines import unit_and_peak
from ircost.cost_models.kernel_table import arithmetic_dtype
from ircost.cost_models.tile_bounds import traffic_bound_bytes
from ircost.cost_models.tile_levels import Level, levels_of
from ircost.cost_models.tile_search import Found, Work, best_tile
from ircost.cost_models.tile_traffic import (
    Column,
    Loops,
    held_bytes,
    moved_bytes,
    sizes_of,
    split_bytes,
    sums_bytes,
    trips_of,
)
from ircost.ir.counts import work_of
from ircost.ir.graph import Op
from ircost.ir.nest import Nest, NestDim
from ircost.ir.nest_reading import nest_of
from ircost.ir.schedule import Directive, Schedule

# Memory gives sectors, caches hold lines: an innermost run is no shorter. Source: CUDA C++ Programming Guide, "Device
# Memory Accesses", for 32 bytes; 64 are a line of every x86 and Arm core in the targets.
RUN_BYTES = {"gpu": 32, "cpu": 64, "accelerator": 64, "microcontroller": 4}
# Extents of a tile are these times a power of two: a quarter apart at most.
STEPS = (1, 3)
# Shorter sums, such as over a window, are taken step by step or at once.
SHORT = 8


@dataclass(frozen=True, slots=True)
class LevelFigures:
    """What a schedule asks of one memory.

    Args:
        tile: (dim, extent) of a tile, all dims that are longer than one.
        held_bytes, room_bytes: of a tile with its stages; of the memory, for tiles.
        moved_bytes: in and out, of all processors together.
        bound_bytes: no order of the computation moves fewer.
        source: the memory behind it. seconds: at its bandwidth.
        fits: whether tiles have room.
    """

    name: str
    tile: tuple[tuple[str, int], ...]
    stages: int
    held_bytes: float
    room_bytes: float
    moved_bytes: float
    bound_bytes: float
    source: str
    seconds: float
    fits: bool


@dataclass(frozen=True, slots=True)
class Given:
    """A tile that a cost model has chosen for the processors: its sizes, and how many share a reduction."""

    sizes: tuple[int, ...]
    parts: int


def find_schedule(kernel: Op, target: Target, given: Given | None = None) -> Schedule | None:
    """The schedule of a kernel op. None for what is no nest of loops, where no tile fits, and where one memory is all.

    Args:
        given: the tile that processors are handed, where somebody else has chosen it; others are searched around it.

    Raises:
        TargetError: the target cannot compute in the kernel's format.
    """
    nest = nest_of(kernel)
    if nest is None or not nest.dims or not all(dim.extent for dim in nest.dims):
        return None
    levels = levels_of(target)
    if not levels:
        return None
    found = _Tiler(nest, target, Work(compute_s(kernel, nest, target))).tiles(levels, given)
    return None if found is None else told(nest, levels, found)


class _Tiler:
    def __init__(self, nest: Nest, target: Target, work: Work) -> None:
        self.nest, self.work = nest, work
        self.candidates = [dim_candidates(nest, target, dim) for dim in range(len(nest.dims))]

    def tiles(self, levels: Sequence[Level], given: Given | None) -> dict[str, Found] | None:
        """The tile of each level by its name; None where none fits that processors are handed, or around it."""
        handed = next((place for place, level in enumerate(levels) if level.hands_out), len(levels))
        found: dict[str, Found] = {}
        inner = around = None
        if handed < len(levels):
            level = levels[handed]
            best = self._handed(level, given)
            if best is None:
                return None
            found[level.name], inner, around = best, best.sizes, best.sizes
        for level in levels[handed + 1 :]:
            assert around is not None, "a tile is handed out"
            best = best_tile(self.nest, level, self.work, [*map(within, self.candidates, around)])
            if best is None:
                break  # no room for a tile of its own: what is there streams by
            found[level.name], around = best, best.sizes
        for level in reversed(levels[:handed]):
            own = self.candidates if inner is None else [*map(multiples, self.nest.dims, inner)]
            best = best_tile(self.nest, level, self.work, own)
            if best is None:
                return None
            found[level.name], inner = best, best.sizes
        return found

    def _handed(self, level: Level, given: Given | None) -> Found | None:
        if given is None:
            return best_tile(self.nest, level, self.work, self.candidates)
        roomy = replace(level, room_bytes=np.inf, sums_bytes=np.inf)  # who chose it knows that it fits
        best = best_tile(self.nest, roomy, self.work, [(size,) for size in given.sizes])
        return None if best is None else replace(best, parts=given.parts)


def compute_s(kernel: Op, nest: Nest, target: Target) -> float:
    """Arithmetic at peak: products in the units for them, the rest beside it on the vector lanes."""
    busy = {"matrix": 0.0, "vector": 0.0}
    for op, times, once in work_of(kernel):
        engine = "matrix" if op.definition.is_contraction else "vector"
        flops = once.flops * times
        if flops:
            unit, peak_per_s = unit_and_peak(target, engine, arithmetic_dtype(op))
            busy[unit] += flops / peak_per_s
    return max(busy.values())


# ---- candidates


def dim_candidates(nest: Nest, target: Target, dim: int) -> tuple[int, ...]:
    """Extents that tiles may have of a dim: multiples of what the hardware takes at once, and all of it."""
    own = nest.dims[dim]
    if not own.is_splittable:
        return (own.extent,)
    if own.is_reduction and own.extent < SHORT:
        return 1, own.extent
    multiple = hardware_multiple(nest, target, dim)
    sizes = {multiple * step << power for step in STEPS for power in range(own.extent.bit_length() + 1)}
    return (*sorted(size for size in sizes if size < own.extent), own.extent)


def hardware_multiple(nest: Nest, target: Target, dim: int) -> int:
    """Elements of a whole run of memory where the dim is a stream's innermost axis; 1 elsewhere."""
    runs = [
        RUN_BYTES[target.kind] / stream.element_bytes
        for stream in nest.streams
        if stream.runs and stream.runs[-1].slopes == ((dim, 1),)
    ]
    return int(max([1.0, *runs]))


def within(sizes: Sequence[int], around: int) -> tuple[int, ...]:
    """Those no larger than the tile around them, and all of it."""
    return (*(size for size in sizes if size < around), around)


def multiples(dim: NestDim, inner: int) -> tuple[int, ...]:
    """Extents that hold whole tiles of ``inner``, and the whole dim."""
    sizes = {inner * step << power for step in STEPS for power in range((dim.extent // inner).bit_length() + 1)}
    return (*sorted(size for size in sizes if size < dim.extent), dim.extent)


# ---- as text, and back


def told(nest: Nest, levels: Sequence[Level], found: Mapping[str, Found]) -> Schedule:
    """Tiles and loops of all levels, stages, split."""
    directives: list[Directive] = []
    around = [dim.extent for dim in nest.dims]
    levels = [level for level in levels if level.name in found]
    for level in levels:
        best = found[level.name]
        cut = [(d.name, size) for d, size in zip(nest.dims, best.sizes, strict=True) if size < d.extent]
        trips = [-(-outer // size) for outer, size in zip(around, best.sizes, strict=True)]
        loops = [(nest.dims[dim].name, trips[dim]) for dim in best.order if trips[dim] > 1]
        directives.append(Directive("tile", tuple(cut), level.name))
        if loops:
            directives.append(Directive("loop", tuple(loops), level.name))
        around = list(best.sizes)
    stages = tuple((level.name, level.stages) for level in levels if level.stages > 1)
    if stages:
        directives.append(Directive("stages", stages))
    parts = max(best.parts for best in found.values())
    if parts > 1:
        directives.append(Directive("split", ((split_dim(nest), parts),)))
    return Schedule(tuple(directives))


def split_dim(nest: Nest) -> str:
    """The longest of the reduction's dims."""
    return max((dim for dim in nest.dims if dim.is_reduction), key=lambda dim: dim.extent).name


def figures_of(kernel: Op, schedule: Schedule, target: Target) -> tuple[LevelFigures, ...]:
    """What a kernel's schedule asks of each memory of a target that it names, from main memory inward."""
    nest = nest_of(kernel)
    if nest is None:
        return ()
    names = [dim.name for dim in nest.dims]
    levels = {level.name: level for level in levels_of(target)}
    around, loops, figures = sizes_of(nest, {}), [], []
    for name in schedule.levels:
        sizes = sizes_of(nest, schedule.tile(name), dict(zip(names, map(int, around[0]), strict=True)))
        written = [names.index(dim) for dim in schedule.loops(name)]
        order = (*written, *(dim for dim in range(len(names)) if dim not in written))
        loops.append(Loops(order, trips_of(around, sizes)))
        around = sizes
        if name in levels:
            figures.append(_figures(kernel, nest, schedule, levels[name], sizes, loops))
    return tuple(figures)


def _figures(
    kernel: Op, nest: Nest, schedule: Schedule, level: Level, sizes: Column, loops: Sequence[Loops]
) -> LevelFigures:
    parts = max(schedule.splits.values(), default=1)
    stages = schedule.stages(level.name)
    is_apart = level.sums_bytes > 0
    held = float(held_bytes(nest, sizes, stages, not is_apart)[0])
    moved = float(moved_bytes(nest, sizes, loops)[0])
    if level.copies > 1:  # parts of sums are written by one processor and read by another
        moved += float(split_bytes(nest, parts))
    sums_fit = not is_apart or float(sums_bytes(nest, sizes)[0]) <= level.sums_bytes
    return LevelFigures(
        name=level.name,
        tile=tuple((dim.name, int(size)) for dim, size in zip(nest.dims, sizes[0], strict=True)),
        stages=stages,
        held_bytes=held,
        room_bytes=level.room_bytes,
        moved_bytes=moved,
        bound_bytes=traffic_bound_bytes(kernel, nest, level),
        source=level.source,
        seconds=moved / level.source_bytes_per_s,
        fits=held <= level.room_bytes and sums_fit,
    )
