"""Slices and ranges that begin where data decide, but whose length is known: a window that runs along with a loop."""

from __future__ import annotations

import numpy as np

from ircost.frontends.onnx.node import Node
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import TensorType, i64


def running_slice(x: Value, start: Value, end: Value, axis: int) -> Value | None:
    """x[start : start + n] for an n that follows from how ``end`` is computed; None where it does not follow."""
    length = length_between(start, without_limit(end, x.type.shape[axis]))
    if length is None or not 0 < length <= x.type.shape[axis] or x.type.bounded:
        return None
    starts = [start if i == axis else 0 for i in range(x.type.rank)]
    return window(x, starts, (*x.type.shape[:axis], length, *x.type.shape[axis + 1 :]))


def running_range(node: Node, start: Value, limit: Value) -> Value:
    """start, start + 1, ... up to a limit that is a number away; an upper limit of n means that all are below n.

    Raises:
        OnnxError: how many they are does not follow.
    """
    upper = upper_limit(limit)
    length = length_between(start, limit if upper is None else without_limit(limit, upper))
    if length is None or length < 0:
        raise node.error("how long the range is depends on the model's inputs", help=node.how_to_bind(0))
    node.importer.check_elements(upper or length, node)
    ramp = ops.iota.create((), {"axis": 0}, result_types=(TensorType((upper or length,), i64),)).result
    if upper is not None:
        return ops.cast(window(ramp, [start], (length,)), to=start.type.dtype)
    return ops.add(ops.cast(ramp, to=start.type.dtype), start)


def window(x: Value, starts: list[Value | int], size: tuple[int, ...]) -> Value:
    """``size`` elements from ``starts``; all must lie inside."""
    places = [whole(s) if isinstance(s, Value) else ops.constant_of(np.array([s])) for s in starts]
    return ops.dynamic_slice(x, ops.concat(*places, axis=0), size=size)


def whole(value: Value) -> Value:
    """One element as a vector of i64."""
    return ops.reshape(ops.cast(value, to=i64) if value.type.dtype != i64 else value, shape=(1,))


def without_limit(value: Value, extent: int) -> Value:
    """min(n, v) as v, where n is the extent that a window must stay inside of anyway."""
    op = behind_views(value).producer
    if op is not None and op.name == "minimum" and upper_limit(value) == extent:
        return next(operand for operand in op.operands if known(operand) is None)
    return value


def upper_limit(value: Value) -> int | None:
    """n of min(n, v) and of min(v, n)."""
    op = behind_views(value).producer
    limits = [known(operand) for operand in op.operands] if op is not None and op.name == "minimum" else []
    return next((n for n in limits if n is not None), None)


def length_between(start: Value, end: Value) -> int | None:
    """end - start where it is a number, whatever start is."""
    first, last = base_and_offset(start), base_and_offset(end)
    return last[1] - first[1] if first[0] is last[0] else None


def behind_views(value: Value) -> Value:
    """What a chain of reshapes and casts of one element begins with."""
    while value.producer is not None and value.producer.name in ("reshape", "cast") and value.type.elements == 1:
        value = value.producer.operands[0]
    return value


def base_and_offset(value: Value) -> tuple[Value, int]:
    """A value of one element as another one plus a whole number: ``reshape(add(i, 1))`` is i plus 1."""
    offset = 0
    value = behind_views(value)
    while value.producer is not None and value.producer.name == "add":
        lhs, rhs = value.producer.operands
        number, base = (known(rhs), lhs) if known(rhs) is not None else (known(lhs), rhs)
        if number is None:
            break
        offset += number
        value = behind_views(base)
    return value, offset


def known(value: Value) -> int | None:
    """The whole number that a value is known to be."""
    array = ops.constant_value(value)
    if array is None or array.size != 1 or array.reshape(()) != np.trunc(array.reshape(())):
        return None
    return int(array.reshape(()))
