"""A ``config.json`` as a section that knows which of its keys were read, so that none is passed over in silence."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ircost.frontends.config.neutral_keys import is_neutral
from ircost.ir.errors import IrcError, did_you_mean
from ircost.ir.json_document import parse_json

MAX_BYTES = 4_000_000
LARGEST = 2**40  # of any size in a config
NO_DEFAULT: Any = object()


class ConfigError(IrcError):
    """A ``config.json`` is wrong, contradicts itself, or asks for what nobody here can build."""


WORDS_OF_TYPE: dict[type, str] = {int: "whole numbers", float: "numbers", str: "text", bool: "true and false"}


class Config:
    """A section of a ``config.json``.

    Args:
        values: as JSON gives them. file: for messages. path: keys from the top to this section.
    """

    def __init__(self, values: Mapping[str, Any], file: str, path: str = "") -> None:
        self.values = dict(values)
        self.file = file
        self.path = path
        self._read: set[str] = set()
        self._sections: dict[str, Config] = {}

    def __contains__(self, key: str) -> bool:
        return self.values.get(key) is not None

    def raw(self, *names: str, default: Any = NO_DEFAULT) -> Any:
        """The value of the first of these keys that is there and is not null; all of them count as read.

        Raises:
            ConfigError: none is there, and there is no default.
        """
        self._read.update(names)
        found = [self.values[name] for name in names if self.values.get(name) is not None]
        if found:
            return found[0]
        if default is NO_DEFAULT:
            raise self.error(f"'{names[0]}' is missing", names[0], help=did_you_mean(names[0], self.values))
        return default

    def size(self, *names: str, default: Any = NO_DEFAULT, least: int = 1) -> int:
        """A whole number; ``default`` as it is where none of the keys is there."""
        value = self.raw(*names, default=default)
        if value is default and default is not NO_DEFAULT:
            return value  # type: ignore[no-any-return]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST:
            raise self.error(f"'{self._given(names)}' is {value!r}, a whole number of {least} and more expected")
        return value

    def number(self, *names: str, default: Any = NO_DEFAULT) -> float:
        value = self.raw(*names, default=default)
        if value is default and default is not NO_DEFAULT:
            return value  # type: ignore[no-any-return]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not _is_finite(value):
            raise self.error(f"'{self._given(names)}' is {value!r}, a number expected")
        return float(value)

    def flag(self, *names: str, default: bool = False) -> bool:
        value = self.raw(*names, default=default)
        if not isinstance(value, bool):
            raise self.error(f"'{self._given(names)}' is {value!r}, true or false expected")
        return value

    def text(self, *names: str, default: Any = NO_DEFAULT) -> str:
        value = self.raw(*names, default=default)
        if value is not default and not isinstance(value, str):
            raise self.error(f"'{self._given(names)}' is {value!r}, text expected")
        return value  # type: ignore[no-any-return]

    def listed(
        self, *names: str, of: tuple[type, ...] = (int, str, bool), length: int = 0, default: Any = NO_DEFAULT
    ) -> list[Any]:
        """A list; ``default`` as it is where none of the keys is there.

        Args:
            of: types of its elements. length: how many those are; 0: any number.
        """
        value = self.raw(*names, default=default)
        if value is default and default is not NO_DEFAULT:
            return value  # type: ignore[no-any-return]
        if not isinstance(value, list) or (length and len(value) != length):
            expected = f"a list of {length}" if length else "a list"
            raise self.error(f"'{self._given(names)}' is {_short(value)}, {expected} expected")
        for element in value:
            if type(element) not in of:
                words = " or ".join(WORDS_OF_TYPE[kind] for kind in of)
                raise self.error(f"'{self._given(names)}' holds {_short(element)}, {words} expected")
        return value

    def section(self, name: str) -> Config | None:
        """A section below; None where there is none, or a null."""
        value = self.raw(name, default=None)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.error(f"'{name}' is {value!r}, a section expected")
        if name not in self._sections:
            self._sections[name] = Config(value, self.file, f"{self.path}{name}.")
        return self._sections[name]

    def fill(self, name: str, value: object) -> None:
        """Puts in a key that is missing; nobody has to read it."""
        if name not in self.values:
            self.values[name] = value
            self._read.add(name)

    def renamed(self, keys: Mapping[str, str]) -> Config:
        """The same section with other names for some keys: standard name -> the one here. Reading either reads both.

        Where a key is missing, the standard name is looked up as it is.
        """
        values = {name: value for name, value in self.values.items() if name not in keys}
        values |= {name: self.values.get(key, self.values.get(name)) for name, key in keys.items()}
        other = Config(values, self.file, self.path)
        other._read, other._sections = self._read, self._sections
        self._read.update(keys.values())
        return other

    def passed(self, *names: str) -> None:
        """These keys say nothing that is not known from elsewhere."""
        self._read.update(names)

    def check_all_read(self) -> None:
        """Every key was read, or changes no computation.

        Raises:
            ConfigError: a key that nobody read may change the computation.
        """
        for name, value in self.values.items():
            if name not in self._read and not is_neutral(name, value):
                raise self.error(
                    f"'{name}' is {_short(value)}, and what it changes is not known",
                    help=f"take '{name}' out if the computation does not depend on it",
                )
        for inner in self._sections.values():
            inner.check_all_read()

    def error(self, message: str, key: str = "", help: str | None = None) -> ConfigError:
        return ConfigError(message, at=f"{self.file}{': ' + self.path.rstrip('.') if self.path else ''}", help=help)

    def _given(self, names: tuple[str, ...]) -> str:
        return self.path + next(name for name in names if self.values.get(name) is not None)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def read_config(path: str | Path) -> Config:
    """The config in a file, or in a folder's ``config.json``.

    Raises:
        ConfigError: it cannot be read, is too large, no JSON, or no section at the top.
    """
    file = config_file(path)
    return Config(read_section(file), str(file))


def config_file(path: str | Path) -> Path:
    """The file, or the one in a folder."""
    path = Path(path)
    return path / "config.json" if path.is_dir() else path


def read_section(file: Path) -> dict[str, Any]:
    """The section that a file of JSON is.

    Raises:
        ConfigError: it cannot be read, is too large, no JSON, or no section at the top.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read '{file}': {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"'{file}' is over {MAX_BYTES // 1_000_000} MB: no config.json")
    return _parsed(data, str(file))


def parse_config(data: bytes | str, file: str) -> Config:
    """The config in a text.

    Raises:
        ConfigError: it is no JSON, or has no section at the top.
    """
    return Config(_parsed(data, file), file)


def _parsed(data: bytes | str, file: str) -> dict[str, Any]:
    try:
        values = parse_json(data)
    except UnicodeDecodeError as error:
        raise ConfigError(f"'{file}' is not UTF-8 text", at=f"byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"no JSON: {error.msg}", at=f"{file}:{error.lineno}") from None
    except ValueError as error:
        raise ConfigError(f"no JSON that is read: {error}", at=file) from None
    if not isinstance(values, dict):
        raise ConfigError(f"a section expected, not {_short(values)}", at=file)
    return values
