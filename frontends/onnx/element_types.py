"""Which number format each of ONNX's element types is."""

from __future__ import annotations

import onnx

from ircost.ir import types
from ircost.ir.types import DType, TensorType

# TensorProto.DataType of onnx.proto. Text (8) and complex numbers (14, 15) have no counterpart.
ELEMENT_TYPES: dict[int, DType] = {
    1: types.f32,
    2: types.u8,
    3: types.i8,
    4: types.u16,
    5: types.i16,
    6: types.i32,
    7: types.i64,
    9: types.boolean,
    10: types.f16,
    11: types.f64,
    12: types.u32,
    13: types.u64,
    16: types.bf16,
    17: types.f8e4m3,
    18: types.f8e4m3fnuz,
    19: types.f8e5m2,
    20: types.f8e5m2fnuz,
    21: types.u4,
    22: types.i4,
    23: types.f4e2m1,
    24: types.f8e8m0,
    25: types.u2,
    26: types.i2,
    27: types.f6e2m3,
    28: types.f6e3m2,
}


def type_proto(type: TensorType) -> onnx.TypeProto:
    """A type as ONNX writes it."""
    (number,) = (number for number, dtype in ELEMENT_TYPES.items() if dtype == type.dtype)
    return onnx.helper.make_tensor_type_proto(number, type.shape)
