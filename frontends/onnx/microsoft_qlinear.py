"""Operators of com.microsoft on quantised tensors: dequantised, computed in single precision, quantised again."""

from __future__ import annotations

import math
from collections.abc import Callable

from ircost.frontends.onnx.contraction import scaled, zero_point
from ircost.frontends.onnx.microsoft_fused import MICROSOFT
from ircost.frontends.onnx.node import Node, lowering
from ircost.frontends.onnx.pooling import average_of_windows, spatial_axes
from ircost.frontends.onnx.quantisation import axis_last, dequantised, saturated, scalar
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.ops.quantised import integer_product
from ircost.ir.types import f32


@lowering("QLinearAdd", domain=MICROSOFT)
def add(node: Node) -> Value:
    return quantised(node, ops.add(wide(node, 0), wide(node, 3)), 6)


@lowering("QLinearMul", domain=MICROSOFT)
def mul(node: Node) -> Value:
    return quantised(node, ops.mul(wide(node, 0), wide(node, 3)), 6)


@lowering("QLinearWhere", domain=MICROSOFT)
def where(node: Node) -> Value:
    return quantised(node, ops.where(node[0], wide(node, 1), wide(node, 4)), 7)


@lowering("QLinearSigmoid", domain=MICROSOFT)
def sigmoid(node: Node) -> Value:
    return quantised(node, ops.sigmoid(wide(node, 0)), 3)


@lowering("QLinearLeakyRelu", domain=MICROSOFT)
def leaky_relu(node: Node) -> Value:
    return quantised(node, ops.leaky_relu(wide(node, 0), alpha=node.float("alpha", 0.01)), 3)


@lowering("QLinearSoftmax", domain=MICROSOFT)
def softmax(node: Node) -> Value:
    """``opset`` is that of the operator it stands for: before 13 the axes from ``axis`` on are one."""
    x = wide(node, 0)
    axis, shape = node.int("axis", -1) % x.type.rank, x.type.shape
    if node.int("opset", 13) >= 13:
        return quantised(node, ops.softmax(x, axis=axis), 3)
    rows = ops.reshape(x, shape=(*shape[:axis], math.prod(shape[axis:])))
    return quantised(node, ops.reshape(ops.softmax(rows, axis=axis), shape=shape), 3)


@lowering("QLinearConcat", domain=MICROSOFT)
def concat(node: Node) -> Value:
    """The result's scale and zero point come first, then tensor, scale and zero point of each part."""
    parts = [wide(node, at) for at in range(2, len(node.inputs), 3)]
    return quantised(node, ops.concat(*parts, axis=node.int("axis", 0)), 0)


@lowering("QLinearGlobalAveragePool", domain=MICROSOFT)
def global_average_pool(node: Node) -> Value:
    return quantised(
        node,
        channels_first(node, wide(node, 0), lambda x: ops.reduce_mean(x, axes=spatial_axes(x), keepdims=True)),
        3,
    )


@lowering("QLinearAveragePool", domain=MICROSOFT)
def average_pool(node: Node) -> Value:
    return quantised(node, channels_first(node, wide(node, 0), lambda x: average_of_windows(node, x)), 3)


@lowering("QGemm", domain=MICROSOFT)
def gemm(node: Node) -> Value:
    """alpha * A' * B' + C, where C is in the scale of the product; floats where no scale of the result is given."""
    a, b = (turned(node[i]) if node.int(name, 0) else node[i] for i, name in ((0, "transA"), (3, "transB")))
    total = integer_product(a, b, zero_point(node, 2, -2), zero_point(node, 5, -1))
    if node.get(6) is not None:
        total = ops.add(total, node[6])
    scale = ops.mul(scaled(node, scalar(node[1]), node.float("alpha", 1.0)), axis_last(node[4], -1))
    product = ops.mul(ops.cast(total, to=f32), scale)
    return product if node.get(7) is None else quantised(node, product, 7)


def wide(node: Node, at: int) -> Value:
    """The tensor at ``at`` in floats; its scale and its zero point, which may be left out, stand behind it."""
    return dequantised(node[at], one(node, at + 1), node.get(at + 2) and one(node, at + 2))


def quantised(node: Node, x: Value, at: int) -> Value:
    """A result by the scale at ``at`` and the zero point behind it, whose format it takes; without one, that of x."""
    zero = node.get(at + 1)
    to = zero.type.dtype if zero is not None else node[0].type.dtype
    ratio = ops.div(x, one(node, at))
    return saturated(node, ops.round(ratio), None if zero is None else one(node, at + 1), to)


def one(node: Node, index: int) -> Value:
    """A scale or zero point of all of a tensor."""
    value = node[index]
    if value.type.elements != 1:
        raise node.error(f"input {index} is {value.type}, one element expected")
    return scalar(value)


def channels_first(node: Node, x: Value, pool: Callable[[Value], Value]) -> Value:
    """A pool of images whose channels may be last."""
    if not node.int("channels_last", 0):
        return pool(x)
    last = x.type.rank - 1
    images = ops.transpose(x, perm=(0, last, *range(1, last)))
    return ops.transpose(pool(images), perm=(0, *range(2, last + 1), 1))


def turned(x: Value) -> Value:
    return ops.transpose(x, perm=(1, 0))
