"""What tiles hold and what they move: of many candidate tiles at once, columns of NumPy.

A tile of an operand is loaded where the loops around it first change it: loops further in, that do not move it, use
it again. A result whose sums are interrupted goes out and comes back. Tiles at the border are as short as they are;
padding around an operand counts as if it were read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ircost.ir.nest import Nest, Run, Stream

SUM_BYTES = 4  # partial sums are kept in 32 bits

Column = np.ndarray  # float64, a row for each candidate
Order = tuple[int, ...]  # dims, the outermost loop first


@dataclass(frozen=True, slots=True)
class Loops:
    """Loops over the tiles of one level, the outermost first.

    Args:
        trips: [candidates, dims] within the tile around them.
    """

    order: Order
    trips: Column


def run_elements(run: Run, sizes: Column) -> Column:
    """[candidates] elements along an axis that a tile touches; sizes are [candidates, dims]."""
    reach = np.full(len(sizes), float(run.base))
    for dim, slope in run.slopes:
        reach += slope * (sizes[:, dim] - 1)
    clipped: Column = np.minimum(reach, run.extent)
    return clipped


def tile_bytes(stream: Stream, sizes: Column) -> Column:
    """[candidates] bytes of one tile of a stream."""
    total = np.full(len(sizes), float(stream.element_bytes))
    for run in stream.runs:
        total *= run_elements(run, sizes)
    return total


def held_bytes(nest: Nest, sizes: Column, stages: int, with_results: bool) -> Column:
    """[candidates] bytes that a level holds: operands as often as there are stages, sums in 32 bits at least."""
    total = np.zeros(len(sizes))
    for stream in nest.streams:
        if not stream.is_result:
            total += tile_bytes(stream, sizes) * stages
    if with_results:
        total += sums_bytes(nest, sizes)
    for stream in nest.kept:
        total += tile_bytes(stream, sizes)
    return total


def sums_bytes(nest: Nest, sizes: Column) -> Column:
    """[candidates] bytes of the tiles of all results, those of sums as wide as sums are."""
    total = np.zeros(len(sizes))
    for stream in nest.streams:
        if stream.is_result:
            wide = max(stream.element_bytes, SUM_BYTES) if nest.reductions else stream.element_bytes
            total += tile_bytes(stream, sizes) / stream.element_bytes * wide
    return total


def swept_bytes(stream: Stream, sizes: Column, extents: Sequence[int]) -> Column:
    """[candidates] bytes of all tiles of a stream, each once: overlaps of neighbours as often as they are touched."""
    total = np.full(len(sizes), float(stream.element_bytes))
    for run in stream.runs:
        total *= _swept_elements(run, sizes, extents)
    return total


def _swept_elements(run: Run, sizes: Column, extents: Sequence[int]) -> Column:
    """Sum of what the tiles along one axis touch: whole tiles, and the shorter ones at the end of each dim."""
    parts = [(np.ones(len(sizes)), np.full(len(sizes), float(run.base)))]
    for dim, slope in run.slopes:
        size = sizes[:, dim]
        whole, rest = np.floor(extents[dim] / size), extents[dim] % size
        cut = ((whole, size), ((rest > 0).astype(float), np.maximum(rest, 1)))
        parts = [(count * n, reach + slope * (length - 1)) for count, reach in parts for n, length in cut]
    total: Column = sum((count * np.minimum(reach, run.extent) for count, reach in parts), start=np.zeros(len(sizes)))
    return total


def loads(stream: Stream, loops: Iterable[Loops]) -> Column | float:
    """[candidates] how often all tiles of a stream are loaded.

    Args:
        loops: of all levels, from main memory inward.
    """
    often: Column | float = 1.0
    changed: Column | bool = False  # whether a loop further in moves the stream
    for level in reversed(list(loops)):
        for dim in reversed(level.order):
            trips = level.trips[:, dim]
            if dim in stream.dims:
                changed = changed | (trips > 1)
            else:
                often = often * np.where(changed, trips, 1.0)
    return often


def moved_bytes(nest: Nest, sizes: Column, loops: Sequence[Loops]) -> Column:
    """[candidates] bytes that cross into a level, and back out of it.

    Args:
        sizes: of its tiles. loops: of all levels down to it, from main memory inward.
    """
    extents = [dim.extent for dim in nest.dims]
    total = np.zeros(len(sizes))
    for stream in nest.streams:
        total += stream_bytes(stream, swept_bytes(stream, sizes, extents), loads(stream, loops))
    return total


def stream_bytes(stream: Stream, swept: Column, often: Column | float) -> Column:
    """[candidates] bytes that a stream moves: sums that are interrupted go out and come back, in 32 bits."""
    each = 1 + (often - 1) * (2 * SUM_BYTES / stream.element_bytes) if stream.is_result else often
    moved: Column = swept * each
    return moved


def split_bytes(nest: Nest, parts: Column | float) -> Column | float:
    """Bytes of partial results that as many processors write and one reads; 0 for a single one."""
    elements = sum(float(np.prod([run.extent for run in stream.runs])) for stream in nest.streams if stream.is_result)
    return np.where(np.asarray(parts) > 1, 2.0 * SUM_BYTES * elements * parts, 0.0)


def trips_of(around: Column, sizes: Column) -> Column:
    """[candidates, dims] tiles in the tile around them."""
    trips: Column = np.ceil(around / sizes)
    return trips


def sizes_of(nest: Nest, tile: Mapping[str, int], around: Mapping[str, int] | None = None) -> Column:
    """[1, dims] of a tile as a schedule tells it; what it leaves out is as large as around it."""
    around = around or {}
    return np.array([[float(tile.get(d.name, around.get(d.name, d.extent))) for d in nest.dims]])
