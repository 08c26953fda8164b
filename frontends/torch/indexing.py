"""Operators whose access depends on data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ircost.frontends.torch.call import Call, Operand, lowering
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import TensorType, boolean, i64

REDUCTIONS = {"sum": "add", "prod": "mul", "amax": "max", "amin": "min", "add": "add", "multiply": "mul"}


@lowering("embedding")
def embedding(call: Call, weight: Value, indices: Value, *rest: Any, **options: Any) -> Value:
    return ops.gather(weight, indices, axis=0)


@lowering("index_select")
def index_select(call: Call, x: Value, dim: int, index: Value) -> Value:
    return call.reshaped(ops.gather(x, index, axis=dim % max(x.type.rank, 1)))


@lowering("gather")
def gather(call: Call, x: Value, dim: int, index: Value, *, sparse_grad: bool = False) -> Value:
    return ops.gather_elements(x, index, axis=dim % x.type.rank)


@lowering("index.Tensor", "_unsafe_index.Tensor")
def index(call: Call, x: Value, indices: Sequence[Value | None]) -> Value:
    """NumPy's indexing by whole numbers: their axes stand in front, or where they are if they are neighbours."""
    axes = [axis for axis, one in enumerate(indices) if one is not None]
    given = [one for one in indices if one is not None]
    if any(one.type.dtype == boolean for one in given):
        raise call.error("a boolean index: how many it picks depends on data", help="write torch.where instead")
    if len(axes) == 1:
        return ops.gather(x, given[0], axis=axes[0])
    places = tuples(given)
    others = [axis for axis in range(x.type.rank) if axis not in axes]
    front = x if axes == list(range(len(axes))) else ops.transpose(x, perm=(*axes, *others))
    picked = ops.gather_nd(front, places)
    rank = places.type.rank - 1
    if axes != list(range(axes[0], axes[0] + len(axes))) or axes[0] == 0:
        return picked
    moved = [*range(rank, rank + axes[0]), *range(rank), *range(rank + axes[0], picked.type.rank)]
    return ops.transpose(picked, perm=tuple(moved))


def tuples(indices: Sequence[Value]) -> Value:
    """Indices of several axes, broadcast, as index tuples along a new last axis."""
    total = indices[0]
    for other in indices[1:]:
        total = ops.add(total, ops.mul(other, ops.scalar_like(0, other)))
    shape = total.type.shape
    wide = [one if one.type.shape == shape else ops.broadcast(one, shape=shape) for one in indices]
    return ops.concat(*(ops.reshape(ops.cast(one, to=i64), shape=(*shape, 1)) for one in wide), axis=len(shape))


@lowering("index_put", "_unsafe_index_put")
def index_put(call: Call, x: Value, indices: Sequence[Value | None], values: Value, accumulate: bool = False) -> Value:
    given = [one for one in indices if one is not None]
    if len(given) < len(indices) or any(one.type.dtype == boolean for one in given):
        if len(given) == 1 and given[0].type.dtype == boolean and not accumulate and values.type.elements == 1:
            mask = given[0]
            shape = (*mask.type.shape, *(1,) * (x.type.rank - mask.type.rank))
            one = ops.reshape(values, shape=(1,) * x.type.rank)
            return ops.where(ops.reshape(mask, shape=shape), one, x)
        raise call.error("indices that are left out in front, or booleans", help="only whole numbers are supported")
    places = tuples(given)
    wanted = places.type.shape[:-1] + x.type.shape[len(given) :]
    updates = values if values.type.shape == wanted else ops.broadcast(values, shape=wanted)
    return ops.scatter_nd(x, places, updates, reduction="add" if accumulate else "none")


@lowering("scatter.src", "scatter.value", "scatter_add", "scatter_reduce.two", "scatter.reduce")
def scatter(
    call: Call, x: Value, dim: int, index: Value, src: Operand, reduce: str = "", *, include_self: bool = True
) -> Value:
    if not include_self:
        raise call.error("include_self = False", help="True is supported")
    if reduce and reduce not in REDUCTIONS:
        raise call.error(f"reduce = '{reduce}'", help=f"supported: {', '.join(REDUCTIONS)}")
    updates = call.operand(src)
    axis = dim % x.type.rank
    if updates.type.shape != index.type.shape:
        if updates.type.rank == 0:
            updates = ops.broadcast(updates, shape=index.type.shape)
        else:
            updates = ops.slice(updates, starts=(0,) * x.type.rank, size=index.type.shape)
    reduction = "add" if "scatter_add" in call.operator else REDUCTIONS.get(reduce, "none")
    return ops.scatter_elements(x, index, updates, axis=axis, reduction=reduction)


@lowering("one_hot")
def one_hot(call: Call, x: Value, classes: int = -1) -> Value:
    ramp = ops.iota.create((), {"axis": 0}, result_types=(TensorType(call.type.shape[-1:], i64),)).result
    return call.operand(ops.equal(ops.reshape(x, shape=(*x.type.shape, 1)), ramp))


@lowering("diagonal")
def diagonal(call: Call, x: Value, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Value:
    """Elements whose indices on two axes differ by ``offset``, along a new last axis."""
    pair = (dim1 % x.type.rank, dim2 % x.type.rank)
    others = [axis for axis in range(x.type.rank) if axis not in pair]
    front = ops.transpose(x, perm=(*pair, *others))
    rows = np.arange(call.type.shape[-1]) + max(-offset, 0)
    picked = ops.gather_nd(front, ops.constant_of(np.stack([rows, rows + offset], axis=1)))
    return ops.transpose(picked, perm=(*range(1, picked.type.rank), 0))
