"""Tables on the terminal: aligned, as wide as the window; plain and whole where piped."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence

import click


def terminal_width() -> int | None:
    """Columns of the terminal; None where output is piped and nothing need be cut."""
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return None
    return shutil.get_terminal_size().columns


def print_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = (), indent: str = ""
) -> None:
    """Prints columns two blanks apart; the last one is cut to the terminal's width."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)] if rows else [len(h) for h in head]
    for number, row in enumerate((head, *rows)):
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        line = cut(indent + "  ".join(cells).rstrip())
        click.echo(click.style(line, dim=True) if number == 0 else line)


def cut(line: str) -> str:
    width = terminal_width()
    return line if width is None or len(line) <= width else line[: max(width - 1, 1)] + "…"
