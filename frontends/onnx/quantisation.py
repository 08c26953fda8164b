"""Linear quantisation: per tensor, and per axis."""

from __future__ import annotations

from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import DType, i32, u8


@lowering("QuantizeLinear")
def quantize_linear(node: Node) -> Value:
    """saturate(round(x / scale) + zero point)"""
    x, zero = node[0], node.get(2)
    to = zero.type.dtype if zero is not None else node.element_type(node.int("output_dtype", 0) or 2)
    if not to.is_integer:
        raise node.error(f"quantisation to {to} is not supported")
    scale = along_axis(node, node[1], x)
    rounded = ops.round(ops.div(x, scale))
    if zero is not None:
        rounded = ops.add(rounded, ops.cast(along_axis(node, zero, x), to=x.type.dtype))
    low, high = integer_range(to)
    return ops.cast(ops.minimum(ops.maximum(rounded, node.like(low, x)), node.like(high, x)), to=to)


@lowering("DequantizeLinear")
def dequantize_linear(node: Node) -> Value:
    """(x - zero point) * scale"""
    x, zero = node[0], node.get(2)
    scale = along_axis(node, node[1], x)
    if x.type.dtype.is_float:
        return ops.mul(ops.cast(x, to=scale.type.dtype), scale)
    whole = ops.cast(x, to=i32) if x.type.dtype != i32 else x
    if zero is not None:
        spread = along_axis(node, zero, x)
        whole = ops.sub(whole, ops.cast(spread, to=i32) if spread.type.dtype != i32 else spread)
    return ops.mul(ops.cast(whole, to=scale.type.dtype), scale)


def along_axis(node: Node, value: Value, x: Value) -> Value:
    """A scale or zero point such that it broadcasts against x."""
    if value.type.elements == 1:
        return ops.reshape(value, shape=()) if value.type.rank else value
    if value.type.rank != 1:
        raise node.error("blocked quantisation is not supported")
    axis = node.int("axis", 1) % x.type.rank
    return ops.reshape(value, shape=tuple(value.type.elements if i == axis else 1 for i in range(x.type.rank)))


def integer_range(dtype: DType) -> tuple[int, int]:
    if dtype.is_signed:
        return -(2 ** (dtype.bits - 1)), 2 ** (dtype.bits - 1) - 1
    return 0, 2**dtype.bits - 1


@lowering("DynamicQuantizeLinear")
def dynamic_quantize_linear(node: Node) -> list[Value]:
    """To u8, with scale and zero point from the range of x, 0 included."""
    x = node[0]
    axes = tuple(range(x.type.rank))
    zero = node.like(0, x)
    low = ops.minimum(ops.reduce_min(x, axes=axes), zero)
    high = ops.maximum(ops.reduce_max(x, axes=axes), zero)
    scale = ops.div(ops.sub(high, low), node.like(255, x))
    point = ops.minimum(ops.maximum(ops.round(ops.div(ops.neg(low), scale)), zero), node.like(255, x))
    values = ops.add(ops.round(ops.div(x, scale)), point)
    clipped = ops.minimum(ops.maximum(values, zero), node.like(255, x))
    return [ops.cast(clipped, to=u8), scale, ops.cast(point, to=u8)]
