"""What `irc train` shares between kinds of models: each table once, too few rows told, folders written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import click

from ircost.commands.options import OptionError


class OfFamily(Protocol):
    """A trained model."""

    @property
    def family(self) -> str:
        """Of the kernels that it was trained on."""


Model = TypeVar("Model", bound=OfFamily)


@contextmanager
def told_if_too_few(path: str) -> Iterator[None]:
    """Raises:
    OptionError: the table has too few rows to learn from.
    """
    try:
        yield
    except ValueError as error:
        raise OptionError(
            f"{path}: too little to learn from: {error}", help="give more rows; irc calibrate is content with fewer"
        ) from error


def check_families(models: Sequence[OfFamily]) -> None:
    """Raises:
    OptionError: two models would go to one folder.
    """
    if len({model.family for model in models}) < len(models):
        raise OptionError("two tables are of one family", help="give one table for each family")


def write_folders(models: Sequence[Model], output: str, write: Callable[[Model, str], object]) -> None:
    """A folder for each family.

    Raises:
        OptionError: the folder cannot be written.
    """
    try:
        for model in models:
            write(model, output)
            click.echo(f"wrote {Path(output) / model.family}", err=True)
    except OSError as error:
        raise OptionError(f"-o {output}: {error.strerror}", help="give a folder that can be written") from error
