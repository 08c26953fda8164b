"""Attributes of ops: immutable values, and what kind of value each name takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, Union

from ircost.ir.constant import ConstantData
from ircost.ir.types import DType, TensorType

Attribute: TypeAlias = Union[bool, int, float, str, DType, TensorType, ConstantData, tuple["Attribute", ...]]
Attributes: TypeAlias = Mapping[str, Attribute]

# Annotations of an op declaration's keyword parameters; they also name the kind in error messages.
Ints: TypeAlias = tuple[int, ...]
Pairs: TypeAlias = tuple[tuple[int, int], ...]


class Required:
    """Marks an attribute that has no default."""

    def __repr__(self) -> str:
        return "required"


REQUIRED = Required()


@dataclass(frozen=True, slots=True)
class AttributeSpec:
    """One attribute of an op: its kind (``int``, ``Ints``, ``DType``, ...) and its default."""

    kind: str
    default: Attribute | Required = REQUIRED

    def accepts(self, value: Attribute) -> bool:
        """Whether ``value`` is of this kind."""
        return ATTRIBUTE_KINDS[self.kind](value)


def is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_ints(value: object) -> bool:
    return isinstance(value, tuple) and all(is_int(v) for v in value)


ATTRIBUTE_KINDS = {
    "int": is_int,
    "float": lambda value: isinstance(value, float) or is_int(value),
    "bool": lambda value: isinstance(value, bool),
    "str": lambda value: isinstance(value, str),
    "DType": lambda value: isinstance(value, DType),
    "TensorType": lambda value: isinstance(value, TensorType),
    "ConstantData": lambda value: not isinstance(value, (bool, int, float, str, DType, TensorType, tuple)),
    "Ints": is_ints,
    "Pairs": lambda value: isinstance(value, tuple) and all(is_ints(v) and len(v) == 2 for v in value),
    "Strs": lambda value: isinstance(value, tuple) and all(isinstance(v, str) for v in value),
    "Attribute": lambda value: True,
}
