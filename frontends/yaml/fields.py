"""Kinds of settings that layers have: how each is read from text, and what editors are told of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema

from ircost.frontends.yaml.expression import Number, evaluate

# Pydantic knows no definitions of these names; `schema.py` writes "ref" as "$ref".
EXPRESSION = {"ref": "#/$defs/expression"}
LAYERS_SCHEMA = {"ref": "#/$defs/layers"}


class Unread:
    """Marks a field whose entry is read later, with its places: lists of layers."""


def number(value: object, info: ValidationInfo) -> Number:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise ValueError("a number or an expression expected")
    names: Mapping[str, Number] = info.context or {}
    return evaluate(value, names)


def whole(value: object, info: ValidationInfo) -> int:
    found = number(value, info)
    if found != found or abs(found) == float("inf") or found != int(found):
        written = f"{value} is {found:g}" if str(value) != str(found) else str(value)
        raise ValueError(f"{written}, a whole number expected; // rounds down")
    return int(found)


def extent(value: object, info: ValidationInfo) -> int:
    found = whole(value, info)
    if found < 1:
        written = f"{value} is {found}" if str(value) != str(found) else str(value)
        raise ValueError(f"{written}, 1 or more expected")
    return found


def several(one: Callable[[object, ValidationInfo], Any]) -> Callable[[object, ValidationInfo], tuple[Any, ...]]:
    """A list of what ``one`` reads; what is no list counts as a list of one."""

    def read(value: object, info: ValidationInfo) -> tuple[Any, ...]:
        values = value if isinstance(value, (list, tuple)) else [value]
        return tuple(one(entry, info) for entry in values)

    return read


def truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value not in ("true", "false"):
        raise ValueError(f"'{value}' is neither true nor false")
    return value == "true"


def pad(value: object, info: ValidationInfo) -> str | tuple[int, ...]:
    if value == "same":
        return "same"
    pads = several(whole)(value, info)
    if any(width < 0 for width in pads):
        raise ValueError(f"padding {list(pads)} is below 0")
    return pads


def _or_expression(*forms: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [*forms, EXPRESSION]}


def _one_or_more(form: str) -> dict[str, Any]:
    one = {"ref": f"#/$defs/{form}"}
    return {"anyOf": [one, {"type": "array", "items": one}]}


def _shared(name: str) -> WithJsonSchema:
    return WithJsonSchema({"ref": f"#/$defs/{name}"})


# What editors are told of each kind of setting.
SHARED_SCHEMAS: dict[str, dict[str, Any]] = {
    "expression": {"type": "string", "description": "over params and dims, such as 4*width"},
    "extent": _or_expression({"type": "integer", "minimum": 1}),
    "whole": _or_expression({"type": "integer"}),
    "number": _or_expression({"type": "number"}),
    "extents": _one_or_more("extent"),
    "wholes": _one_or_more("whole"),
    "padding": {"anyOf": [{"const": "same"}, *_one_or_more("whole")["anyOf"]]},
}

# One number each; then one for all axes, or a list.
Extent = Annotated[int, BeforeValidator(extent), _shared("extent")]
Whole = Annotated[int, BeforeValidator(whole), _shared("whole")]
Real = Annotated[float, BeforeValidator(number), _shared("number")]
Extents = Annotated[tuple[int, ...], BeforeValidator(several(extent)), _shared("extents")]
Wholes = Annotated[tuple[int, ...], BeforeValidator(several(whole)), _shared("wholes")]
Flag = Annotated[bool, BeforeValidator(truth), WithJsonSchema({"type": "boolean"})]
Padding = Annotated[str | tuple[int, ...], BeforeValidator(pad), _shared("padding")]
LayerList = Annotated[Any, Unread(), WithJsonSchema(LAYERS_SCHEMA)]
Branches = Annotated[Any, Unread(), WithJsonSchema({"type": "array", "items": LAYERS_SCHEMA})]


def described(default: Any, text: str) -> Any:
    """A field with a default and what editors show for it; ``...`` has none."""
    return Field(default, description=text)
