"""Types and values of PyTorch's tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import torch

from ircost.ir.constant import Borrowed, ConstantData, Literal, Missing
from ircost.ir.errors import UnsupportedError
from ircost.ir.numpy_dtypes import numpy_dtype
from ircost.ir.types import (
    DType,
    TensorType,
    bf16,
    boolean,
    f8e4m3,
    f8e5m2,
    f16,
    f32,
    f64,
    i8,
    i16,
    i32,
    i64,
    u8,
    u16,
    u32,
    u64,
)

if TYPE_CHECKING:
    from ircost.ir.location import Location

DTYPES: dict[torch.dtype, DType] = {
    torch.float64: f64,
    torch.float32: f32,
    torch.float16: f16,
    torch.bfloat16: bf16,
    torch.float8_e4m3fn: f8e4m3,
    torch.float8_e5m2: f8e5m2,
    torch.int64: i64,
    torch.int32: i32,
    torch.int16: i16,
    torch.int8: i8,
    torch.uint8: u8,
    torch.uint16: u16,
    torch.uint32: u32,
    torch.uint64: u64,
    torch.bool: boolean,
}
# NumPy has no view of these; their bits are read as integers.
BITS = {
    torch.bfloat16: (torch.int16, ml_dtypes.bfloat16),
    torch.float8_e4m3fn: (torch.uint8, ml_dtypes.float8_e4m3fn),
    torch.float8_e5m2: (torch.uint8, ml_dtypes.float8_e5m2),
}
SMALL_ELEMENTS = 64  # so few values are kept, so that what depends on them folds


def dtype_of(dtype: torch.dtype, at: Location | str) -> DType:
    """Raises:
    UnsupportedError: the IR has no such number format.
    """
    if dtype not in DTYPES:
        raise UnsupportedError(f"number format {dtype} is not supported", at=at)
    return DTYPES[dtype]


def type_of(tensor: Any, at: Location | str) -> TensorType:
    """The type of a tensor, real or fake.

    Raises:
        UnsupportedError: its number format is not known, or an extent is symbolic.
    """
    if not all(isinstance(extent, int) for extent in tensor.shape):
        raise UnsupportedError(
            f"a value has a symbolic extent: {list(tensor.shape)}",
            at=at,
            help="export with fixed shapes; from_torch(..., dims={...}) binds those of dynamic_shapes",
        )
    return TensorType(tuple(int(extent) for extent in tensor.shape), dtype_of(tensor.dtype, at))


def data_of(tensor: torch.Tensor, name: str, at: Location | str) -> ConstantData:
    """The tensor's values: kept where there are few, else looked at when asked for, where they are."""
    if tensor.is_meta or is_fake(tensor):
        return Missing(f"'{name}' is on the meta device")
    dtype = dtype_of(tensor.dtype, at)
    if tensor.numel() <= SMALL_ELEMENTS:
        return Literal(array_of(tensor).tobytes(), dtype)
    return Borrowed(lambda: array_of(tensor), dtype)


def is_fake(tensor: torch.Tensor) -> bool:
    from torch._subclasses import FakeTensor

    return isinstance(tensor, FakeTensor)


def array_of(tensor: torch.Tensor) -> np.ndarray:
    """The values, row-major: a view of the tensor's own memory where it lies on the CPU like that."""
    plain = tensor.detach().resolve_conj().cpu().contiguous()
    if plain.dtype in BITS:
        integers, wanted = BITS[plain.dtype]
        return np.asarray(plain.view(integers).numpy().view(wanted))
    return np.asarray(plain.numpy())


def scalar_array(number: float | int | bool, dtype: DType) -> np.ndarray:
    """A Python number in a number format."""
    return np.asarray(number).astype(numpy_dtype(dtype))
