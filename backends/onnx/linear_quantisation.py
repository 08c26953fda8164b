"""QuantizeLinear and DequantizeLinear, which the frontend takes apart, put together again."""

from __future__ import annotations

import numpy as np

from ircost.backends.onnx.emitter import Scope, emits
from ircost.backends.onnx.node import Array, Input, Known, node
from ircost.ir.graph import Op, Value
from ircost.ir.numpy_dtypes import numpy_dtype
from ircost.ir.types import DType, f32, i32


@emits("cast", is_special=True)
def emit_quantize_linear(op: Op, scope: Scope) -> Input:
    """cast(min(max(round(x / s) + z, low), high))  ->  QuantizeLinear(x, s, z), for a known z"""
    to = op.result.type.dtype
    if not to.is_integer or to.bits not in (8, 16) or op.operands[0].type.dtype != f32:
        return None
    inner: Value | None = op.operands[0]
    for name, bound in zip(("minimum", "maximum"), to.integer_range[::-1], strict=True):
        inner = without_number(inner, name, bound, scope) if inner is not None else None
    if inner is None:
        return None
    point, rounded = zero_point(inner, scope)
    ratio = made_by(rounded, "round")
    quotient = made_by(ratio.operands[0], "div") if ratio is not None else None
    if quotient is None or quotient.operands[0].type != op.result.type.with_dtype(f32):
        return None
    x, scale = quotient.operands
    if scale.type.elements != 1 or scale.type.dtype != f32:
        return None
    low, high = to.integer_range
    if point is not None and not low <= float(scope.array(point).reshape(())) <= high:
        return None
    return node("QuantizeLinear", x, scalar(scale, scope), zero_of(point, to, scope), opset=opset_of(to))


def opset_of(dtype: DType) -> int:
    return 21 if dtype.bits == 16 else 19


def made_by(value: Value, name: str) -> Op | None:
    return value.producer if value.producer is not None and value.producer.name == name else None


def without_number(value: Value, name: str, number: float, scope: Scope) -> Value | None:
    """x of maximum(x, number)."""
    op = made_by(value, name)
    for x, bound in (op.operands, op.operands[::-1]) if op is not None else ():
        if scope.is_known(bound) and bound.type.elements == 1 and float(scope.array(bound).reshape(())) == number:
            return x
    return None


def zero_point(value: Value, scope: Scope) -> tuple[Value | None, Value]:
    """A known zero point that is added, and what it is added to."""
    op = made_by(value, "add")
    for x, point in (op.operands, op.operands[::-1]) if op is not None else ():
        if scope.is_known(point) and point.type.elements == 1:
            return point, x
    return None, value


def zero_of(point: Value | None, dtype: DType, scope: Scope) -> Input:
    """A zero point as the operator wants it; one that is not there gives the format all the same."""
    kind = numpy_dtype(dtype)
    if point is None:
        return Array(np.zeros((), kind))
    return Known(point, f"zero point {dtype}", lambda array: array.reshape(()).astype(kind))


def scalar(scale: Value, scope: Scope) -> Input:
    if scale.type.rank == 0:
        return scale
    if scope.is_known(scale):
        return Known(scale, "scalar", lambda array: array.reshape(()))
    return node("Reshape", scale, Array(np.zeros(0, np.int64)))


@emits("mul", is_special=True)
def emit_dequantize_linear(op: Op, scope: Scope) -> Input:
    """cast(cast(q) - z) * s  ->  DequantizeLinear(q, s, z), for a known z; s one number"""
    for x, scale in (op.operands, op.operands[::-1]):
        centred = centred_integer(x, scope)
        if centred is None or x.type != op.result.type or scale.type.elements != 1 or scale.type.dtype != f32:
            continue
        q, point = centred
        zero = zero_of(point, q.type.dtype, scope) if point is not None else None
        return node("DequantizeLinear", q, scalar(scale, scope), zero, opset=opset_of(q.type.dtype))
    return None


def centred_integer(x: Value, scope: Scope) -> tuple[Value, Value | None] | None:
    """q and z of cast(cast(q) - z), for a q of bytes that is not known at load."""
    wide = made_by(x, "cast")
    if wide is None or x.type.dtype != f32 or len(x.uses) != 1:
        return None
    whole = wide.operands[0]
    difference = made_by(whole, "sub")
    point = None
    if difference is not None and len(whole.uses) == 1:
        whole, point = difference.operands
        if not scope.is_known(point) or point.type.elements != 1 or whole.type != wide.operands[0].type:
            return None
    inner = made_by(whole, "cast") if whole.type.dtype == i32 else None
    q = inner.operands[0] if inner is not None else whole
    if not q.type.dtype.is_integer or q.type.dtype.bits != 8 or scope.is_known(q):
        return None
    if point is not None:
        low, high = q.type.dtype.integer_range
        if not low <= int(scope.array(point).reshape(())) <= high:
            return None
    return q, point
