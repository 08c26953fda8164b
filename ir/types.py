"""Number formats and tensor types. Immutable, hashable, with exact bit widths."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from ircost.ir.errors import DTypeError, ShapeError, did_you_mean


class NumberKind(Enum):
    """What the bits of a number format mean."""

    FLOAT = "float"
    SIGNED = "signed integer"
    UNSIGNED = "unsigned integer"
    BOOL = "bool"


@dataclass(frozen=True, slots=True)
class DType:
    """A number format.

    Args:
        name: as printed, ``f16``.
        bits: what one element takes up in a packed tensor.
        kind: float, signed, unsigned, bool.
        exponent_bits, mantissa_bits: of a float; ``tf32`` uses 19 of the 32 bits it is stored in.

    Source: IEEE 754-2019 (f64, f32, f16), OCP 8-bit Floating Point 1.0 (f8e4m3, f8e5m2), Noune et al., "8-bit
    Numerical Formats for Deep Neural Networks", 2022 (f8e4m3fnuz, f8e5m2fnuz), OCP Microscaling Formats 1.0 (f8e8m0,
    f6e2m3, f6e3m2, f4e2m1), NVIDIA A100 white paper 2020 (tf32: 8 exponent bits, 10 mantissa bits).
    """

    name: str
    bits: int
    kind: NumberKind
    exponent_bits: int = 0
    mantissa_bits: int = 0

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def is_float(self) -> bool:
        return self.kind is NumberKind.FLOAT

    @property
    def is_integer(self) -> bool:
        return self.kind in (NumberKind.SIGNED, NumberKind.UNSIGNED)

    @property
    def is_signed(self) -> bool:
        return self.kind in (NumberKind.SIGNED, NumberKind.FLOAT)

    @property
    def integer_range(self) -> tuple[int, int]:
        """Least and greatest number of an integer format.

        >>> i4.integer_range, u8.integer_range
        ((-8, 7), (0, 255))
        """
        least = -(1 << (self.bits - 1)) if self.is_signed else 0
        return least, least + (1 << self.bits) - 1

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return self.name


f64 = DType("f64", 64, NumberKind.FLOAT, 11, 52)
f32 = DType("f32", 32, NumberKind.FLOAT, 8, 23)
tf32 = DType("tf32", 32, NumberKind.FLOAT, 8, 10)
f16 = DType("f16", 16, NumberKind.FLOAT, 5, 10)
bf16 = DType("bf16", 16, NumberKind.FLOAT, 8, 7)
f8e4m3 = DType("f8e4m3", 8, NumberKind.FLOAT, 4, 3)
f8e5m2 = DType("f8e5m2", 8, NumberKind.FLOAT, 5, 2)
# As AMD's CDNA 3 has them: no infinity, no negative zero, exponents biased by one more.
f8e4m3fnuz = DType("f8e4m3fnuz", 8, NumberKind.FLOAT, 4, 3)
f8e5m2fnuz = DType("f8e5m2fnuz", 8, NumberKind.FLOAT, 5, 2)
f8e8m0 = DType("f8e8m0", 8, NumberKind.FLOAT, 8, 0)
f6e2m3 = DType("f6e2m3", 6, NumberKind.FLOAT, 2, 3)
f6e3m2 = DType("f6e3m2", 6, NumberKind.FLOAT, 3, 2)
f4e2m1 = DType("f4e2m1", 4, NumberKind.FLOAT, 2, 1)
i64, i32, i16, i8, i4, i2 = (DType(f"i{n}", n, NumberKind.SIGNED) for n in (64, 32, 16, 8, 4, 2))
u64, u32, u16, u8, u4, u2 = (DType(f"u{n}", n, NumberKind.UNSIGNED) for n in (64, 32, 16, 8, 4, 2))
# One byte in memory, as every runtime stores it: a mask is not packed to bits.
boolean = DType("bool", 8, NumberKind.BOOL)

DTYPES: dict[str, DType] = {
    dtype.name: dtype
    for dtype in (
        *(f64, f32, tf32, f16, bf16, f8e4m3, f8e5m2, f8e4m3fnuz, f8e5m2fnuz, f8e8m0, f6e2m3, f6e3m2, f4e2m1),
        *(i64, i32, i16, i8, i4, i2, u64, u32, u16, u8, u4, u2, boolean),
    )
}


# What others call the formats, for those who look for them under that name; fp8 is what engines take by that word.
NAMES_ELSEWHERE = {
    **{"float64": "f64", "float32": "f32", "float16": "f16", "bfloat16": "bf16", "fp64": "f64", "fp32": "f32"},
    **{"fp16": "f16", "half": "f16", "fp8": "f8e4m3", "fp8e4m3": "f8e4m3", "fp8e5m2": "f8e5m2", "e4m3": "f8e4m3"},
    **{"e5m2": "f8e5m2", "fp4": "f4e2m1", "nvfp4": "f4e2m1", "mxfp4": "f4e2m1", "int8": "i8", "int4": "i4"},
}


def parse_dtype(name: str) -> DType:
    """The number format of that name.

    Raises:
        DTypeError: there is none; lists the nearest.

    >>> parse_dtype("bf16").bits
    16
    """
    if name not in DTYPES:
        own = NAMES_ELSEWHERE.get(name.lower().replace("_", ""))
        raise DTypeError(f"no number format '{name}'", help=f"it is {own} here" if own else did_you_mean(name, DTYPES))
    return DTYPES[name]


# Of a tensor: its bytes, and sums of several, fit 64-bit integers in any format. Scores of a million tokens have 2^46.
MAX_ELEMENTS = 1 << 56
MAX_DIGITS = 400  # of an extent as text, as of any number in IR text


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape and number format of a value.

    Args:
        shape: extents, each 0 or more; () is a scalar.
        dtype: number format of every element.
        bounded: axes, ascending, whose extent depends on data; ``shape`` holds its upper bound there.

    >>> TensorType((2, 3), f16).size_bytes
    12
    >>> str(TensorType((100, 4), f32, bounded=(0,)))
    '<=100x4xf32'
    """

    shape: tuple[int, ...]
    dtype: DType
    bounded: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.dtype.__class__ is not DType:
            raise DTypeError(
                f"a type's number format is {self.dtype!r}, a DType expected",
                help="take one of ircost.ir.types, such as f32, or write the whole type: parse_type('2x3xf32')",
            )

    def __hash__(self) -> int:
        return hash(self.shape)  # formats seldom tell types apart that shapes do not

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def elements(self) -> int:
        """How many numbers; an upper bound where a dim is bounded."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Bytes of the packed tensor: 4-bit formats take half a byte each, rounded up once for the whole."""
        return (self.elements * self.dtype.bits + 7) // 8

    def with_dtype(self, dtype: DType) -> TensorType:
        """The same shape in another number format."""
        return TensorType(self.shape, dtype, self.bounded)

    def __str__(self) -> str:
        extents = [f"<={extent}" if axis in self.bounded else str(extent) for axis, extent in enumerate(self.shape)]
        return "x".join([*extents, self.dtype.name])

    def __repr__(self) -> str:
        return str(self)


def parse_type(text: str) -> TensorType:
    """Reads what ``str(TensorType)`` writes.

    Raises:
        ShapeError: an extent is not a natural number, or has more digits than any.
        DTypeError: the number format is not known.

    >>> parse_type("1x3x224x224xf32").elements
    150528
    """
    *extents, dtype = text.split("x")
    plain = [extent.removeprefix("<=") for extent in extents]
    if not all(extent.isascii() and extent.isdigit() for extent in plain):
        raise ShapeError(f"'{text}' is not a tensor type", help="write it like 2x3xf32, or f32 for a scalar")
    if any(len(extent) > MAX_DIGITS for extent in plain):
        told = f"'{text[:20]}...' has an extent of {max(map(len, plain))} digits"
        raise ShapeError(told, help=f"at most {MAX_DIGITS} are read")
    bounded = tuple(axis for axis, extent in enumerate(extents) if extent.startswith("<="))
    return TensorType(tuple(map(int, plain)), parse_dtype(dtype), bounded)
