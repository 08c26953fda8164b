"""Entries of a file as the model that describes them; every mistake with its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ircost.frontends.yaml.errors import YamlGraphError
from ircost.frontends.yaml.expression import Number
from ircost.frontends.yaml.fields import Unread
from ircost.ir.errors import did_you_mean
from ircost.ir.yaml_document import Entry

Model = TypeVar("Model", bound=BaseModel)


def read_settings(model: type[Model], entry: Entry, names: Mapping[str, Number], what: str) -> Model:
    """A section, or a lone value for the model's first field, as the model.

    Args:
        names: params and dims for expressions.
        what: is read, for messages: ``conv``.

    Raises:
        YamlGraphError: a setting is unknown, missing, or not of its kind; file, line and column.
    """
    settings = section_of(model, entry)
    unread = {name for name, field in model.model_fields.items() if any(isinstance(m, Unread) for m in field.metadata)}
    values = {key: inner if key in unread else plain(inner) for key, inner in settings.items()}
    try:
        return model.model_validate(values, context=names)
    except ValidationError as error:
        raise _explained(error, model, entry, settings, what) from None


def section_of(model: type[BaseModel], entry: Entry) -> dict[str, Entry]:
    if isinstance(entry.value, dict):
        return entry.section
    if is_nothing(entry):
        return {}
    if not model.model_fields:
        raise YamlGraphError("takes no settings", at=entry.position)
    return {next(iter(model.model_fields)): entry}


def is_nothing(entry: Entry) -> bool:
    return entry.value in ("", "~", "null")


def plain(entry: Entry) -> Any:
    """Text, lists and dicts, without places."""
    if isinstance(entry.value, dict):
        return {key: plain(inner) for key, inner in entry.value.items()}
    if isinstance(entry.value, list):
        return [plain(inner) for inner in entry.value]
    return entry.value


def _explained(
    error: ValidationError, model: type[BaseModel], entry: Entry, settings: dict[str, Entry], what: str
) -> YamlGraphError:
    """The first mistake that is no consequence of another: a misspelt key is missing, too."""
    mistakes = error.errors(include_url=False, include_input=False)
    first = min(mistakes, key=lambda mistake: mistake["type"] == "missing")
    key = str(first["loc"][0]) if first["loc"] else ""
    at = settings[key].position if key in settings else entry.position
    if first["type"] == "extra_forbidden":
        return YamlGraphError(f"{what}: no setting '{key}'", at=at, help=did_you_mean(key, model.model_fields))
    if first["type"] == "missing":
        text = model.model_fields[key].description
        return YamlGraphError(f"{what}: '{key}' is missing", at=at, help=f"{key}: {text}")
    message = first["msg"].removeprefix("Value error, ")
    return YamlGraphError(f"{what}: {key}: {message}", at=at)
