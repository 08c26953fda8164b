"""Files that commands write: completely or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ircost.ir.errors import IrcError


class OutputError(IrcError):
    """A file cannot be written."""


def write_whole(path: str, content: str | bytes) -> None:
    """Writes a file beside its place and moves it there, so that no half of it is ever seen.

    Args:
        path: ``-`` is standard output; devices and pipes are written to as they are.

    Raises:
        OutputError: it cannot be written.
    """
    if path == "-":
        click.echo(content, nl=False)
        return
    data = content.encode() if isinstance(content, str) else content
    with told_if_unwritable(path):
        _write(Path(path).resolve(), data)


@contextmanager
def told_if_unwritable(path: str) -> Iterator[None]:
    """Failures of the operating system in the body, as an `OutputError` about ``path``."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror}", help="check the folder and its permissions"
        ) from None


def _write(path: Path, data: bytes) -> None:
    if path.exists() and not path.is_file():  # /dev/null is not to be replaced
        path.write_bytes(data)
        return
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_bytes(data)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
