"""Softmax and the norms."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import TensorType, i64


@lowering("Softmax")
def softmax(node: Node) -> Value:
    return over_axis(node, lambda x, axis: ops.softmax(x, axis=axis))


@lowering("LogSoftmax")
def log_softmax(node: Node) -> Value:
    return over_axis(node, lambda x, axis: ops.log_softmax(x, axis=axis))


@lowering("Hardmax")
def hardmax(node: Node) -> Value:
    return over_axis(node, one_at_largest)


def over_axis(node: Node, make: Callable[[Value, int], Value]) -> Value:
    """``make`` along the node's axis; before opset 13 all axes from ``axis`` on were one."""
    x = node[0]
    if node.opset >= 13:
        return make(x, node.int("axis", -1))
    axis = node.int("axis", 1) % max(x.type.rank, 1)
    if axis == x.type.rank - 1:
        return make(x, -1)
    flat = ops.reshape(x, shape=(math.prod(x.type.shape[:axis]), math.prod(x.type.shape[axis:])))
    return ops.reshape(make(flat, -1), shape=x.type.shape)


def one_at_largest(x: Value, axis: int) -> Value:
    """1 at the first largest element along ``axis``, 0 elsewhere."""
    axis %= x.type.rank
    extents = tuple(n if i == axis else 1 for i, n in enumerate(x.type.shape))
    place = ops.iota.create((), {"axis": axis}, result_types=(TensorType(extents, i64),)).result
    return ops.cast(ops.equal(place, ops.argmax(x, axis=axis, keepdims=True)), to=x.type.dtype)


@lowering("BatchNormalization")
def batch_norm(node: Node) -> list[Value]:
    """With the statistics given; in training mode (opset 14 on) with those of the batch, and the running ones."""
    x, scale, bias, *running = (node[i] for i in range(5))
    epsilon = node.float("epsilon", 1e-5)
    if not node.int("training_mode", 0):
        if node.output_count > 1:
            raise node.error("training mode is not supported", help="export the model for inference")
        return [ops.batch_norm(x, scale, bias, *running, epsilon=epsilon)]
    axes = tuple(axis for axis in range(x.type.rank) if axis != 1)
    mean = ops.reduce_mean(x, axes=axes, keepdims=True)
    centred = ops.sub(x, mean)
    variance = ops.reduce_mean(ops.mul(centred, centred), axes=axes)
    mean = ops.reshape(mean, shape=running[0].type.shape)
    momentum = node.float("momentum", 0.9)
    after = [
        ops.add(ops.mul(old, node.like(momentum, old)), ops.mul(new, node.like(1 - momentum, new)))
        for old, new in zip(running, (mean, variance), strict=True)
    ]
    return [ops.batch_norm(x, scale, bias, mean, variance, epsilon=epsilon), *after]


@lowering("LayerNormalization")
def layer_norm(node: Node) -> list[Value]:
    """The norm; and where training asks for them, mean and inverse deviation."""
    x, scale = node[0], node[1]
    axis, epsilon = node.int("axis", -1), node.float("epsilon", 1e-5)
    bias = node.get(2) or ops.splat(0.0, scale.type)
    result = ops.layer_norm(x, scale, bias, axis=axis, epsilon=epsilon)
    if node.output_count == 1:
        return [result]
    axes = tuple(range(axis % x.type.rank, x.type.rank))
    mean = ops.reduce_mean(x, axes=axes, keepdims=True)
    centred = ops.sub(x, mean)
    variance = ops.reduce_mean(ops.mul(centred, centred), axes=axes, keepdims=True)
    return [result, mean, ops.rsqrt(ops.add(variance, node.like(epsilon, x)))]


@lowering("LpNormalization")
def lp_norm(node: Node) -> Value:
    """x over its norm along an axis; 0 where the norm is."""
    x, axes = node[0], (node.int("axis", -1),)
    order = node.int("p", 2)
    if order not in (1, 2):
        raise node.error(f"p = {order}, 1 or 2 expected")
    total = ops.reduce_sum(ops.abs(x) if order == 1 else ops.mul(x, x), axes=axes, keepdims=True)
    norm = total if order == 1 else ops.sqrt(total)
    zero = node.like(0, x)
    return ops.div(x, ops.where(ops.equal(norm, zero), node.like(1, x), norm))


@lowering("RMSNormalization")
def rms_norm(node: Node) -> Value:
    return ops.rms_norm(node[0], node[1], axis=node.int("axis", -1), epsilon=node.float("epsilon", 1e-5))


@lowering("InstanceNormalization")
def instance_norm(node: Node) -> Value:
    x = node[0]
    check_channels(node, x, 1)
    return ops.group_norm(x, node[1], node[2], groups=x.type.shape[1], epsilon=node.float("epsilon", 1e-5))


@lowering("GroupNormalization")
def group_norm(node: Node) -> Value:
    """Before opset 21 scale and bias were one for each group."""
    x, scale, bias = node[0], node[1], node[2]
    groups = node.int("num_groups", 1)
    check_channels(node, x, groups)
    if node.opset < 21:
        scale, bias = (spread(value, x.type.shape[1] // groups) for value in (scale, bias))
    return ops.group_norm(x, scale, bias, groups=groups, epsilon=node.float("epsilon", 1e-5))


def check_channels(node: Node, x: Value, groups: int) -> None:
    if x.type.rank < 2 or groups < 1 or x.type.shape[1] % groups:
        raise node.error(f"{x.type} has no channels (axis 1) that make up {groups} groups")


def spread(vector: Value, times: int) -> Value:
    """[g] as [g * times], each element repeated."""
    (length,) = vector.type.shape
    wide = ops.broadcast(ops.reshape(vector, shape=(length, 1)), shape=(length, times))
    return ops.reshape(wide, shape=(length * times,))


@lowering("LRN")
def local_response_norm(node: Node) -> Value:
    """x / (bias + alpha / size * sum of squares over neighbouring channels) ** beta"""
    x, size = node[0], node.int("size", 1)
    alpha, beta, bias = node.float("alpha", 1e-4), node.float("beta", 0.75), node.float("bias", 1.0)
    check_channels(node, x, 1)
    if size < 1:
        raise node.error(f"size = {size}, 1 or more expected")
    n, c, *spatial = x.type.shape
    squares = ops.reshape(ops.mul(x, x), shape=(n, 1, c, math.prod(spatial)))
    before = (size - 1) // 2
    sums = ops.sum_pool(squares, window=(size, 1), strides=(1, 1), pads=((before, size - 1 - before), (0, 0)))
    sums = ops.reshape(sums, shape=x.type.shape)
    base = ops.add(ops.mul(sums, node.like(alpha / size, x)), node.like(bias, x))
    return ops.div(x, ops.pow(base, ops.constant_of(np.array(beta), x.type.dtype)))
