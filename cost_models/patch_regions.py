"""What parts of a map need of the values before it, halos included: read off the access maps, for all parts at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ircost.ir.graph import Op, Value
from ircost.ir.index import Affine, IterationSpace

Regions: TypeAlias = NDArray[np.int64]  # [axes, 2, parts]: first and last index along each axis, of each part

SPATIAL_AXES = (2, 3)  # batch and channels are before them


def patches(value: Value, grid: int) -> Regions:
    """``grid`` x ``grid`` parts of a map, row by row; where that does not divide it, the last ones are smaller."""
    ends = []
    for extent in (value.type.shape[axis] for axis in SPATIAL_AXES):
        first = np.arange(0, extent, -(-extent // grid))
        ends.append(np.stack([first, np.append(first[1:], extent) - 1]))
    rows, columns = ends
    down, across = (index.ravel() for index in np.indices((rows.shape[1], columns.shape[1])))
    found = np.repeat(whole_of(value), len(down), axis=2)
    found[SPATIAL_AXES[0]], found[SPATIAL_AXES[1]] = rows[:, down], columns[:, across]
    return found


def whole_of(value: Value) -> Regions:
    """All of it, as one part."""
    extents = np.array(value.type.shape, np.int64).reshape(-1, 1)
    return np.stack([np.zeros_like(extents), extents - 1], axis=1)


def needed_regions(ops: Sequence[Op], last: Value, regions: Regions) -> dict[Value, Regions]:
    """What parts of a value need of each before it that ops read: results, inputs and weights.

    Args:
        ops: in order, one of which makes ``last``.

    Raises:
        ValueError: an op has no access map.
    """
    needed = {last: regions}
    for op in reversed(ops):
        if op.results and op.results[0] in needed and op.operands:
            for operand, parts in zip(op.operands, operand_regions(op, needed[op.results[0]]), strict=True):
                needed[operand] = _around(needed[operand], parts) if operand in needed else parts
    return needed


def operand_regions(op: Op, regions: Regions) -> list[Regions]:
    """What parts of an op's result need of each operand, clipped to it.

    Raises:
        ValueError: the op has no access map.
    """
    if op.name != "kernel":
        space = op.definition.iteration_space(op)
        if space is None:
            raise ValueError(f"{op.name} has no access map")
        return regions_read(space, regions)
    body = op.regions[0].block
    inside = [inner for inner in body.ops if inner is not body.last]
    needed = needed_regions(inside, body.terminator.operands[0], regions)
    count = regions.shape[2]
    return [needed[a] if a in needed else np.repeat(whole_of(a), count, axis=2) for a in body.arguments]


def regions_read(space: IterationSpace, regions: Regions) -> list[Regions]:
    """Of each operand, the boxes that boxes of the result read, clipped to the operand; their halos included.

    >>> from ircost.ir.bind import bind
    >>> from ircost.ir.notation import parse_notation
    >>> space = bind(parse_notation("(o + k), k -> o"), [(10,), (3,)], {})
    >>> [parts[..., 0].tolist() for parts in regions_read(space, np.array([[[2], [4]]]))]
    [[[2, 6]], [[0, 2]]]
    """
    count = regions.shape[2]
    ranges = [np.array([[0], [dim.extent - 1]]) for dim in space.dims]
    for axis, parts in zip(space.results[0].axes, regions, strict=True):
        terms = varying_terms(axis, space)
        if len(terms) == 1 and terms[0][1] == 1 and axis.offset == 0:
            ranges[terms[0][0]] = parts
    found = []
    for access in space.operands:
        read = np.empty((len(access.axes), 2, count), np.int64)
        for i, axis in enumerate(access.axes):
            read[i] = np.clip(reach(axis, ranges), 0, axis.extent - 1)
        found.append(read)
    return found


def reach(axis: Affine, ranges: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """[2, parts]: the lowest and the highest index, over the borders too, for [2, parts] of each dim."""
    ends = np.full((2, 1), axis.offset)
    for dim, coefficient in axis.terms:
        ends = ends + coefficient * (ranges[dim] if coefficient >= 0 else ranges[dim][::-1])
    return ends


def varying_terms(axis: Affine, space: IterationSpace) -> tuple[tuple[int, int], ...]:
    return tuple(term for term in axis.terms if space.dims[term[0]].extent > 1)


def _around(one: Regions, other: Regions) -> Regions:
    return np.stack([np.minimum(one[:, 0], other[:, 0]), np.maximum(one[:, 1], other[:, 1])], axis=1)


def elements_of(regions: Regions) -> NDArray[np.int64]:
    """[parts]: how many elements each has."""
    counts: NDArray[np.int64] = (regions[:, 1] - regions[:, 0] + 1).prod(axis=0)
    return counts


def bytes_of(value: Value, regions: Regions) -> NDArray[np.int64]:
    """[parts]: what parts of a value take."""
    return (elements_of(regions) * value.type.dtype.bits + 7) // 8
