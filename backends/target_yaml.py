"""Reads a target's YAML, from anyone, into entries that know their line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from ircost.backends.errors import TargetError

MAX_BYTES = 1_000_000
MAX_DEPTH = 8  # libyaml's own composer recurses in C, without limit: half a million brackets crash it


@dataclass(frozen=True, slots=True)
class Entry:
    """A value in a file: text, a list, or a section of named entries.

    Args:
        line: from 1; of the key, if it has one.
    """

    value: Any
    file: str
    line: int

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def section(self) -> dict[str, Entry]:
        """The named entries, in file order; none if it is not a section."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def entries(self) -> list[Entry]:
        """The listed entries; none if it is not a list."""
        return self.value if isinstance(self.value, list) else []


def read_file(path: Path) -> Entry:
    """The file's top section.

    Raises:
        TargetError: cannot be read, too big, not UTF-8, or as ``read_text``.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise TargetError(f"'{path}' is over {MAX_BYTES // 1000} kB: not a target", at=str(path))
        return read_text(content.decode(), str(path))
    except OSError as error:
        raise TargetError(f"cannot read '{path}': {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TargetError(f"'{path}' is not UTF-8 text", at=f"byte {error.start}") from error


def read_text(text: str, file: str) -> Entry:
    """The top section. Everything in it is text: YAML's own idea of numbers and booleans plays no part.

    Raises:
        TargetError: not YAML, no section at the top, a key twice, an anchor or alias, nested too deep; with
            file and line.
    """
    try:
        return _Reader(text, file).document()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        # Newer versions of libyaml count the levels themselves.
        problem = "nested too deep" if "nesting depth" in str(error.problem) else f"not YAML: {error.problem}"
        raise TargetError(problem, at=f"{file}:{line}") from error
    except yaml.YAMLError as error:
        raise TargetError(f"not YAML: {str(error).splitlines()[0]}", at=file) from error


class _Reader:
    """From events, one by one: nothing is built that the limits do not allow."""

    def __init__(self, text: str, file: str) -> None:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=loader))
        self._file = file

    def document(self) -> Entry:
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise TargetError("the file is empty", at=self._file, help="start with 'name:' and 'extends:'")
        first = next(self._events)
        top = self._entry(first, 0, first.start_mark.line + 1)
        next(self._events)
        if not isinstance(next(self._events), yaml.StreamEndEvent):
            raise TargetError("more than one YAML document", at=self._file, help="one file, one target")
        if not isinstance(top.value, dict):
            raise TargetError("a target is a list of 'key: value' lines", at=top.place)
        return top

    def _entry(self, event: Any, depth: int, line: int) -> Entry:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            self._refuse(event, "YAML anchors and aliases are not read", "write it out, or use 'extends:'")
        if depth > MAX_DEPTH:
            self._refuse(event, "nested too deep", f"at most {MAX_DEPTH} levels")
        if isinstance(event, yaml.MappingStartEvent):
            return Entry(self._section(depth), self._file, line)
        if isinstance(event, yaml.SequenceStartEvent):
            return Entry(self._list(depth), self._file, line)
        return Entry(event.value, self._file, line)

    def _section(self, depth: int) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            key = self._entry(event, depth + 1, line).value
            if not isinstance(key, str):
                self._refuse(event, "a key has to be a word", None)
            if key in entries:
                self._refuse(event, f"'{key}' is there twice", f"first in line {entries[key].line}")
            entries[key] = self._entry(next(self._events), depth + 1, line)
        return entries

    def _list(self, depth: int) -> list[Entry]:
        entries = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            entries.append(self._entry(event, depth + 1, event.start_mark.line + 1))
        return entries

    def _refuse(self, event: Any, problem: str, help: str | None) -> NoReturn:
        raise TargetError(problem, at=f"{self._file}:{event.start_mark.line + 1}", help=help)
