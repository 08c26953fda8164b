"""From the entries of a target's file, and of those it extends, to a ``Target``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ValidationError

from ircost.backends.errors import TargetError
from ircost.backends.figure import WrittenFigure
from ircost.backends.target import Target
from ircost.backends.target_parts import ArithmeticEnergy, Link, MemoryLevel, Power, Processors
from ircost.ir.errors import did_you_mean
from ircost.ir.types import DTYPES
from ircost.ir.yaml_document import Entry

# All else that is a single value in a target's file is a figure.
NOT_FIGURES = frozenset(
    {
        *("name", "aliases", "vendor", "kind", "description", "architecture", "chip", "runtime", "extends"),
        *("per_processor", "topology", "devices", "neighbours", "reduces", "peers"),
    }
)
# Drops what the extended target has under this key.
NOTHING = "none"
# What a file says of itself, and of no file that extends it.
OWN = frozenset({"name", "aliases", "description", "extends"})

SECTIONS: dict[str, type[BaseModel]] = {
    "memory": MemoryLevel,
    "flash": MemoryLevel,
    "links": Link,
    "processors": Processors,
    "power": Power,
    "energy": ArithmeticEnergy,
}

NOT_A_SECTION = frozenset({"model_type", "model_attributes_type", "dict_type", "mapping_type", "tuple_type"})

# What pydantic calls a mistake: what it is, and the cure.
WORDS: dict[str, tuple[str, str | None]] = {
    "missing": ("missing", "add it, or take it from another target with 'extends:'"),
    "tuple_type": ("here goes a list", "such as [h100]"),
    "string_type": ("here goes one line of text", None),
    "string_pattern_mismatch": ("not a name", "use letters, digits, '_', '-' and '.'"),
    "bool_type": ("neither true nor false", None),
    "bool_parsing": ("neither true nor false", None),
    "int_type": ("not a whole number", "such as 8"),
    "int_parsing": ("not a whole number", "such as 8"),
}


def with_sources(section: Entry, source: str = "", guess: bool = False) -> Entry:
    """Gives every figure its source: its own, or the nearest ``source:`` of the sections around it.

    Raises:
        TargetError: ``guess`` is neither true nor false, or a ``{value: ...}`` has a key it should not have.
    """
    own = section.section
    source, guess = _text(own, "source", source), _truth(own, guess)
    figures = {key: entry for key, entry in own.items() if key not in ("source", "guess")}
    return replace(section, value={key: _sourced(key, entry, source, guess) for key, entry in figures.items()})


def _sourced(key: str, entry: Entry, source: str, guess: bool) -> Entry:
    if key in NOT_FIGURES or isinstance(entry.value, list):
        return entry
    if not isinstance(entry.value, dict):
        return replace(entry, value=WrittenFigure(entry.value, source, guess))
    if "value" not in entry.value:
        return with_sources(entry, source, guess)
    for inner, unknown in entry.value.items():
        if inner not in ("value", "source", "guess"):
            raise TargetError(
                f"no key '{inner}' in a figure", at=unknown.place, help="a figure has value, source, guess"
            )
    text = _text(entry.value, "value", "")
    own_source = _text(entry.value, "source", "")
    # A figure with a source of its own is no guess because its section is.
    return replace(
        entry, value=WrittenFigure(text, own_source or source, _truth(entry.value, guess and not own_source))
    )


def _text(section: dict[str, Entry], key: str, default: str) -> str:
    entry = section.get(key)
    if entry is None:
        return default
    if not isinstance(entry.value, str):
        raise TargetError(f"'{key}' must be one line of text", at=entry.place)
    return entry.value


def _truth(section: dict[str, Entry], default: bool) -> bool:
    entry = section.get("guess")
    if entry is None:
        return default
    if entry.value not in ("true", "false"):
        raise TargetError(f"guess is '{entry.value}'", at=entry.place, help="write true or false")
    return bool(entry.value == "true")


def merged(base: Entry, child: Entry) -> Entry:
    """What ``child`` says, and for the rest what ``base`` says; sections are merged key by key.

    The chip is that of ``base``, or ``base`` itself. Where ``child`` says ``none``, what ``base`` has there is dropped.
    """
    inherited = {key: entry for key, entry in base.section.items() if key not in OWN}
    inherited.setdefault("chip", base.section["name"])
    return _merged(replace(base, value=inherited), child)


def _merged(base: Entry, child: Entry) -> Entry:
    if not (isinstance(base.value, dict) and isinstance(child.value, dict)):
        return child
    below = base.value
    over = {key: _merged(below[key], entry) if key in below else entry for key, entry in child.value.items()}
    dropped = {key for key, entry in over.items() if key in below and _is_nothing(entry)}
    return replace(child, value={key: entry for key, entry in {**below, **over}.items() if key not in dropped})


def _is_nothing(entry: Entry) -> bool:
    return isinstance(entry.value, WrittenFigure) and entry.value.text == NOTHING


def build_target(document: Entry) -> Target:
    """The target that the merged entries describe.

    Raises:
        TargetError: they do not; the first mistake, with file, line and cure.
    """
    content = {key: _plain(entry) for key, entry in document.section.items() if key != "extends"}
    try:
        return Target.model_validate(content)
    except ValidationError as error:
        raise _explained(error, document) from error


def _plain(entry: Entry) -> Any:
    if isinstance(entry.value, dict):
        return {key: _plain(inner) for key, inner in entry.value.items()}
    if isinstance(entry.value, list):
        return [_plain(inner) for inner in entry.value]
    return entry.value


def _explained(error: ValidationError, document: Entry) -> TargetError:
    """The mistake that stands first; those that miss something come last, for a misspelt key is both."""
    mistakes = error.errors(include_url=False, include_input=False)
    first = min(mistakes, key=lambda mistake: mistake["type"] == "missing")
    path = _key_path(first["loc"], document)
    message, help = _words(first["type"], first["msg"], first.get("ctx", {}), path)
    where = ".".join(path)
    if len(mistakes) > 1:
        help = f"{help}  " if help else ""
        help += f"({len(mistakes) - 1} more after this one)"
    place = _nearest(document, path).place
    return TargetError(f"{where}: {message}" if where else message, at=place, help=help)


def _key_path(loc: Iterable[int | str], document: Entry) -> list[str]:
    """The keys in the file: memory levels and links are named there, and numbered in the model."""
    path: list[str] = []
    for step in loc:
        if isinstance(step, int):
            named = list(_nearest(document, path).section)
            path.append(named[step] if step < len(named) else str(step))
        elif step != "[key]":
            path.append(step)
    return path


def _nearest(document: Entry, path: Iterable[str]) -> Entry:
    """The entry at ``path``, or as near to it as the file goes."""
    entry = document
    for key in path:
        if key not in entry.section:
            break
        entry = entry.section[key]
    return entry


def _words(kind: str, message: str, context: dict[str, Any], path: list[str]) -> tuple[str, str | None]:
    if kind == "figure":
        return context["message"], context["help"]
    if kind == "extra_forbidden":
        return "no such key", did_you_mean(path[-1], _known_keys(path[:-1]))
    if kind in NOT_A_SECTION and path != ["aliases"]:
        known = _known_keys(path)
        return (
            "here goes a section",
            f"its keys: {', '.join(known)}" if known else "its keys: a name for each",
        )
    return WORDS.get(kind, (message[:1].lower() + message[1:], None))


def _known_keys(path: list[str]) -> list[str]:
    """The keys that a section may have; none if those are names of the user's choice."""
    if not path:
        return [*_keys_of(Target), "extends", "source", "guess"]
    if path[0] in ("matrix", "vector") or path[:-1] == ["energy"]:
        return list(DTYPES)
    if path[0] in ("memory", "links") and len(path) == 1:
        return []
    keys = _keys_of(SECTIONS[path[0]]) if path[0] in SECTIONS else []
    return [key for key in keys if key != "name" or path[0] not in ("memory", "links", "flash")]


def _keys_of(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]
