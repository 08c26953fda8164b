"""Average pooling: a sum over each window, over how many elements count in it."""

from __future__ import annotations

import math

import numpy as np

from ircost.ir import ops
from ircost.ir.attributes import Ints, Pairs
from ircost.ir.graph import Value


def average_pool(
    x: Value,
    size: Ints,
    strides: Ints,
    dilations: Ints,
    pads: Pairs,
    counted_pads: Pairs,
    total: Value | None = None,
) -> Value:
    """The mean of each window.

    Shapes: x [n, c, ...], out [n, c, ...].

    Args:
        size, strides, dilations, pads: of the window, an entry for each spatial axis.
        counted_pads: how much of the padding counts as elements, which are 0.
        total: the sum over each window, where it is there already.
    """
    if total is None:
        total = ops.sum_pool(x, window=size, strides=strides, dilations=dilations, pads=pads)
    if not any(pad for pair in pads for pad in pair):
        return ops.mul(total, ops.scalar_like(1 / math.prod(size), x))
    counts = np.ones((1, 1, *(1,) * len(size)), np.float64)
    for axis, (extent, n, stride, dilation, (begin, _), (before, behind)) in enumerate(
        zip(x.type.shape[2:], size, strides, dilations, pads, counted_pads, strict=True)
    ):
        outputs = np.arange(total.type.shape[2 + axis])[:, None] * stride - begin
        positions = outputs + np.arange(n) * dilation
        inside = ((positions >= -before) & (positions < extent + behind)).sum(axis=1)
        shape = [1] * (2 + len(size))
        shape[2 + axis] = -1
        counts = counts * inside.reshape(shape)
    return ops.div(total, ops.constant_of(counts, x.type.dtype))
