"""How a tensor lies in memory: elements from one to the next along each axis, as frameworks with views keep them."""

from __future__ import annotations

import math
from collections.abc import Sequence

Strides = tuple[int, ...]


def row_major(shape: Sequence[int]) -> Strides:
    """Of a tensor without gaps, the last axis innermost.

    >>> row_major((2, 3, 4))
    (12, 4, 1)
    """
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def ordered(shape: Sequence[int], order: Sequence[int]) -> Strides:
    """Of a tensor without gaps whose axes lie in another order, outermost first.

    >>> ordered((2, 3, 4, 4), (0, 2, 3, 1))
    (48, 1, 12, 3)
    """
    packed = row_major([shape[axis] for axis in order])
    return tuple(packed[order.index(axis)] for axis in range(len(shape)))


def axis_order(shape: Sequence[int], strides: Strides) -> tuple[int, ...]:
    """Axes from the outermost in memory to the innermost; those of one element stay where they are.

    >>> axis_order((2, 3, 4, 4), (48, 1, 12, 3))
    (0, 2, 3, 1)
    """
    long = [axis for axis, extent in enumerate(shape) if extent > 1]
    ranked = iter(sorted(long, key=lambda axis: -strides[axis]))
    return tuple(next(ranked) if extent > 1 else axis for axis, extent in enumerate(shape))


def lies_in_order(shape: Sequence[int], strides: Strides, order: Sequence[int]) -> bool:
    """Whether nothing lies between the elements and the axes come in that order; axes of one element do not matter."""
    wanted = ordered(shape, order)
    return all(extent == 1 or have == want for extent, have, want in zip(shape, strides, wanted, strict=True))


def is_row_major(shape: Sequence[int], strides: Strides) -> bool:
    return lies_in_order(shape, strides, range(len(shape)))


def reshaped(shape: Sequence[int], strides: Strides, new: Sequence[int]) -> Strides | None:
    """Strides under another shape; None where elements would have to move.

    Source: PyTorch, aten/src/ATen/TensorUtils.cpp, ``computeStride``.

    >>> reshaped((2, 3, 4), (12, 4, 1), (6, 4)), reshaped((3, 2, 4), (4, 12, 1), (6, 4))
    ((4, 1), None)
    """
    if not math.prod(shape):
        return row_major(new)
    found = [1] * len(new)
    open_axis, run, filled, step = len(new) - 1, 1, 1, strides[-1] if strides else 1
    for axis in reversed(range(len(shape))):
        run *= shape[axis]
        if axis and (shape[axis - 1] == 1 or strides[axis - 1] == run * step):
            continue  # the next axis further out goes on where this one ends
        while open_axis >= 0 and (filled < run or new[open_axis] == 1):
            found[open_axis] = filled * step
            filled *= new[open_axis]
            open_axis -= 1
        if filled != run:
            return None
        if axis:
            step, run, filled = strides[axis - 1], 1, 1
    return tuple(found) if open_axis < 0 else None
