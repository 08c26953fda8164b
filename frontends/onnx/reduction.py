"""Reductions."""

from __future__ import annotations

import numpy as np

from ircost.frontends.onnx.node import Node, lowering
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
