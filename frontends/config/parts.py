"""Projections, norms and activations: what every layer is built of. Activations are [batch, tokens, width]."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ircost.frontends.config.layer_parts import Norm
from ircost.frontends.config.quantised_parts import form_of, quantised_linear
from ircost.frontends.config.scope import Scope
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.ops.normalization import scalar_like
from ircost.ir.types import DType

ACTIVATIONS: Mapping[str, Callable[[Value], Value]] = {
    "silu": ops.silu,
    "gelu": ops.gelu,
    "gelu_tanh": ops.gelu_tanh,
    "quick_gelu": ops.quick_gelu,
    "relu": ops.relu,
    "relu2": lambda x: ops.mul(ops.relu(x), ops.relu(x)),
}


def linear(scope: Scope, x: Value, name: str, width: int, has_bias: bool = False, bias_padding: int = 0) -> Value:
    """x W' + b with W [width, k], as checkpoints hold it.

    Args:
        bias_padding: elements of the bias that are 0, since the part of W that they belong to has none.
    """
    with scope.at(name):
        if form_of(scope) is not None:
            out = quantised_linear(scope, x, width)
        else:
            weight = scope.weight("weight", width, x.type.shape[-1])
            out = scope(ops.contract(x, weight, notation="b t k, n k -> b t n"))
        return biased(scope, out, has_bias, bias_padding)


def biased(scope: Scope, x: Value, has_bias: bool, padding: int = 0) -> Value:
    return scope(ops.add(x, scope.weight("bias", x.type.shape[-1], padding=padding))) if has_bias else x


def normed(scope: Scope, x: Value, name: str, norm: Norm | None) -> Value:
    """The norm along the last axis; x itself where there is none."""
    if norm is None:
        return x
    width = x.type.shape[-1]
    with scope.at(name):
        scale = scope.weight("weight", width) if norm.has_scale else ones(scope, width)
        if norm.kind == "rms":
            return scope(ops.rms_norm(x, scale, epsilon=norm.epsilon))
        bias = scope.weight("bias", width) if norm.has_bias else zeros(scope, width)
        return scope(ops.layer_norm(x, scale, bias, epsilon=norm.epsilon))


def ones(scope: Scope, width: int) -> Value:
    return scope.table(f"ones {width}", (width,), scope.dtype, lambda: np.ones(width))


def zeros(scope: Scope, width: int) -> Value:
    return scope.table(f"zeros {width}", (width,), scope.dtype, lambda: np.zeros(width))


def part_of(scope: Scope, x: Value, start: int, size: int, axis: int = -1) -> Value:
    """Elements ``start`` on along an axis, where they are: nothing is moved."""
    if x.type.shape[axis] == size:
        return x
    starts, sizes = [0] * x.type.rank, list(x.type.shape)
    starts[axis], sizes[axis] = start, size
    return scope(ops.subview(x, starts=tuple(starts), size=tuple(sizes)))


def pieces(scope: Scope, x: Value, widths: tuple[int, ...]) -> list[Value]:
    """Parts along the last axis, one after another."""
    starts = [sum(widths[:i]) for i in range(len(widths))]
    return [part_of(scope, x, start, width) for start, width in zip(starts, widths, strict=True)]


def scaled(scope: Scope, x: Value, factor: float) -> Value:
    return x if factor == 1.0 else scope(ops.mul(x, scalar_like(factor, x)))


def in_format(scope: Scope, x: Value, dtype: DType) -> Value:
    return x if x.type.dtype == dtype else scope(ops.cast(x, to=dtype))


def softcapped(scope: Scope, x: Value, cap: float) -> Value:
    """cap tanh(x / cap); x itself where there is no cap."""
    if not cap:
        return x
    return scope(ops.mul(ops.tanh(ops.mul(x, scalar_like(1 / cap, x))), scalar_like(cap, x)))


def unit_vectors(scope: Scope, x: Value) -> Value:
    """x [rows, width] over the length of each row."""
    squares = ops.reduce_sum(ops.mul(x, x), axes=(1,), keepdims=True)
    return scope(ops.mul(x, ops.rsqrt(squares)))
