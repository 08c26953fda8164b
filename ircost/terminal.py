"""What the terminal is like: width, colour, and a sign of life during long work."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TextIO


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody watches; a stream that was closed before we began is None."""
    return stream is not None and stream.isatty()


def terminal_width() -> int | None:
    """Columns of the terminal; None where output is piped and nothing need be cut."""
    return shutil.get_terminal_size().columns if is_terminal(sys.stdout) else None


def colour_choice() -> bool | None:
    """What the user asked for: False by ``NO_COLOR``, True by ``FORCE_COLOR``; None: colour on terminals only.

    Source: no-color.org and force-color.org; an empty value asks for nothing.
    """
    if os.environ.get("NO_COLOR"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None


def working(text: str) -> AbstractContextManager[object]:
    """A spinner on stderr while the body runs; nothing where stderr is no terminal."""
    if not is_terminal(sys.stderr):
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(text)


@contextmanager
def progress(text: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr, moved on by calls with how much is done and of how much; none where no terminal is."""
    if not is_terminal(sys.stderr):
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
