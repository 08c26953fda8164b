"""ONNX's number for each number format."""

from __future__ import annotations

import onnx

from ircost.ir.errors import UnsupportedError
from ircost.ir.types import DType, TensorType

# TensorProto.DataType of onnx.proto.
ELEMENT_TYPES = {
    **{"f32": 1, "u8": 2, "i8": 3, "u16": 4, "i16": 5, "i32": 6, "i64": 7, "bool": 9, "f16": 10, "f64": 11},
    **{"u32": 12, "u64": 13, "bf16": 16, "f8e4m3": 17, "f8e4m3fnuz": 18, "f8e5m2": 19, "f8e5m2fnuz": 20},
    **{"u4": 21, "i4": 22, "f4e2m1": 23, "f8e8m0": 24, "u2": 25, "i2": 26},
}
# What every model is written for that needs nothing newer. Newer versions of operators are not always better:
# onnxruntime's averages over windows are some hundred times slower from opset 19 on, where windows may be dilated.
LEAST_OPSET = 18
# The first opset whose operators take them; all others are as old as that.
OPSETS = {
    **dict.fromkeys(("f8e4m3", "f8e4m3fnuz", "f8e5m2", "f8e5m2fnuz"), 20),
    **{"u4": 21, "i4": 21, "f4e2m1": 23, "f8e8m0": 24, "u2": 25, "i2": 25},
}


def element_type(dtype: DType) -> int:
    """ONNX's number.

    Raises:
        UnsupportedError: ONNX has no such format.
    """
    if dtype.name not in ELEMENT_TYPES:
        raise UnsupportedError(f"ONNX has no number format {dtype}", help="convert it first: --dtype")
    return ELEMENT_TYPES[dtype.name]


def value_info(name: str, type: TensorType) -> onnx.ValueInfoProto:
    """A typed name; extents that depend on data are left open."""
    shape = [None if axis in type.bounded else extent for axis, extent in enumerate(type.shape)]
    return onnx.helper.make_tensor_value_info(name, element_type(type.dtype), shape)
