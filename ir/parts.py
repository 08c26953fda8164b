"""Tensors that are parts of another one as it lies in memory, so that no element has to move."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ircost.ir.graph import Op
from ircost.ir.index import Access, IterationSpace


def place_in_operand(op: Op) -> int | None:
    """Elements from the start of the only operand to where the result lies in it, row-major; None where it does not.

    Read off the access maps of an op that moves elements and does nothing else: along each dim, operand and result
    have to step by the same number of elements, and no read may be outside. So a slice along the first axis that is
    longer than one is part of its operand; one along a later axis is not.

    >>> from ircost.ir.parser import parse_module
    >>> slice = "%y = slice %x {starts = [0, 1, 0], size = [1, 2, 8]}"
    >>> module = parse_module(f"func @main(%x: 1x4x8xf32) -> 1x2x8xf32 {{ {slice} return %y }}")
    >>> place_in_operand(module.main.block.first)
    8
    """
    if (
        len(op.operands) != 1
        or not op.definition.is_move
        or op.operands[0].type.dtype != op.result.type.dtype
        or not op.result.type.elements
    ):
        return None
    space = op.definition.iteration_space(op)
    if space is None or any(type.bounded for type in (op.operands[0].type, op.result.type)):
        return None
    (read,), (written,) = space.operands, space.results
    if not _is_inside(read, space):
        return None
    steps_read, start = _row_major(read, space)
    steps_written, _ = _row_major(written, space)
    is_same = all(dim.extent == 1 or steps_read[i] == steps_written[i] for i, dim in enumerate(space.dims))
    return start if is_same else None


def places_of_parts(op: Op) -> tuple[int, ...] | None:
    """Elements from the start of the result to where each operand lies in it as it is; None where one does not."""
    axis = op.definition.joined_axis(op)
    if axis is None or math.prod(op.result.type.shape[:axis]) != 1 or op.result.type.bounded:
        return None
    places = [0]
    for operand in op.operands:
        places.append(places[-1] + operand.type.elements)
    return tuple(places[:-1])


def _is_inside(access: Access, space: IterationSpace) -> bool:
    for axis in access.axes:
        ends = [sorted((0, coefficient * (space.dims[dim].extent - 1))) for dim, coefficient in axis.terms]
        low, high = (axis.offset + sum(end[side] for end in ends) for side in (0, 1))
        if low < 0 or high >= axis.extent:
            return False
    return True


def _row_major(access: Access, space: IterationSpace) -> tuple[Sequence[int], int]:
    """Elements that each dim steps by, and where the first point is."""
    steps, start, stride = [0] * len(space.dims), 0, 1
    for axis in reversed(access.axes):
        start += axis.offset * stride
        for dim, coefficient in axis.terms:
            steps[dim] += coefficient * stride
        stride *= axis.extent
    return steps, start
