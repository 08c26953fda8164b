"""What `irc train` shares between kinds of models: mistakes told before anything is trained, folders written whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol, TypeVar

import click

from ircost.commands.options import OptionError

if TYPE_CHECKING:
    from ircost.backends import Target
    from ircost.datasets.tables import MeasuredTable


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


def check_tables(tables: Sequence[MeasuredTable]) -> list[str]:
    """The family of each table.

    Raises:
        OptionError: two are of one.
        TargetError: the columns of one tell of no family of kernels.
    """
    from ircost.cost_models.gpu.table_schema import family_of

    families = [family_of(table.columns, table.path).name for table in tables]
    if len(set(families)) < len(families):
        raise OptionError("two tables are of one family", help="give one table for each family")
    return families


def check_enough(table: MeasuredTable, target_of: Callable[[str], Target], as_text: bool) -> None:
    """What the learner would refuse, told without training.

    Raises:
        OptionError: the table has too few rows, or too few kernels in them, or one shape only.
        RowTextError: its rows have no text, and text is what is learned from.
    """
    import numpy as np

    from ircost.cost_models.learned.recipes import FEWEST_ROWS
    from ircost.cost_models.learned.rows import readable

    found = readable(table.columns, table.path, target_of)
    if as_text:
        from ircost.cost_models.learned.row_text import writer_of

        writer_of(found)
    known = [group.rows for group in found.groups if group.setting is not None]
    rows = np.concatenate([np.empty(0, dtype=np.int64), *known])
    shapes = len(np.unique(found.shapes()[rows]))
    with told_if_too_few(table.path):
        if len(rows) < FEWEST_ROWS or shapes < 2:
            raise ValueError(f"{len(rows)} rows of {shapes} shapes, {FEWEST_ROWS} of several needed")
        if (kernels := found.kernels(FEWEST_ROWS)) < FEWEST_ROWS:
            raise ValueError(f"{len(rows)} rows are of {kernels} kernels, {FEWEST_ROWS} needed")


def check_writable(output: str, folders: Iterable[Path]) -> None:
    """Makes each folder and a file's place in it, and takes away again what was not there before.

    Args:
        output: as the user gave it. folders: in it, where models go.

    Raises:
        OptionError: one cannot be written.
    """
    for folder in (own.resolve() for own in folders):
        missing = [own for own in (folder, *folder.parents) if not os.path.lexists(own)]
        try:
            with told_if_unwritable(output):
                folder.mkdir(parents=True, exist_ok=True)
                for own in (folder, folder.parent):
                    with TemporaryDirectory(dir=own):
                        pass
        finally:
            for own in missing:
                with suppress(OSError):
                    own.rmdir()


@contextmanager
def told_if_unwritable(output: str) -> Iterator[None]:
    """Raises:
    OptionError: the operating system refuses what the body writes.
    """
    try:
        yield
    except OSError as error:
        raise OptionError(f"-o {output}: {error.strerror}", help="give a folder that can be written") from error


def write_folders(models: Iterable[Model], output: str, write: Callable[[Model, str], object]) -> list[Model]:
    """A folder for each family, as soon as its model is there.

    Args:
        models: may be trained while they are asked for.

    Returns:
        The models.

    Raises:
        OptionError: the folder cannot be written.
    """
    written = []
    for model in models:
        with told_if_unwritable(output):
            _write_whole(model, (Path(output) / model.family).resolve(), write)
        click.echo(f"wrote {Path(output) / model.family}", err=True)
        written.append(model)
    return written


def _write_whole(model: Model, folder: Path, write: Callable[[Model, str], object]) -> None:
    """Writes a folder beside its place and moves it there, with what else was in it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        own = Path(scratch) / model.family
        if folder.exists():
            shutil.copytree(folder, own, symlinks=True)
        write(model, scratch)
        if folder.exists():
            folder.rename(Path(scratch) / "before")
        own.rename(folder)
