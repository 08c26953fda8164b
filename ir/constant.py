"""Constant data as handles: a 140 GB checkpoint is never read, unless its values decide a shape or a fold."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ircost.ir.errors import InterpreterError
from ircost.ir.numpy_dtypes import dtype_of, numpy_dtype, to_format
from ircost.ir.types import DType, TensorType


@dataclass(frozen=True, slots=True)
class Literal:
    """Values held in memory: little-endian bytes of a row-major array in ``dtype``, sub-byte formats one a byte."""

    data: bytes
    dtype: DType


@dataclass(frozen=True, slots=True)
class Splat:
    """One value for every element."""

    value: float | int | bool


@dataclass(frozen=True, slots=True)
class FileSlice:
    """Values in a file, read when asked for: ``length`` bytes from ``offset``, little-endian, row-major.

    Args:
        path: the file, as found from the user's working directory.
        offset, length: bytes.
        dtype: format in the file; sub-byte formats are packed, the first element in the low bits (as ONNX does).
    """

    path: str
    offset: int
    length: int
    dtype: DType

    def read(self) -> bytes:
        """The raw bytes.

        Raises:
            InterpreterError: the file is missing or too short.
        """
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                data = file.read(self.length)
        except OSError as error:
            raise InterpreterError(
                f"weights are not there: {self.path}: {error.strerror}",
                help="put the weights beside the model; cost estimates need none",
            ) from error
        if len(data) < self.length:
            raise InterpreterError(
                f"weights file {self.path} ends at byte {self.offset + len(data)}, not {self.offset + self.length}",
                help="fetch the file again; cost estimates need no weights",
            )
        return data


@dataclass(frozen=True, slots=True)
class Missing:
    """Values that nobody has: a shape and a format, enough for a cost but not for a run."""

    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Borrowed:
    """Values that another library holds in memory, looked at when asked for; never copied to be kept, equal to itself
    only.

    Args:
        read: gives the array, row-major; it may be a view of the holder's memory.
        dtype: format of its elements.
    """

    read: Callable[[], np.ndarray]
    dtype: DType


ConstantData: TypeAlias = Literal | Splat | FileSlice | Missing | Borrowed


def literal(array: np.ndarray) -> Literal:
    """Holds an array's values."""
    contiguous = np.ascontiguousarray(array)
    return Literal(contiguous.tobytes(), dtype_of(contiguous))


def is_value_of(value: float | int | bool, dtype: DType) -> bool:
    """Whether a number can stand in a tensor of a format. Floats take all, rounded; integers what they hold exactly.

    >>> from ircost.ir.types import f16, i4, i8
    >>> is_value_of(300, i8), is_value_of(-7, i4), is_value_of(1e10, f16)
    (False, True, True)
    """
    if dtype.is_float:
        return True
    if dtype.name == "bool":
        return value in (0, 1)
    least, greatest = dtype.integer_range
    return math.isfinite(value) and value == int(value) and least <= value <= greatest


def materialise(data: ConstantData, type: TensorType) -> np.ndarray:
    """The values as an array of ``type``, converted where the data are kept in another format.

    Raises:
        InterpreterError: the values are missing, or their file is.
    """
    if isinstance(data, Splat):
        return np.full(type.shape, data.value, dtype=numpy_dtype(type.dtype))
    if isinstance(data, Missing):
        raise InterpreterError(f"the values of a constant are not known: {data.reason}")
    if isinstance(data, Borrowed):
        array = data.read()
    elif isinstance(data, Literal):
        array = np.frombuffer(data.data, dtype=numpy_dtype(data.dtype))
    else:
        array = unpack(data.read(), data.dtype, type.elements)
    return to_format(array.reshape(type.shape), type.dtype)


def unpack(data: bytes, dtype: DType, elements: int) -> np.ndarray:
    """Packed bytes as an array of one element a place."""
    if dtype.bits >= 8:
        return np.frombuffer(data, dtype=numpy_dtype(dtype))
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), count=elements * dtype.bits, bitorder="little")
    return from_codes(np.packbits(bits.reshape(-1, dtype.bits), axis=1, bitorder="little")[:, 0], dtype)


def from_codes(codes: np.ndarray, dtype: DType) -> np.ndarray:
    """Bit patterns of fewer than 8 bits, one a byte, as numbers."""
    if dtype.is_float:
        return codes.view(numpy_dtype(dtype))
    if dtype.is_signed:
        sign = np.uint8(1 << (dtype.bits - 1))
        return ((codes ^ sign).astype(np.int8) - np.int8(sign)).astype(numpy_dtype(dtype))
    return codes.astype(numpy_dtype(dtype))
