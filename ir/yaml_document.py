"""Reads untrusted YAML into entries that know their place in the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from ircost.ir.errors import IrcError

MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class DocumentKind:
    """What the files are, for limits and messages.

    Args:
        what: one of them, ``target``; in messages behind an "a".
        error: raised where one is wrong.
        max_depth: levels of nesting. libyaml's own composer recurses in C, without limit: half a million brackets
            crash it.
        start: how an empty file is begun.
        instead_of_anchors: how to write what anchors and aliases are for.
    """

    what: str
    error: type[IrcError]
    max_depth: int
    start: str
    instead_of_anchors: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A value in a file: text, a list, or a section of named entries.

    Args:
        line, column: from 1; of the key, if it has one. Column 0 is not known.
    """

    value: Any
    file: str
    line: int
    column: int = 0

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def position(self) -> str:
        """File, line and column."""
        return f"{self.place}:{self.column}"

    @property
    def section(self) -> dict[str, Entry]:
        """The named entries, in file order; none if it is not a section."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def entries(self) -> list[Entry]:
        """The listed entries; none if it is not a list."""
        return self.value if isinstance(self.value, list) else []


def read_file(path: Path, kind: DocumentKind) -> Entry:
    """The file's top section.

    Raises:
        IrcError: as ``file_text`` or ``read_text``.
    """
    return read_text(file_text(path, kind), str(path), kind)


def file_text(path: Path, kind: DocumentKind) -> str:
    """What stands in a file.

    Raises:
        IrcError: as ``kind`` says; cannot be read, too big, not UTF-8.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise kind.error(f"'{path}' is over {MAX_BYTES // 1000} kB: not a {kind.what}", at=str(path))
        return content.decode()
    except OSError as error:
        raise kind.error(f"cannot read '{path}': {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise kind.error(f"'{path}' is not UTF-8 text", at=f"byte {error.start}") from error


def read_text(text: str, file: str, kind: DocumentKind) -> Entry:
    """The top section. Everything in it is text: YAML's own idea of numbers and booleans plays no part.

    Raises:
        IrcError: as ``kind`` says; not YAML, no section at the top, a key twice, an anchor or alias, nested too deep;
            with file and line.
    """
    try:
        return _Reader(text, file, kind).document()
    except yaml.YAMLError as error:
        raise yaml_mistake(error, file, kind) from error


def yaml_mistake(error: yaml.YAMLError, file: str, kind: DocumentKind) -> IrcError:
    """What YAML's own reader has found, in our words."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return kind.error(f"not YAML: {str(error).splitlines()[0]}", at=file)
    line = error.problem_mark.line + 1 if error.problem_mark else 1
    # Newer versions of libyaml count the levels themselves.
    problem = "nested too deep" if "nesting depth" in str(error.problem) else f"not YAML: {error.problem}"
    return kind.error(problem, at=f"{file}:{line}")


class _Reader:
    """From events, one by one: nothing is built that the limits do not allow."""

    def __init__(self, text: str, file: str, kind: DocumentKind) -> None:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=loader))
        self._file = file
        self._kind = kind

    def document(self) -> Entry:
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise self._kind.error("the file is empty", at=self._file, help=self._kind.start)
        first = next(self._events)
        top = self._entry(first, 0, first.start_mark)
        next(self._events)
        if not isinstance(next(self._events), yaml.StreamEndEvent):
            what = self._kind.what
            raise self._kind.error("more than one YAML document", at=self._file, help=f"one file, one {what}")
        if not isinstance(top.value, dict):
            raise self._kind.error(f"a {self._kind.what} is a list of 'key: value' lines", at=top.place)
        return top

    def _entry(self, event: Any, depth: int, mark: Any) -> Entry:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            self._refuse(event, "YAML anchors and aliases are not read", self._kind.instead_of_anchors)
        if depth > self._kind.max_depth:
            self._refuse(event, "nested too deep", f"at most {self._kind.max_depth} levels")
        value: Any = getattr(event, "value", None)
        if isinstance(event, yaml.MappingStartEvent):
            value = self._section(depth)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._list(depth)
        return Entry(value, self._file, mark.line + 1, mark.column + 1)

    def _section(self, depth: int) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            mark = event.start_mark
            key = self._entry(event, depth + 1, mark).value
            if not isinstance(key, str):
                self._refuse(event, "a key has to be a word", None)
            if key in entries:
                self._refuse(event, f"'{key}' is there twice", f"first in line {entries[key].line}")
            entries[key] = self._entry(next(self._events), depth + 1, mark)
        return entries

    def _list(self, depth: int) -> list[Entry]:
        entries = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            entries.append(self._entry(event, depth + 1, event.start_mark))
        return entries

    def _refuse(self, event: Any, problem: str, help: str | None) -> NoReturn:
        raise self._kind.error(problem, at=f"{self._file}:{event.start_mark.line + 1}", help=help)
