"""Reductions over axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ircost.frontends.torch.call import Call, lowering
from ircost.frontends.torch.elementwise import truth
from ircost.ir import ops
from ircost.ir.definition import OpDefinition
from ircost.ir.graph import Value
from ircost.ir.types import boolean

Axes = int | Sequence[int] | None


def axes_of(x: Value, dim: Axes) -> tuple[int, ...]:
    """Axes counted from the front; all where none are given."""
    if dim is None or (not isinstance(dim, int) and not len(dim)):
        return tuple(range(x.type.rank))
    return tuple(axis % max(x.type.rank, 1) for axis in ([dim] if isinstance(dim, int) else dim))


def reduced(op: OpDefinition, x: Value, dim: Axes, keepdim: bool) -> Value:
    axes = axes_of(x, dim) if x.type.rank else ()
    return op(x, axes=axes, keepdims=keepdim) if axes else x


@lowering("sum", "sum.dim_IntList")
def sum_(call: Call, x: Value, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None) -> Value:
    return reduced(ops.reduce_sum, call.operand(x), dim, keepdim)


@lowering("mean", "mean.dim")
def mean(call: Call, x: Value, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None) -> Value:
    return reduced(ops.reduce_mean, call.operand(x), dim, keepdim)


@lowering("prod", "prod.dim_int")
def prod(call: Call, x: Value, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None) -> Value:
    return reduced(ops.reduce_prod, call.operand(x), dim, keepdim)


@lowering("amax", "max")
def amax(call: Call, x: Value, dim: Axes = None, keepdim: bool = False) -> Value:
    return reduced(ops.reduce_any if x.type.dtype == boolean else ops.reduce_max, x, dim, keepdim)


@lowering("amin", "min")
def amin(call: Call, x: Value, dim: Axes = None, keepdim: bool = False) -> Value:
    return reduced(ops.reduce_all if x.type.dtype == boolean else ops.reduce_min, x, dim, keepdim)


@lowering("any", "any.dim", "any.dims")
def any_(call: Call, x: Value, dim: Axes = None, keepdim: bool = False) -> Value:
    return reduced(ops.reduce_any, truth(call, x), dim, keepdim)


@lowering("all", "all.dim", "all.dims")
def all_(call: Call, x: Value, dim: Axes = None, keepdim: bool = False) -> Value:
    return reduced(ops.reduce_all, truth(call, x), dim, keepdim)


@lowering("argmax")
def argmax(call: Call, x: Value, dim: int | None = None, keepdim: bool = False) -> Value:
    return position(call, ops.argmax, x, dim, keepdim)


@lowering("argmin")
def argmin(call: Call, x: Value, dim: int | None = None, keepdim: bool = False) -> Value:
    return position(call, ops.argmin, x, dim, keepdim)


def position(call: Call, op: OpDefinition, x: Value, dim: int | None, keepdim: bool) -> Value:
    if dim is None:
        return call.reshaped(op(ops.reshape(x, shape=(x.type.elements,)), axis=0))
    return op(x, axis=dim % x.type.rank, keepdims=keepdim)


@lowering("max.dim")
def max_dim(call: Call, x: Value, dim: int, keepdim: bool = False) -> list[Value]:
    return [reduced(ops.reduce_max, x, dim, keepdim), position(call, ops.argmax, x, dim, keepdim)]


@lowering("min.dim")
def min_dim(call: Call, x: Value, dim: int, keepdim: bool = False) -> list[Value]:
    return [reduced(ops.reduce_min, x, dim, keepdim), position(call, ops.argmin, x, dim, keepdim)]


@lowering("var.correction", "var.dim")
def var(
    call: Call, x: Value, dim: Axes = None, *rest: Any, correction: float | None = 1, keepdim: bool = False
) -> Value:
    if rest:  # var.dim has unbiased, keepdim by position
        correction, keepdim = int(bool(rest[0])), bool(rest[1]) if len(rest) > 1 else keepdim
    return variance(x, axes_of(x, dim), 1 if correction is None else correction, keepdim)


def variance(x: Value, axes: tuple[int, ...], correction: float, keepdim: bool) -> Value:
    centred = ops.sub(x, ops.reduce_mean(x, axes=axes, keepdims=True))
    count = math.prod(x.type.shape[axis] for axis in axes)
    total = ops.reduce_sum(ops.mul(centred, centred), axes=axes, keepdims=keepdim)
    return ops.mul(total, ops.scalar_like(1 / max(count - correction, 1e-30), x))


@lowering("std.correction")
def std(call: Call, x: Value, dim: Axes = None, *, correction: float | None = 1, keepdim: bool = False) -> Value:
    return ops.sqrt(variance(x, axes_of(x, dim), 1 if correction is None else correction, keepdim))


@lowering("var_mean.correction")
def var_mean(
    call: Call, x: Value, dim: Axes = None, *, correction: float | None = 1, keepdim: bool = False
) -> list[Value]:
    axes = axes_of(x, dim)
    spread = variance(x, axes, 1 if correction is None else correction, keepdim)
    return [spread, ops.reduce_mean(x, axes=axes, keepdims=keepdim)]


@lowering("linalg_vector_norm")
def vector_norm(
    call: Call, x: Value, ord: float = 2, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None
) -> Value:
    x = call.operand(x)
    if ord == math.inf:
        return reduced(ops.reduce_max, ops.abs(x), dim, keepdim)
    if ord == 1:
        return reduced(ops.reduce_sum, ops.abs(x), dim, keepdim)
    if ord != 2:
        raise call.error(f"ord = {ord}", help="1, 2 and infinity are supported")
    return ops.sqrt(reduced(ops.reduce_sum, ops.mul(x, x), dim, keepdim))


@lowering("cumsum")
def cumsum(call: Call, x: Value, dim: int, *, dtype: Any = None) -> Value:
    return ops.cumsum(call.operand(x), axis=dim % x.type.rank)


@lowering("cumprod")
def cumprod(call: Call, x: Value, dim: int, *, dtype: Any = None) -> Value:
    return ops.cumprod(call.operand(x), axis=dim % x.type.rank)


@lowering("topk")
def topk(call: Call, x: Value, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> tuple[Value, ...]:
    return ops.top_k.results(x, k=k, axis=dim % x.type.rank, largest=largest)


@lowering("sort", "sort.stable")
def sort(
    call: Call, x: Value, dim: int = -1, descending: bool = False, *, stable: bool | None = None
) -> tuple[Value, ...]:
    axis = dim % x.type.rank
    return ops.top_k.results(x, k=x.type.shape[axis], axis=axis, largest=descending)


@lowering("_cdist_forward")
def cdist(call: Call, x: Value, y: Value, p: float, compute_mode: int | None) -> Value:
    """Distances of all rows of x and y: [.., m, d] and [.., n, d] to [.., m, n]."""
    if p != 2:
        raise call.error(f"p = {p}", help="2 is supported")
    (*lead, m, d), (*other, n, _) = x.type.shape, y.type.shape
    rows, columns = ops.reshape(x, shape=(*lead, m, 1, d)), ops.reshape(y, shape=(*other, 1, n, d))
    apart = ops.sub(rows, columns)
    return ops.sqrt(ops.reduce_sum(ops.mul(apart, apart), axes=(apart.type.rank - 1,)))
