"""Which NumPy dtype holds each number format; `ml_dtypes` gives those that NumPy lacks."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from ircost.ir.types import DTYPES, DType

# tf32 values are held in float32: the format's own storage.
NUMPY_DTYPES: dict[str, np.dtype] = {
    name: np.dtype(dtype)
    for name, dtype in {
        **{
            "f64": np.float64,
            "f32": np.float32,
            "tf32": np.float32,
            "f16": np.float16,
            "bf16": ml_dtypes.bfloat16,
        },
        **{
            "f8e4m3": ml_dtypes.float8_e4m3fn,
            "f8e5m2": ml_dtypes.float8_e5m2,
            "f8e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
            "f8e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
            "f8e8m0": ml_dtypes.float8_e8m0fnu,
            "f6e2m3": ml_dtypes.float6_e2m3fn,
            "f6e3m2": ml_dtypes.float6_e3m2fn,
        },
        **{"f4e2m1": ml_dtypes.float4_e2m1fn, "bool": np.bool_},
        **{
            "i64": np.int64,
            "i32": np.int32,
            "i16": np.int16,
            "i8": np.int8,
            "i4": ml_dtypes.int4,
            "i2": ml_dtypes.int2,
        },
        **{
            "u64": np.uint64,
            "u32": np.uint32,
            "u16": np.uint16,
            "u8": np.uint8,
            "u4": ml_dtypes.uint4,
            "u2": ml_dtypes.uint2,
        },
    }.items()
}
_FROM_NUMPY = {dtype: DTYPES[name] for name, dtype in NUMPY_DTYPES.items() if name != "tf32"}


def numpy_dtype(dtype: DType) -> np.dtype:
    """The NumPy dtype whose arrays hold values of ``dtype``."""
    return NUMPY_DTYPES[dtype.name]


def dtype_of(array: np.ndarray) -> DType:
    """The number format of an array."""
    return _FROM_NUMPY[array.dtype]


def to_format(array: np.ndarray, dtype: DType) -> np.ndarray:
    """``array`` rounded to ``dtype`` (to nearest, ties to even; integers truncate towards zero and wrap)."""
    with np.errstate(all="ignore"):
        converted = array.astype(numpy_dtype(dtype), copy=False)
    return round_to_tf32(converted) if dtype.name == "tf32" else converted


def round_to_tf32(array: np.ndarray) -> np.ndarray:
    """float32 values rounded to 10 mantissa bits, ties to even; infinities and NaNs stay."""
    bits = array.view(np.uint32)
    rounded = (bits + np.uint32(0x0FFF) + ((bits >> np.uint32(13)) & np.uint32(1))) & np.uint32(0xFFFFE000)
    return np.where(np.isfinite(array), rounded.view(np.float32), array)
