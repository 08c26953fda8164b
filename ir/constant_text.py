"""Constant data in the text format, parsed once its type is known."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from lark import Token

from ircost.ir.attributes import Attribute
from ircost.ir.constant import ConstantData, FileSlice, Literal, Missing, Splat, is_value_of
from ircost.ir.numpy_dtypes import numpy_dtype
from ircost.ir.parse_source import Source
from ircost.ir.types import DType, TensorType, parse_dtype

WORDS: dict[str, Attribute] = {"true": True, "false": False, "inf": float("inf"), "nan": float("nan")}


class WrittenData:
    """The data of a constant as written."""

    def __init__(self, source: Source, token: Token) -> None:
        self.source = source
        self.token = token

    def of_type(self, type: TensorType) -> ConstantData:
        kind, content = str(self.token)[:-1].split("<", 1)
        try:
            return READERS[kind](content, type)
        except (ValueError, OverflowError) as error:
            self.source.fail(self.token, f"not the data of a {type}: {error}")


# What is stored, and the format it is stored in where that is not the type's.
DENSE = re.compile(r"\s*\[([^\[\]]*)\]\s*(?:,\s*(\w+)\s*)?")
HEX = re.compile(r'\s*"([0-9a-fA-F]*)"\s*(?:,\s*(\w+)\s*)?')


def in_format(written: re.Pattern[str], content: str, type: TensorType, cure: str) -> tuple[str, DType]:
    """What is stored, and in which format; raises ValueError where it is not written so."""
    found = written.fullmatch(content)
    if found is None:
        raise ValueError(cure)
    return found[1], parse_dtype(found[2]) if found[2] else type.dtype


def read_dense(content: str, type: TensorType) -> Literal:
    numbers, dtype = in_format(DENSE, content, type, "write all elements in one list, [1.0, 2.0]")
    words = [word.strip() for word in numbers.split(",")] if numbers.strip() else []
    if len(words) != type.elements:
        raise ValueError(f"{len(words)} elements, {type.elements} expected")
    values = [WORDS[word] if word in WORDS else (float(word) if dtype.is_float else int(word)) for word in words]
    for value in values if not dtype.is_float else ():
        check_value(value, dtype)  # type: ignore[arg-type]  # numbers and words that stand for numbers
    return Literal(
        np.array(values, dtype=None if dtype.is_float else object).astype(numpy_dtype(dtype)).tobytes(), dtype
    )


def read_hex(content: str, type: TensorType) -> Literal:
    digits, dtype = in_format(HEX, content, type, 'write pairs of digits 0 to f in quotes, "0000803f"')
    data = bytes.fromhex(digits)
    if len(data) != type.elements * numpy_dtype(dtype).itemsize:
        raise ValueError(f"{len(data)} bytes, {type.elements * numpy_dtype(dtype).itemsize} expected")
    return Literal(data, dtype)


def read_splat(content: str, type: TensorType) -> Splat:
    word = content.strip()
    value: Any = WORDS[word] if word in WORDS else int(word) if re.fullmatch(r"-?\d{1,400}", word) else float(word)
    check_value(value, type.dtype)
    return Splat(value)


def check_value(value: float | int | bool, dtype: DType) -> None:
    """Raises ValueError where an integer format does not hold a number."""
    if not is_value_of(value, dtype):
        raise ValueError(f"{value} is no {dtype}")


def read_file(content: str, type: TensorType) -> FileSlice:
    path, rest = json.JSONDecoder(strict=False).raw_decode(content)
    offset, length, dtype = (word.strip() for word in content[rest:].lstrip(", ").split(","))
    return FileSlice(path, int(offset), int(length), parse_dtype(dtype))


def read_missing(content: str, type: TensorType) -> Missing:
    return Missing(json.loads(content, strict=False))


READERS: dict[str, Callable[[str, TensorType], ConstantData]] = {
    **{"dense": read_dense, "hex": read_hex, "splat": read_splat, "file": read_file, "missing": read_missing},
}
