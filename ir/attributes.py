"""Attributes of ops: immutable values, and what kind of value each name takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ircost.ir.constant import ConstantData
from ircost.ir.errors import DeclarationError
from ircost.ir.types import DType, TensorType

Attribute: TypeAlias = bool | int | float | str | DType | TensorType | ConstantData | tuple["Attribute", ...] | None
Attributes: TypeAlias = Mapping[str, Attribute]

# Annotations of an op declaration's keyword parameters; they also name the kind in error messages.
Ints: TypeAlias = tuple[int, ...]
Pairs: TypeAlias = tuple[tuple[int, int], ...]


def int_of(attrs: Attributes, name: str) -> int:
    """An attribute that is a whole number."""
    value = attrs[name]
    assert isinstance(value, int), f"{name} is not an int"
    return value


def float_of(attrs: Attributes, name: str) -> float:
    """A float attribute of a complete dict."""
    value = attrs[name]
    assert isinstance(value, (int, float)), "its kind was checked"
    return float(value)


def ints_of(attrs: Attributes, name: str) -> Ints:
    """An attribute that is a list of whole numbers."""
    value = attrs[name]
    assert isinstance(value, tuple), f"{name} is not a list"
    return value  # type: ignore[return-value]  # the kind, Ints, was checked when the op was made


def pairs_of(attrs: Attributes, name: str) -> Pairs:
    """An attribute that is a list of [begin, end]."""
    value = attrs[name]
    assert isinstance(value, tuple), f"{name} is not a list"
    return value  # type: ignore[return-value]  # the kind, Pairs, was checked when the op was made


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

    @property
    def words(self) -> str:
        """The kind, for people."""
        return KIND_WORDS.get(self.kind, self.kind)


def is_int(value: object) -> bool:
    """Whether it is a whole number that a 64-bit format holds, signed or not."""
    return isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 64


def is_ints(value: object) -> bool:
    return isinstance(value, tuple) and all(is_int(v) for v in value)


ATTRIBUTE_KINDS: dict[str, Callable[[object], bool]] = {
    "int": is_int,
    "float": lambda value: isinstance(value, float) or is_int(value),
    "bool": lambda value: isinstance(value, bool),
    "str": lambda value: isinstance(value, str),
    "DType": lambda value: isinstance(value, DType),
    "DType | None": lambda value: value is None or isinstance(value, DType),
    "TensorType": lambda value: isinstance(value, TensorType),
    "ConstantData": lambda value: not isinstance(value, (bool, int, float, str, DType, TensorType, tuple)),
    "Ints": is_ints,
    "Pairs": lambda value: isinstance(value, tuple) and all(is_ints(v) and len(v) == 2 for v in value),
    "Strs": lambda value: isinstance(value, tuple) and all(isinstance(v, str) for v in value),
    "Attribute": lambda value: True,
}

# Annotations as Python gives them where a module does not keep them as text.
KIND_OF_ANNOTATION: dict[object, str] = {
    **{int: "int", float: "float", bool: "bool", str: "str", DType: "DType", TensorType: "TensorType"},
    **{Ints: "Ints", Pairs: "Pairs", tuple[str, ...]: "Strs", DType | None: "DType | None", Attribute: "Attribute"},
    **{"tuple[int, ...]": "Ints", "tuple[str, ...]": "Strs"},
}


def declared_attributes(op: str, declaration: Callable[..., Any]) -> dict[str, AttributeSpec]:
    """The attributes of an op: the keyword-only parameters of the function that declares it.

    Raises:
        DeclarationError: one is annotated with no kind of attribute.
    """
    specs = {}
    for parameter in inspect.signature(declaration).parameters.values():
        if parameter.kind is not parameter.KEYWORD_ONLY:
            continue
        annotation = parameter.annotation
        kind = KIND_OF_ANNOTATION.get(annotation, annotation)
        if kind not in ATTRIBUTE_KINDS:
            given = "has no annotation" if annotation is parameter.empty else f"is annotated {annotation}"
            raise DeclarationError(
                f"{op}: attribute '{parameter.name}' {given}", help=f"kinds are {', '.join(ATTRIBUTE_KINDS)}"
            )
        specs[parameter.name] = AttributeSpec(
            kind, REQUIRED if parameter.default is parameter.empty else parameter.default
        )
    return specs


KIND_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a string",
    "DType": "a number format",
    "DType | None": "a number format or nothing",
    "TensorType": "a type such as 2x3xf32",
    "ConstantData": "the data of a constant",
    "Ints": "a list of whole numbers, in Python a tuple",
    "Pairs": "a list of pairs of whole numbers, in Python a tuple of tuples",
    "Strs": "a list of strings, in Python a tuple",
}
