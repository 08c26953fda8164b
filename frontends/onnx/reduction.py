"""Reductions and pools."""

from __future__ import annotations

import math

import numpy as np

from ircost.frontends.onnx.node import Node, lowering
from ircost.frontends.onnx.windows import window_of
from ircost.ir import ops
from ircost.ir.definition import OpDefinition
from ircost.ir.graph import Value
from ircost.ir.types import boolean


def reduced(node: Node, op: OpDefinition, x: Value | None = None) -> Value:
    """``op`` over the node's axes: an attribute at first, an input since opset 13 or 18; all where none are named."""
    x = node[0] if x is None else x
    axes = node.ints_from("axes", 1)
    if not axes:
        if node.int("noop_with_empty_axes", 0):
            return x
        axes = tuple(range(x.type.rank))
    return op(x, axes=axes, keepdims=bool(node.int("keepdims", 1)))


@lowering("ReduceSum")
def reduce_sum(node: Node) -> Value:
    return reduced(node, ops.reduce_sum)


@lowering("ReduceMean")
def reduce_mean(node: Node) -> Value:
    return reduced(node, ops.reduce_mean)


@lowering("ReduceProd")
def reduce_prod(node: Node) -> Value:
    return reduced(node, ops.reduce_prod)


@lowering("ReduceMax")
def reduce_max(node: Node) -> Value:
    return reduced(node, ops.reduce_any if node[0].type.dtype == boolean else ops.reduce_max)


@lowering("ReduceMin")
def reduce_min(node: Node) -> Value:
    return reduced(node, ops.reduce_all if node[0].type.dtype == boolean else ops.reduce_min)


@lowering("ReduceL1")
def reduce_l1(node: Node) -> Value:
    return reduced(node, ops.reduce_sum, ops.abs(node[0]))


@lowering("ReduceSumSquare")
def reduce_sum_square(node: Node) -> Value:
    return reduced(node, ops.reduce_sum, ops.mul(node[0], node[0]))


@lowering("ReduceL2")
def reduce_l2(node: Node) -> Value:
    return ops.sqrt(reduced(node, ops.reduce_sum, ops.mul(node[0], node[0])))


@lowering("ReduceLogSum")
def reduce_log_sum(node: Node) -> Value:
    return ops.log(reduced(node, ops.reduce_sum))


@lowering("ReduceLogSumExp")
def reduce_log_sum_exp(node: Node) -> Value:
    return ops.log(reduced(node, ops.reduce_sum, ops.exp(node[0])))


@lowering("ArgMax", "ArgMin")
def arg_extreme(node: Node) -> Value:
    op = ops.argmax if node.proto.op_type == "ArgMax" else ops.argmin
    x, axis, keepdims = node[0], node.int("axis", 0), bool(node.int("keepdims", 1))
    if not node.int("select_last_index", 0):
        return op(x, axis=axis, keepdims=keepdims)
    extent = x.type.shape[axis]
    starts = tuple(n - 1 if i == axis % x.type.rank else 0 for i, n in enumerate(x.type.shape))
    steps = tuple(-1 if i == axis % x.type.rank else 1 for i in range(x.type.rank))
    flipped = ops.slice(x, starts=starts, size=x.type.shape, steps=steps)
    return ops.sub(ops.constant_of(np.array(extent - 1, np.int64)), op(flipped, axis=axis, keepdims=keepdims))


@lowering("GlobalAveragePool")
def global_average_pool(node: Node) -> Value:
    return ops.reduce_mean(node[0], axes=spatial_axes(node[0]), keepdims=True)


@lowering("GlobalMaxPool")
def global_max_pool(node: Node) -> Value:
    return ops.reduce_max(node[0], axes=spatial_axes(node[0]), keepdims=True)


def spatial_axes(x: Value) -> tuple[int, ...]:
    return tuple(range(2, x.type.rank))


@lowering("MaxPool")
def max_pool(node: Node) -> Value:
    if node.output_count > 1:
        raise node.error("the second output, positions of the maxima, is not supported")
    x = node[0]
    window = window_of(node, node.ints("kernel_shape", ()), x.type.shape[2:])
    return ops.max_pool(x, window=window.size, strides=window.strides, dilations=window.dilations, pads=window.pads)


@lowering("AveragePool")
def average_pool(node: Node) -> Value:
    x = node[0]
    window = window_of(node, node.ints("kernel_shape", ()), x.type.shape[2:])
    total = ops.sum_pool(x, window=window.size, strides=window.strides, dilations=window.dilations, pads=window.pads)
    if not any(pad for pair in window.pads for pad in pair):
        return ops.mul(total, node.like(1 / math.prod(window.size), x))
    return ops.div(total, ops.constant_of(counted(node, x, total), x.type.dtype))


@lowering("LpPool")
def lp_pool(node: Node) -> Value:
    """(sum of |x|^p over each window)^(1/p)"""
    x, order = node[0], norm_order(node)
    window = window_of(node, node.ints("kernel_shape", ()), x.type.shape[2:])
    powers = ops.mul(x, x) if order == 2 else ops.pow(ops.abs(x), node.like(order, x))
    total = ops.sum_pool(
        powers, window=window.size, strides=window.strides, dilations=window.dilations, pads=window.pads
    )
    return ops.sqrt(total) if order == 2 else ops.pow(total, node.like(1 / order, x))


@lowering("GlobalLpPool")
def global_lp_pool(node: Node) -> Value:
    x, order = node[0], norm_order(node)
    total = ops.reduce_sum(ops.pow(ops.abs(x), node.like(order, x)), axes=spatial_axes(x), keepdims=True)
    return ops.pow(total, node.like(1 / order, x))


def norm_order(node: Node) -> int:
    order = node.int("p", 2)
    if order < 1:
        raise node.error(f"p = {order}, 1 or more expected")
    return order


def counted(node: Node, x: Value, total: Value) -> np.ndarray:
    """How many elements count in each window, as [1, 1, spatial]: those in the input, or in its pads too."""
    window = window_of(node, node.ints("kernel_shape", ()), x.type.shape[2:])
    written = node.ints("pads", (0,) * 2 * len(window.size))
    include = bool(node.int("count_include_pad", 0))
    result = np.ones((1, 1, *(1,) * len(window.size)), np.float64)
    for axis, (extent, n, stride, dilation, (begin, _)) in enumerate(
        zip(x.type.shape[2:], window.size, window.strides, window.dilations, window.pads, strict=True)
    ):
        low, high = (-begin, extent + (written[len(window.size) + axis] if written else 0)) if include else (0, extent)
        outputs = np.arange(total.type.shape[2 + axis])[:, None] * stride - begin
        positions = outputs + np.arange(n) * dilation
        inside = ((positions >= low) & (positions < high)).sum(axis=1)
        shape = [1] * (2 + len(window.size))
        shape[2 + axis] = -1
        result = result * inside.reshape(shape)
    return result
