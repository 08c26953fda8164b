"""Softmax and the norms."""

from __future__ import annotations

import math

import numpy as np

from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.constant import Splat
from ircost.ir.definition import OpDefinition
from ircost.ir.graph import Value
from ircost.ir.types import TensorType


@lowering("Softmax", "LogSoftmax")
def softmax(node: Node) -> Value:
    """Before opset 13 all axes from ``axis`` on were one."""
    op: OpDefinition = ops.softmax if node.proto.op_type == "Softmax" else ops.log_softmax
    x = node[0]
    if node.opset >= 13:
        return op(x, axis=node.int("axis", -1))
    axis = node.int("axis", 1) % max(x.type.rank, 1)
    if axis == x.type.rank - 1:
        return op(x, axis=-1)
    flat = ops.reshape(x, shape=(math.prod(x.type.shape[:axis]), math.prod(x.type.shape[axis:])))
    return ops.reshape(op(flat, axis=-1), shape=x.type.shape)


@lowering("BatchNormalization")
def batch_norm(node: Node) -> Value:
    if node.int("training_mode", 0) or len([name for name in node.proto.output if name]) > 1:
        raise node.error("training mode is not supported")
    return ops.batch_norm(*(node[i] for i in range(5)), epsilon=node.float("epsilon", 1e-5))


@lowering("LayerNormalization")
def layer_norm(node: Node) -> Value:
    if len([name for name in node.proto.output if name]) > 1:
        raise node.error("outputs for training (mean, inverse deviation) are not supported")
    x, scale = node[0], node[1]
    axis = node.int("axis", -1)
    bias = node.get(2) or splat(0.0, scale.type)
    return ops.layer_norm(x, scale, bias, axis=axis, epsilon=node.float("epsilon", 1e-5))


@lowering("RMSNormalization")
def rms_norm(node: Node) -> Value:
    return ops.rms_norm(node[0], node[1], axis=node.int("axis", -1), epsilon=node.float("epsilon", 1e-5))


@lowering("InstanceNormalization")
def instance_norm(node: Node) -> Value:
    x = node[0]
    return ops.group_norm(x, node[1], node[2], groups=x.type.shape[1], epsilon=node.float("epsilon", 1e-5))


@lowering("GroupNormalization")
def group_norm(node: Node) -> Value:
    """Before opset 21 scale and bias were one for each group."""
    x, scale, bias = node[0], node[1], node[2]
    groups = node.int("num_groups", 1)
    if node.opset < 21:
        scale, bias = (spread(value, x.type.shape[1] // groups) for value in (scale, bias))
    return ops.group_norm(x, scale, bias, groups=groups, epsilon=node.float("epsilon", 1e-5))


def spread(vector: Value, times: int) -> Value:
    """[g] as [g * times], each element repeated."""
    (length,) = vector.type.shape
    wide = ops.broadcast(ops.reshape(vector, shape=(length, 1)), shape=(length, times))
    return ops.reshape(wide, shape=(length * times,))


def splat(number: float, type: TensorType) -> Value:
    """One number for every element."""
    return ops.constant.create((), {"value": Splat(number)}, result_types=(type,)).result


@lowering("LRN")
def local_response_norm(node: Node) -> Value:
    """x / (bias + alpha / size * sum of squares over neighbouring channels) ** beta"""
    x, size = node[0], node.int("size", 1)
    alpha, beta, bias = node.float("alpha", 1e-4), node.float("beta", 0.75), node.float("bias", 1.0)
    n, c, *spatial = x.type.shape
    squares = ops.reshape(ops.mul(x, x), shape=(n, 1, c, math.prod(spatial)))
    before = (size - 1) // 2
    sums = ops.sum_pool(squares, window=(size, 1), strides=(1, 1), pads=((before, size - 1 - before), (0, 0)))
    sums = ops.reshape(sums, shape=x.type.shape)
    base = ops.add(ops.mul(sums, node.like(alpha / size, x)), node.like(bias, x))
    return ops.div(x, ops.pow(base, ops.constant_of(np.array(beta), x.type.dtype)))
