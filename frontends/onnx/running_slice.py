"""Slices that begin where data decide, but whose length is known: a window that runs along with a loop."""

from __future__ import annotations

import numpy as np

from ircost.frontends.onnx.node import Node
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import i64


def running_slice(node: Node, x: Value, starts: Value, ends: Value, axes: tuple[int, ...]) -> Value:
    """x[start : start + n] for an n that follows from how ``ends`` is computed.

    Raises:
        OnnxError: it does not follow.
    """
    if len(axes) != 1 or starts.type.elements != 1:
        raise undecided(node)
    first, last = base_and_offset(starts), base_and_offset(ends)
    axis = axes[0] % x.type.rank
    length = last[1] - first[1]
    if first[0] is not last[0] or not 0 < length <= x.type.shape[axis]:
        raise undecided(node)
    start = ops.reshape(ops.cast(starts, to=i64) if starts.type.dtype != i64 else starts, shape=(1,))
    zeros = [ops.constant_of(np.zeros(n, np.int64)) for n in (axis, x.type.rank - axis - 1)]
    places = ops.concat(*(part for part in (zeros[0], start, zeros[1]) if part.type.elements), axis=0)
    return ops.dynamic_slice(x, places, size=(*x.type.shape[:axis], length, *x.type.shape[axis + 1 :]))


def undecided(node: Node) -> Exception:
    return node.error("how long the slice is depends on the model's inputs", help=node.how_to_bind(1))


def base_and_offset(value: Value) -> tuple[Value, int]:
    """A value of one element as another one plus a number: ``reshape(add(i, 1))`` is i plus 1."""
    offset = 0
    while value.producer is not None:
        op = value.producer
        if op.name in ("reshape", "cast"):
            value = op.operands[0]
        elif op.name == "add" and known(op.operands[1]) is not None:
            offset += known(op.operands[1]) or 0
            value = op.operands[0]
        elif op.name == "add" and known(op.operands[0]) is not None:
            offset += known(op.operands[0]) or 0
            value = op.operands[1]
        else:
            break
    return value, offset


def known(value: Value) -> int | None:
    array = ops.constant_value(value)
    return None if array is None or array.size != 1 else int(array.reshape(()))
