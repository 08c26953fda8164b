"""Softmax and the norms: cascades of a reduction and what uses it."""

from __future__ import annotations

import math

import numpy as np

from ircost.ir.attributes import Ints
from ircost.ir.composite import composite
from ircost.ir.errors import ShapeError
from ircost.ir.graph import Value
from ircost.ir.ops.constant import constant_of
from ircost.ir.ops.elementwise import add, div, exp, log, mul, sqrt, sub
from ircost.ir.ops.reduction import reduce_max, reduce_sum
from ircost.ir.ops.shape import reshape


def scalar_like(value: float, like: Value) -> Value:
    """A constant scalar in the number format of ``like``."""
    return constant_of(np.asarray(value), like.type.dtype)


def mean(x: Value, axes: Ints) -> Value:
    """Mean over ``axes``, which stay as 1: sum, times one over the count.

    Raises:
        ShapeError: the count depends on data.
    """
    if any(axis % x.type.rank in x.type.bounded for axis in axes):
        raise ShapeError(f"mean: an extent of {x.type} depends on data, and so would the count")
    count = math.prod(x.type.shape[axis] for axis in axes)
    return mul(reduce_sum(x, axes=axes, keepdims=True), scalar_like(1 / max(count, 1), x))


@composite
def reduce_mean(x: Value, *, axes: Ints, keepdims: bool = False) -> Value:
    """Mean over ``axes``. Source: ONNX ReduceMean-18."""
    kept = mean(x, axes)
    if keepdims:
        return kept
    positive = {axis % x.type.rank for axis in axes}
    return reshape(kept, shape=tuple(n for i, n in enumerate(x.type.shape) if i not in positive))


@composite
def softmax(x: Value, *, axis: int = -1) -> Value:
    """exp(x - m) / sum(exp(x - m)) with m = max(x) along ``axis``: three passes, no overflow.

    Shapes: x and out alike. Source: ONNX Softmax-13.
    """
    exponentials = exp(sub(x, reduce_max(x, axes=(axis,), keepdims=True)))
    return div(exponentials, reduce_sum(exponentials, axes=(axis,), keepdims=True))


@composite
def log_softmax(x: Value, *, axis: int = -1) -> Value:
    """log(softmax(x)) along ``axis``, without overflow. Source: ONNX LogSoftmax-13."""
    shifted = sub(x, reduce_max(x, axes=(axis,), keepdims=True))
    return sub(shifted, log(reduce_sum(exp(shifted), axes=(axis,), keepdims=True)))


@composite
def layer_norm(x: Value, scale: Value, bias: Value, *, axis: int = -1, epsilon: float = 1e-5) -> Value:
    """(x - mean) / sqrt(var + epsilon) * scale + bias over all axes from ``axis`` on.

    Shapes: x [b.., n..], scale and bias [n..], out [b.., n..].
    Source: Ba, Kiros, Hinton 2016; ONNX LayerNormalization-17.
    """
    axes = tuple(range(axis % x.type.rank, x.type.rank))
    centred = sub(x, mean(x, axes))
    deviation = sqrt(add(mean(mul(centred, centred), axes), scalar_like(epsilon, x)))
    return add(mul(div(centred, deviation), scale), bias)


@composite
def rms_norm(x: Value, scale: Value, *, axis: int = -1, epsilon: float = 1e-5) -> Value:
    """x / sqrt(mean(x^2) + epsilon) * scale over all axes from ``axis`` on.

    Shapes: x [b.., n..], scale [n..], out [b.., n..]. Source: Zhang, Sennrich 2019; ONNX RMSNormalization-23.
    """
    axes = tuple(range(axis % x.type.rank, x.type.rank))
    return mul(div(x, sqrt(add(mean(mul(x, x), axes), scalar_like(epsilon, x)))), scale)


def per_channel(vector: Value, rank: int) -> Value:
    """A vector [c] as [c, 1, ..., 1]: broadcast over the axes behind the channel."""
    return reshape(vector, shape=(*vector.type.shape, *(1,) * (rank - 2)))


@composite
def batch_norm(x: Value, scale: Value, bias: Value, mean: Value, variance: Value, *, epsilon: float = 1e-5) -> Value:
    """Inference: (x - mean) / sqrt(variance + epsilon) * scale + bias, for each channel (axis 1).

    Shapes: x [n, c, ...], all others [c]. Source: Ioffe, Szegedy 2015; ONNX BatchNormalization-15.
    """
    factor = div(scale, sqrt(add(variance, scalar_like(epsilon, variance))))
    offset = sub(bias, mul(mean, factor))
    return add(mul(x, per_channel(factor, x.type.rank)), per_channel(offset, x.type.rank))


@composite
def group_norm(x: Value, scale: Value, bias: Value, *, groups: int, epsilon: float = 1e-5) -> Value:
    """Each group of channels to mean 0 and variance 1, then scale and bias for each channel.

    Shapes: x [n, c, ...], scale and bias [c].
    Source: Wu, He 2018; ONNX GroupNormalization-21; instance norm has groups = c.
    """
    n, c, *spatial = x.type.shape
    grouped = reshape(x, shape=(n, groups, c // groups * math.prod(spatial)))
    centred = sub(grouped, mean(grouped, (2,)))
    deviation = sqrt(add(mean(mul(centred, centred), (2,)), scalar_like(epsilon, x)))
    normal = reshape(div(centred, deviation), shape=x.type.shape)
    return add(mul(normal, per_channel(scale, x.type.rank)), per_channel(bias, x.type.rank))
