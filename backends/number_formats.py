"""Which unit of a machine computes in which number format, also where it has none made for it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

Engine = Literal["matrix", "vector"]

# A unit for wider integers multiplies narrower ones exactly; what may be rounded to tf32 need not be.
_WIDER_IN_MATRIX: dict[str, tuple[str, ...]] = {
    "tf32": ("f32",),
    "u8": ("i8",),
    "i4": ("i8",),
    "u4": ("i4", "i8"),
    "i2": ("i4", "i8"),
    "u2": ("i4", "i8"),
}

# Without a matrix unit for them these are for storage: no runtime multiplies matrices of them in lanes.
_NARROW_FLOATS = ("f8e4m3", "f8e5m2", "f8e4m3fnuz", "f8e5m2fnuz", "f8e8m0", "f6e2m3", "f6e3m2", "f4e2m1")

# Lanes convert on load and store; what they convert to, the likeliest first.
_WIDER_IN_VECTOR: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("tf32", "f16", "bf16"), ("f32",)),
    **dict.fromkeys(_NARROW_FLOATS, ("f16", "f32")),
    # An i64 add is two i32 adds: the i32 rate is an upper bound for it, as a peak should be.
    **dict.fromkeys(("i64", "i32", "i16", "i8", "bool"), ("i32", "f32")),
    **dict.fromkeys(("u64", "u32", "u16"), ("i32", "f32")),
    # Dot products of bytes have forms for both signs: dp4a, SDOT and UDOT, VPDPBUSD.
    **dict.fromkeys(("u8", "i4", "u4", "i2", "u2"), ("i8", "i32", "f32")),
}


def unit_for(dtype: str, engine: Engine, matrix: Collection[str], vector: Collection[str]) -> tuple[Engine, str] | None:
    """The unit, and the number format it runs in, for arithmetic in ``dtype``.

    Args:
        engine: where it should run: ``matrix`` for contractions, ``vector`` for all else.
        matrix, vector: formats that these units have.

    Returns:
        ``engine`` and ``dtype`` if there is such a unit; else a matrix unit for wider numbers; else vector
        lanes of that format or, converting, of a wider one. None if the machine cannot; so for contractions
        of floats of 8 bits and less without a matrix unit for them.

    >>> unit_for("f16", "matrix", matrix=["f16"], vector=["f32"])
    ('matrix', 'f16')
    >>> unit_for("bf16", "matrix", matrix=["f16"], vector=["f32"])
    ('vector', 'f32')
    >>> unit_for("f8e4m3", "matrix", matrix=["f16"], vector=["f32"]) is None
    True
    """
    if engine == "matrix":
        for candidate in (dtype, *_WIDER_IN_MATRIX.get(dtype, ())):
            if candidate in matrix:
                return "matrix", candidate
        if dtype in _NARROW_FLOATS:
            return None
    for candidate in (dtype, *_WIDER_IN_VECTOR.get(dtype, ())):
        if candidate in vector:
            return "vector", candidate
    return None
