"""Pipelines as text: ``canonicalize,fuse{max_ops=16}``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import Any

from ircost.ir.errors import IrcError, did_you_mean
from ircost.ir.types import DType, parse_dtype
from ircost.passes.base import PASSES, Pass, PassError

ITEM = re.compile(r"\s*(?P<name>[\w-]+)\s*(?:\{(?P<options>[^{}]*)\})?\s*(?P<end>,|$)")
OPTION = re.compile(r"\s*(?P<name>[\w-]+)\s*=\s*(?P<value>[^,=]+?)\s*(?:,|$)")


def parse_pipeline(text: str) -> tuple[Pass, ...]:
    """The passes that a text names, in order.

    Raises:
        PassError: not a pipeline, or an option that the pass lacks or that has the wrong kind; shows the place.
        UnknownNameError: there is no such pass; lists the nearest.

    >>> [str(type(p).__name__) for p in parse_pipeline("canonicalize,fuse{max_ops=4}")]
    ['Canonicalize', 'Fuse']
    """
    passes: list[Pass] = []
    position = 0
    while (text.strip() and position < len(text)) or (passes and text.rstrip().endswith(",") and position == len(text)):
        match = ITEM.match(text, position)
        if match is None:
            caret = f"  {text}\n    {' ' * position}^"
            raise PassError(f"not a pipeline:\n  {caret}", help="write it like 'canonicalize,fuse{max_ops=16}'")
        passes.append(make_pass(match["name"], match["options"] or ""))
        position = match.end() + (0 if match["end"] else 1)
    return tuple(passes)


def make_pass(name: str, options: str) -> Pass:
    """A pass with its options as text.

    Raises:
        PassError: an option does not fit.
    """
    cls = PASSES.get(name)
    known = {field.name: field for field in fields(cls)}
    values: dict[str, Any] = {}
    position = 0
    while position < len(options) and options[position:].strip():
        match = OPTION.match(options, position)
        if match is None:
            raise PassError(
                f"pass '{name}': '{options}' is not a list of options", help="write them like {max_ops=16, deep=true}"
            )
        option = match["name"].replace("-", "_")
        if option in values:
            raise PassError(f"pass '{name}': option '{option}' is given twice", help="give it once")
        if option not in known:
            raise PassError(
                f"pass '{name}' has no option '{option}'", help=did_you_mean(option, known) if known else "it has none"
            )
        values[option] = option_value(name, known[option], match["value"])
        position = match.end()
    missing = [n for n, f in known.items() if n not in values and f.default is MISSING and f.default_factory is MISSING]
    if missing:
        raise PassError(f"pass '{name}' needs option '{missing[0]}'", help=f"write {name}{{{missing[0]}=...}}")
    return cls(**values)


def option_value(name: str, field: Field[Any], text: str) -> Any:
    """An option's text as a value of its field's type."""
    kind = option_kind(field)
    if kind not in OPTION_READERS:
        raise PassError(
            f"pass '{name}': option '{field.name}' is of type {kind}, which cannot be written",
            help=f"declare it as {', '.join(OPTION_READERS)}, or make the pass in Python",
        )
    try:
        return OPTION_READERS[kind](text)
    except (KeyError, ValueError) as error:
        raise PassError(
            f"pass '{name}': option '{field.name}' is '{text}', {kind} expected",
            help=f"write it like {field.name}={OPTION_EXAMPLES[kind]}" if kind in OPTION_EXAMPLES else None,
        ) from error
    except IrcError as error:
        raise PassError(f"pass '{name}': option '{field.name}': {error.message}", help=error.help) from None


def option_kind(field: Field[Any]) -> str:
    """The type that an option is declared with, as it is written there."""
    return field.type.__name__ if type(field.type) is type else str(field.type)


OPTION_READERS: dict[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": lambda text: {"true": True, "false": False}[text],
    "DType": parse_dtype,
}

OPTION_EXAMPLES = {"int": "16", "float": "0.5", "bool": "true"}


def pipeline_text(passes: tuple[Pass, ...]) -> str:
    """The text that `parse_pipeline` reads back; options at their defaults are left out."""
    return ",".join(map(pass_text, passes))


def pass_text(instance: Pass) -> str:
    changed = [
        f"{field.name}={option_text(getattr(instance, field.name))}"
        for field in fields(instance)
        if getattr(instance, field.name) != field.default
    ]
    return instance.name + (f"{{{', '.join(changed)}}}" if changed else "")


def option_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.name if isinstance(value, DType) else str(value)
