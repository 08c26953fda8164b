"""Options that several verbs share, and how their values are read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np

from ircost.frontends import Imported, ImportOptions, load
from ircost.ir.errors import IrcError
from ircost.ir.verify import verify

Command = TypeVar("Command", bound=Callable[..., Any])


class OptionError(IrcError):
    """An option's value cannot be read."""


def import_options(command: Command) -> Command:
    """Options that bind a model's inputs."""
    for option in reversed(
        [
            click.option("--dim", "dims", multiple=True, metavar="NAME=N", help="Bind a symbolic dim."),
            click.option(
                "--shape", "shapes", multiple=True, metavar="INPUT=1,3,48,192", help="Bind an input's whole shape."
            ),
            click.option(
                "--value",
                "values",
                multiple=True,
                metavar="INPUT=16000",
                help="Bind an input's value; what depends on it folds.",
            ),
            click.option(
                "--allow-opaque", is_flag=True, help="Take unknown operators; their cost is reported as unknown."
            ),
        ]
    ):
        command = option(command)
    return command


def read_model(
    model: str, dims: Iterable[str], shapes: Iterable[str], values: Iterable[str], allow_opaque: bool
) -> Imported:
    """Imports and verifies a model as the options say."""
    imported = load(model, read_import_options(dims, shapes, values, allow_opaque))
    verify(imported.module)
    return imported


def read_import_options(
    dims: Iterable[str], shapes: Iterable[str], values: Iterable[str], allow_opaque: bool
) -> ImportOptions:
    """The options' texts as values.

    Raises:
        OptionError: one cannot be read.
    """
    return ImportOptions(
        dims={name: whole_number(f"--dim {name}", text) for name, text in pairs("--dim", dims)},
        shapes={
            name: tuple(
                whole_number(f"--shape {name}", part) for part in text.split(",") if part.strip() or "," in text
            )
            for name, text in pairs("--shape", shapes)
        },
        values={name: array(f"--value {name}", text) for name, text in pairs("--value", values)},
        allow_opaque=allow_opaque,
    )


def pairs(option: str, texts: Iterable[str]) -> list[tuple[str, str]]:
    result = []
    for text in texts:
        name, equals, value = text.rpartition("=")
        if not equals or not name:
            raise OptionError(f"{option} {text}: no '='", help=f"write it like {option} name=value")
        result.append((name.strip(), value.strip()))
    return result


def whole_number(option: str, text: str) -> int:
    if not text.strip().isdecimal():
        raise OptionError(
            f"{option}={text}: '{text.strip()}' is no whole number", help="extents are numbers, 0 or more"
        )
    return int(text)


def array(option: str, text: str) -> np.ndarray:
    """``16000`` is a scalar, ``1,2,3`` a vector, ``true`` and ``false`` booleans."""
    words = {"true": True, "false": False}
    try:
        numbers = [
            words[p] if p in words else (int(p) if p.lstrip("+-").isdecimal() else float(p)) for p in text.split(",")
        ]
    except ValueError:
        raise OptionError(f"{option}={text}: not a number or a list of numbers", help="write 16000, or 1,2,3") from None
    return np.array(numbers if "," in text else numbers[0])


def write_whole(path: str, text: str | bytes) -> None:
    """Writes a file at once or not at all; ``-`` is standard output.

    Raises:
        OptionError: it cannot be written.
    """
    if path == "-":
        click.echo(text, nl=False)
        return
    target = Path(path)
    data = text.encode() if isinstance(text, str) else text
    try:
        descriptor, scratch = tempfile.mkstemp(dir=target.parent or ".", prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.replace(scratch, target)
        except BaseException:
            os.unlink(scratch)
            raise
    except OSError as error:
        raise OptionError(
            f"cannot write {path}: {error.strerror}", help="check the folder and its permissions"
        ) from None
