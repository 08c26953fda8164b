"""Operators along the time axis of a batch whose sequences differ in length."""

from __future__ import annotations

import numpy as np

from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import i64


@lowering("ReverseSequence")
def reverse_sequence(node: Node) -> Value:
    """out[i, b] = x[len[b] - 1 - i, b] as far as the sequence goes, x[i, b] beyond."""
    x, lengths = node[0], ops.as_format(node[1], i64)
    order = leading_axes(x.type.rank, node.int("batch_axis", 1), node.int("time_axis", 0))
    rows = ops.transpose(x, perm=order)
    batch, time = rows.type.shape[:2]
    step = ops.ramp((1, time), 1)
    limits = ops.reshape(lengths, shape=(batch, 1))
    back = ops.sub(ops.sub(limits, ops.constant_of(np.array(1))), step)
    places = ops.where(ops.less(step, limits), back, step)
    picked = ops.gather_nd(rows, with_row(places))
    return ops.transpose(picked, perm=inverse(order))


@lowering("TensorScatter")
def tensor_scatter(node: Node) -> Value:
    """A cache with an update written into each row of the batch, from where that row's sequence ends."""
    cache, update = node[0], node[1]
    axis = node.int("axis", -2) % cache.type.rank
    order = leading_axes(cache.type.rank, 0, axis)
    rows, new = ops.transpose(cache, perm=order), ops.transpose(update, perm=order)
    batch, extent = rows.type.shape[:2]
    length = new.type.shape[1]
    starts = ops.as_format(node[2], i64) if node.get(2) is not None else ops.constant_of(np.zeros(batch, np.int64))
    places = ops.add(ops.reshape(starts, shape=(batch, 1)), ops.ramp((1, length), 1))
    mode = node.string("mode", "linear")
    if mode == "circular":
        places = ops.mod(places, ops.constant_of(np.array(extent)))
    elif mode != "linear":
        raise node.error(f"mode = '{mode}' is not known", help="linear or circular")
    return ops.transpose(ops.scatter_nd(rows, with_row(places), new), perm=inverse(order))


def leading_axes(rank: int, first: int, second: int) -> tuple[int, ...]:
    """The order of axes that puts two of them in front."""
    lead = (first % rank, second % rank)
    return (*lead, *(axis for axis in range(rank) if axis not in lead))


def inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(axis) for axis in np.argsort(order))


def with_row(places: Value) -> Value:
    """[b, t] places on the time axis as index tuples [b, t, 2] of batch and time."""
    batch, time = places.type.shape
    row = ops.broadcast(ops.ramp((batch, 1), 0), shape=(batch, time))
    return ops.concat(*(ops.reshape(v, shape=(batch, time, 1)) for v in (row, places)), axis=2)
