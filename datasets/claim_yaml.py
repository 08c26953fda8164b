"""Reads claims, as YAML understands them, into models; every mistake is told with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from ircost.ir import yaml_document
from ircost.ir.errors import IrcError, did_you_mean
from ircost.ir.yaml_document import DocumentKind, Entry

KeyPath = tuple[str | int, ...]  # keys, and places in lists, from the top
Model = TypeVar("Model", bound=BaseModel)


class ClaimError(IrcError):
    """A claim is not there, its file is wrong, or nothing can predict it."""


CLAIM_FILE = DocumentKind(
    what="claim",
    error=ClaimError,
    max_depth=20,
    start="begin with 'id: C01'",
    instead_of_anchors="write it out",
)
# Told only where nothing else is wrong: a misspelt key is missing too, and a list of wrong items counts as empty.
CONSEQUENCES = {"missing": 1, "too_short": 2}
# What pydantic calls a mistake: what it is, and the cure.
WORDS: dict[str, tuple[str, str | None]] = {
    "missing": ("missing", None),
    "too_short": ("empty", "at least one is needed"),
    "string_type": ("here goes text", "put it in quotes, such as '2408.11743'"),
    "tuple_type": ("here goes a list", "such as [1, 2]"),
    "dict_type": ("here goes a section", "'key: value' lines"),
    "model_type": ("here goes a section", "'key: value' lines"),
}


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a file.

    Args:
        content: as YAML understands it.
        file: for messages.
        lines: of every key and list item of the whole file, from 1.
        path: where in the file this part stands.
    """

    content: Any
    file: str
    lines: Mapping[KeyPath, int]
    path: KeyPath = ()

    def inner(self, *steps: str | int) -> Section:
        """The part below these keys, which has to be there."""
        content = self.content
        for step in steps:
            content = content[step]
        return replace(self, content=content, path=(*self.path, *steps))

    def place(self, *steps: str | int) -> str:
        """File and line of what stands below these keys, or as near to it as the file goes."""
        path = (*self.path, *steps)
        while path not in self.lines:
            path = path[:-1]
        return f"{self.file}:{self.lines[path]}"

    @contextmanager
    def blaming(self, *steps: str | int) -> Iterator[None]:
        """What goes wrong inside is told of what stands below these keys.

        Raises:
            ClaimError: in place of any other mistake that a user can cause.
        """
        try:
            yield
        except IrcError as error:
            raise ClaimError(error.message, at=self.place(*steps), help=error.help) from error

    def read(self, model: type[Model]) -> Model:
        """This part as ``model`` describes it.

        Raises:
            ClaimError: it is not so; the first mistake, with file, line and cure.
        """
        try:
            return model.model_validate(self.content)
        except ValidationError as error:
            raise self._explained(error, model) from error

    def _explained(self, error: ValidationError, model: type[BaseModel]) -> ClaimError:
        """The mistake that stands first, and is no consequence of another."""
        mistakes = error.errors(include_url=False, include_input=False)
        first = min(mistakes, key=lambda mistake: CONSEQUENCES.get(mistake["type"], 0))
        steps = tuple(step for step in first["loc"] if step != "[key]")
        where = ".".join(map(str, (*self.path, *steps)))
        message, help = _words(first["type"], first["msg"], steps, model)
        return ClaimError(f"{where}: {message}" if where else message, at=self.place(*steps), help=help)


def _words(kind: str, message: str, steps: KeyPath, model: type[BaseModel]) -> tuple[str, str | None]:
    if kind == "extra_forbidden":
        return "no such key", did_you_mean(str(steps[-1]), _known_keys(model, steps[:-1]))
    plain = message.removeprefix("Value error, ")
    return WORDS.get(kind, (plain[:1].lower() + plain[1:], None))


def _known_keys(model: type[BaseModel], steps: KeyPath) -> Sequence[str]:
    """The keys that the section at ``steps`` may have; none where they are free."""
    for step in steps:
        if isinstance(step, int):
            continue
        annotation = model.model_fields[step].annotation
        inner = [kind for kind in (annotation, *get_args(annotation)) if _is_model(kind)]
        if not inner:
            return ()
        model = inner[0]
    return list(model.model_fields)


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def read_file(path: Path) -> Section:
    """The whole of a file.

    Raises:
        ClaimError: it cannot be read, is too big, or as ``read_text``.
    """
    return read_text(yaml_document.file_text(path, CLAIM_FILE), str(path))


def read_text(text: str, file: str) -> Section:
    """The whole of a text.

    Raises:
        ClaimError: it is not YAML, has no section at the top, a key twice or an anchor; with file and line.
    """
    top = yaml_document.read_text(text, file, CLAIM_FILE)
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise yaml_document.yaml_mistake(error, file, CLAIM_FILE) from error
    return Section(content, file, dict(_lines(top, ())))


def _lines(entry: Entry, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    """Of an entry, and of every key and item below it."""
    yield path, entry.line
    parts: list[tuple[str | int, Entry]] = [*entry.section.items(), *enumerate(entry.entries)]
    for step, inner in parts:
        yield from _lines(inner, (*path, step))
