"""Pooling: windows that slide over the spatial axes and reduce to one element each."""

from __future__ import annotations

import math

from ircost.ir.attributes import Ints, Pairs
from ircost.ir.scalar import Scalar
from ircost.ir.structured import structured_op

POOL = "n c (o..*strides + window..*dilations - pads) -> n c o.."


@structured_op(POOL, reduce="max", types="N -> N", padding=-math.inf)
def max_pool(x: Scalar, *, window: Ints, strides: Ints = (), dilations: Ints = (), pads: Pairs = ()) -> Scalar:
    """Largest element of each window; padding never wins.

    Shapes: x [n, c, ...], out [n, c, ...]. Source: ONNX MaxPool-22; ceil_mode and auto_pad become end pads.
    """
    return x


@structured_op(POOL, reduce="argmax", types="N -> i64", padding=-math.inf)
def max_pool_position(x: Scalar, *, window: Ints, strides: Ints = (), dilations: Ints = (), pads: Pairs = ()) -> Scalar:
    """Where in each window the first largest element stands, counted row by row. Source: ONNX MaxPool-22."""
    return x


@structured_op(POOL, reduce="sum", types="N -> N")
def sum_pool(x: Scalar, *, window: Ints, strides: Ints = (), dilations: Ints = (), pads: Pairs = ()) -> Scalar:
    """Sum of each window; padding counts as 0. The average divides it by how many elements count.

    Shapes: x [n, c, ...], out [n, c, ...]. Source: ONNX AveragePool-22.
    """
    return x
