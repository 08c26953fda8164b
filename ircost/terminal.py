"""What the terminal is like: width, colour, and a sign of life during long work."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import AbstractContextManager, nullcontext


def terminal_width() -> int | None:
    """Columns of the terminal; None where output is piped and nothing need be cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def colour_choice() -> bool | None:
    """What the user asked for: False by ``NO_COLOR``, True by ``FORCE_COLOR``; None: colour on terminals only.

    Source: no-color.org and force-color.org; an empty value asks for nothing.
    """
    if os.environ.get("NO_COLOR"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None


def working(text: str) -> AbstractContextManager[object]:
    """A spinner on stderr while the body runs; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(text)
