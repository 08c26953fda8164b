"""Linear quantisation: per tensor, and per axis."""

from __future__ import annotations

from ircost.frontends.onnx.casting import saturated as to_range
from ircost.frontends.onnx.contraction import convolution_of_integers, zero_point
from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.ops.normalization import per_channel
from ircost.ir.ops.quantised import integer_product, quantised_dynamically
from ircost.ir.types import DType, f32, i32


@lowering("QuantizeLinear")
@lowering("QuantizeLinear", domain="com.microsoft")
def quantize_linear(node: Node) -> Value:
    """saturate(round(x / scale) + zero point); narrow floats round by themselves"""
    x, zero = node[0], node.get(2)
    to = zero.type.dtype if zero is not None else node.element_type(node.int("output_dtype", 0) or 2)
    scale = along_axis(node, node[1], x)
    precision = node.int("precision", 0)
    inner = node.element_type(precision) if precision else f32 if x.type.dtype == i32 else x.type.dtype
    ratio = ops.div(ops.as_format(x, inner), ops.as_format(scale, inner))
    if to.bits > 16 or (to.is_float and to.bits > 8):
        raise node.error(f"quantisation to {to} is not supported", help="integers of 16 bits, floats of 8 bits at most")
    if not to.is_integer:
        return ops.cast(to_range(ratio, to) if node.int("saturate", 1) else ratio, to=to)
    return saturated(node, ops.round(ratio), None if zero is None else along_axis(node, zero, x), to)


def saturated(node: Node, rounded: Value, zero: Value | None, to: DType) -> Value:
    """Whole numbers plus a zero point, as far as an integer format goes."""
    if zero is not None:
        rounded = ops.add(rounded, ops.cast(zero, to=rounded.type.dtype))
    low, high = to.integer_range
    return ops.cast(ops.minimum(ops.maximum(rounded, node.like(low, rounded)), node.like(high, rounded)), to=to)


@lowering("DequantizeLinear")
@lowering("DequantizeLinear", domain="com.microsoft")
def dequantize_linear(node: Node) -> Value:
    """(x - zero point) * scale"""
    x, zero = node[0], node.get(2)
    scale = along_axis(node, node[1], x)
    if node.int("output_dtype", 0):
        scale = ops.as_format(scale, node.element_type(node.int("output_dtype", 0)))
    if x.type.dtype.is_float:
        return ops.mul(ops.cast(x, to=scale.type.dtype), scale)
    return dequantised(x, scale, None if zero is None else along_axis(node, zero, x))


def dequantised(x: Value, scale: Value, zero: Value | None) -> Value:
    """Integers in the format of their scale; it and the zero point broadcast against them."""
    whole = ops.cast(x, to=i32) if x.type.dtype != i32 else x
    if zero is not None:
        whole = ops.sub(whole, ops.cast(zero, to=i32) if zero.type.dtype != i32 else zero)
    return ops.mul(ops.cast(whole, to=scale.type.dtype), scale)


def along_axis(node: Node, value: Value, x: Value) -> Value:
    """A scale or zero point such that it broadcasts against x: one for all, for each row, or for each block of rows."""
    if value.type.elements == 1:
        return ops.reshape(value, shape=()) if value.type.rank else value
    axis = node.int("axis", 1) % x.type.rank
    if value.type.rank == x.type.rank and node.int("block_size", 0):
        return by_block(node, value, x, axis, node.int("block_size", 0))
    if value.type.rank != 1:
        raise node.error(f"scales of {value.type} do not fit {x.type}")
    return ops.reshape(value, shape=tuple(value.type.elements if i == axis else 1 for i in range(x.type.rank)))


def by_block(node: Node, value: Value, x: Value, axis: int, block: int) -> Value:
    """Each scale repeated for the elements of its block; the last block may be short."""
    shape, extent = value.type.shape, x.type.shape[axis]
    if shape[axis] != -(-extent // block) or (*shape[:axis], *shape[axis + 1 :]) != (
        *x.type.shape[:axis],
        *x.type.shape[axis + 1 :],
    ):
        raise node.error(f"scales of {value.type} do not fit blocks of {block} on axis {axis} of {x.type}")
    apart = ops.reshape(value, shape=(*shape[: axis + 1], 1, *shape[axis + 1 :]))
    spread = ops.broadcast(apart, shape=(*shape[: axis + 1], block, *shape[axis + 1 :]))
    whole = ops.reshape(spread, shape=(*shape[:axis], shape[axis] * block, *shape[axis + 1 :]))
    return ops.slice(whole, starts=(0,) * len(shape), size=x.type.shape)


@lowering("DynamicQuantizeLinear")
def dynamic_quantize_linear(node: Node) -> list[Value]:
    """To u8, with scale and zero point from the range of x, 0 included."""
    return [*quantised_dynamically(node[0])]


@lowering("QLinearMatMul")
def quantised_matmul(node: Node) -> Value:
    """round(integer product * (scale of a * scale of b / scale of y)) + zero point"""
    product = integer_product(node[0], node[3], zero_point(node, 2, -2), zero_point(node, 5, -1))
    return requantised(node, product, ops.mul(axis_last(node[1], -2), axis_last(node[4], -1)))


@lowering("QLinearConv")
def quantised_conv(node: Node) -> Value:
    """The same of a convolution; its bias is in the scale of the product."""
    total = convolution_of_integers(node, 2, 3, 5)
    bias, scale, rank = node.get(8), node[4], node[0].type.rank
    if bias is not None:
        total = ops.add(total, per_channel(bias, rank))
    return requantised(
        node, total, ops.mul(scalar(node[1]), per_channel(scale, rank) if scale.type.elements > 1 else scalar(scale))
    )


def requantised(node: Node, total: Value, scale: Value) -> Value:
    zero = node[7]
    ratio = ops.cast(ops.div(scale, scalar(node[6])), to=f32)
    return saturated(node, ops.round(ops.mul(ops.cast(total, to=f32), ratio)), scalar(zero), zero.type.dtype)


def scalar(value: Value) -> Value:
    return ops.reshape(value, shape=()) if value.type.rank else value


def axis_last(scale: Value, axis: int) -> Value:
    """A scale for each row (axis -2) or column (-1) of a matrix; one for all as it is."""
    if scale.type.elements == 1:
        return scalar(scale)
    return ops.reshape(scale, shape=(scale.type.elements, *(1,) * (-1 - axis)))
