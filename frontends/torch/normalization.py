"""Softmax and the norms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ircost.frontends.torch.call import Call, lowering
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import TensorType


@lowering("softmax.int", "_softmax", "_safe_softmax")
def softmax(call: Call, x: Value, dim: int, *rest: Any, **options: Any) -> Value:
    return ops.softmax(call.operand(x), axis=dim)


@lowering("log_softmax.int", "_log_softmax")
def log_softmax(call: Call, x: Value, dim: int, *rest: Any, **options: Any) -> Value:
    return ops.log_softmax(call.operand(x), axis=dim)


def or_full(value: Value | None, number: float, shape: Sequence[int], like: Value) -> Value:
    return ops.splat(number, TensorType(tuple(shape), like.type.dtype)) if value is None else value


@lowering("layer_norm")
def layer_norm(
    call: Call,
    x: Value,
    shape: Sequence[int],
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Value:
    scale, offset = or_full(weight, 1.0, shape, x), or_full(bias, 0.0, shape, x)
    return ops.layer_norm(x, scale, offset, axis=x.type.rank - len(shape), epsilon=eps)


@lowering("native_layer_norm")
def native_layer_norm(
    call: Call, x: Value, shape: Sequence[int], weight: Value | None, bias: Value | None, eps: float
) -> list[Value]:
    """The norm, mean and inverse deviation; the last two are dropped where nobody reads them."""
    axes = tuple(range(x.type.rank - len(shape), x.type.rank))
    normal = layer_norm(call, x, shape, weight, bias, eps)
    assert isinstance(normal, Value), "one result"
    return [normal, *statistics(x, axes, eps)]


def statistics(x: Value, axes: tuple[int, ...], eps: float) -> list[Value]:
    mean = ops.reduce_mean(x, axes=axes, keepdims=True)
    centred = ops.sub(x, mean)
    variance = ops.reduce_mean(ops.mul(centred, centred), axes=axes, keepdims=True)
    return [mean, ops.rsqrt(ops.add(variance, ops.scalar_like(eps, x)))]


@lowering("rms_norm")
def rms_norm(
    call: Call, x: Value, shape: Sequence[int], weight: Value | None = None, eps: float | None = None
) -> Value:
    epsilon = 2.0**-x.type.dtype.mantissa_bits if eps is None else eps
    return ops.rms_norm(x, or_full(weight, 1.0, shape, x), axis=x.type.rank - len(shape), epsilon=epsilon)


@lowering("group_norm")
def group_norm(
    call: Call,
    x: Value,
    groups: int,
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Value:
    channels = (x.type.shape[1],)
    scale, offset = or_full(weight, 1.0, channels, x), or_full(bias, 0.0, channels, x)
    return ops.group_norm(x, scale, offset, groups=groups, epsilon=eps)


@lowering("native_group_norm")
def native_group_norm(
    call: Call,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    n: int,
    c: int,
    hxw: int,
    groups: int,
    eps: float,
) -> list[Value]:
    normal = group_norm(call, x, groups, weight, bias, eps)
    assert isinstance(normal, Value), "one result"
    grouped = ops.reshape(x, shape=(n, groups, c // groups * hxw))
    return [normal, *(ops.reshape(value, shape=(n, groups)) for value in statistics(grouped, (2,), eps))]


@lowering("batch_norm")
def batch_norm(
    call: Call,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Value | None,
    variance: Value | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Value:
    call.need_eval(training)
    if mean is None or variance is None:
        raise call.error("no running statistics")
    channels = (x.type.shape[1],)
    scale, offset = or_full(weight, 1.0, channels, x), or_full(bias, 0.0, channels, x)
    return ops.batch_norm(x, scale, offset, mean, variance, epsilon=eps)


@lowering("_native_batch_norm_legit_no_training")
def batch_norm_no_training(
    call: Call,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Value,
    variance: Value,
    momentum: float,
    eps: float,
) -> list[Value]:
    normal = batch_norm(call, x, weight, bias, mean, variance, False, momentum, eps)
    assert isinstance(normal, Value), "one result"
    none = ops.splat(0.0, TensorType((0,), x.type.dtype))
    return [normal, none, none]


@lowering("_native_batch_norm_legit.no_stats")
def batch_norm_of_batch(
    call: Call,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    training: bool,
    momentum: float,
    eps: float,
) -> list[Value]:
    """By the batch's own statistics, which none were kept of; networks without normalisers standardise weights so."""
    axes = tuple(axis for axis in range(x.type.rank) if axis != 1)
    channels = (x.type.shape[1],)
    mean = ops.reduce_mean(x, axes=axes, keepdims=True)
    centred = ops.sub(x, mean)
    variance = ops.reduce_mean(ops.mul(centred, centred), axes=axes)
    flat = ops.reshape(mean, shape=channels)
    scale, offset = or_full(weight, 1.0, channels, x), or_full(bias, 0.0, channels, x)
    normal = ops.batch_norm(x, scale, offset, flat, variance, epsilon=eps)
    return [normal, flat, ops.rsqrt(ops.add(variance, ops.scalar_like(eps, x)))]


@lowering("instance_norm")
def instance_norm(
    call: Call,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Value | None,
    variance: Value | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Value:
    if not use_input_stats:
        return batch_norm(call, x, weight, bias, mean, variance, False, momentum, eps)  # type: ignore[return-value]
    return group_norm(call, x, x.type.shape[1], weight, bias, eps)  # type: ignore[return-value]
