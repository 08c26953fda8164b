"""Casts, with what ONNX says of narrow floats: they saturate, and powers of two round as the node asks."""

from __future__ import annotations

import ml_dtypes

from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.numpy_dtypes import numpy_dtype
from ircost.ir.types import DType, boolean, f8e8m0, f32


@lowering("Cast")
def cast(node: Node) -> Value:
    return cast_to(node, node.element_type(node.int("to", 0)))


@lowering("CastLike")
def cast_like(node: Node) -> Value:
    return cast_to(node, node[1].type.dtype)


@lowering("BitCast")
def bitcast(node: Node) -> Value:
    return ops.bitcast(node[0], to=node.element_type(node.int("to", 0)))


def cast_to(node: Node, to: DType) -> Value:
    x = node[0]
    if x.type.dtype == to:
        return x
    if to == boolean:
        return ops.not_equal(x, node.like(0, x))
    if to == f8e8m0:
        return ops.cast(power_of_two(x, node.string("round_mode", "up"), node), to=to)
    if to.is_float and to.bits == 8 and node.int("saturate", 1):
        return ops.cast(saturated(x, to), to=to)
    return ops.cast(x, to=to)


def saturated(x: Value, to: DType) -> Value:
    """x, infinities included, no further from 0 than the largest value of a narrow float; NaN stays."""
    if not x.type.dtype.is_float:
        x = ops.cast(x, to=f32)
    largest = largest_of(to)
    return ops.minimum(ops.maximum(x, ops.scalar_like(-largest, x)), ops.scalar_like(largest, x))


def largest_of(dtype: DType) -> float:
    """The largest finite value.

    >>> from ircost.ir.types import f8e4m3
    >>> largest_of(f8e4m3)
    448.0
    """
    return float(ml_dtypes.finfo(numpy_dtype(dtype)).max)  # type: ignore[no-untyped-call]


def power_of_two(x: Value, round_mode: str, node: Node) -> Value:
    """|x| as a power of two, at least 2^-127; NaN where x is infinite. Source: ONNX Cast-25."""
    x = ops.abs(ops.cast(x, to=f32) if x.type.dtype != f32 else x)
    below = ops.power_of_two_below(ops.maximum(x, ops.scalar_like(2.0**-127, x)))
    doubled = ops.minimum(ops.mul(below, ops.scalar_like(2.0, x)), ops.scalar_like(2.0**127, x))
    if round_mode == "up":
        rounded = ops.where(ops.greater(x, below), doubled, below)
    elif round_mode == "nearest":
        middle = ops.mul(below, ops.scalar_like(1.5, x))
        rounded = ops.where(ops.greater_equal(x, middle), doubled, below)
    elif round_mode == "down":
        rounded = below
    else:
        raise node.error(f"round_mode = '{round_mode}' is not known", help="up, down or nearest")
    return ops.where(ops.isinf(x), ops.scalar_like(float("nan"), x), rounded)
