"""Tables: aligned, as wide as the terminal; plain and whole where piped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click

from ircost.terminal import terminal_width


@dataclass(frozen=True, slots=True)
class Table:
    """Args:
    head: names of the columns.
    rows: a cell for each column.
    right: columns whose cells are aligned to the right.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Sequence[int] = ()

    def echo(self, indent: str = "") -> None:
        print_table(self.head, self.rows, self.right, indent)


def print_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = (), indent: str = ""
) -> None:
    """Prints columns two blanks apart, under a dimmed head; lines are cut to the terminal's width.

    Args:
        head: names of the columns.
        rows: a cell for each column.
        right: columns whose cells are aligned to the right.
        indent: before each line.
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for number, row in enumerate((head, *rows)):
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        line = cut(indent + "  ".join(cells).rstrip())
        click.echo(click.style(line, dim=True) if number == 0 else line)


def cut(line: str) -> str:
    """``line`` as far as the terminal shows it on one line."""
    width = terminal_width()
    return line if width is None or len(line) <= width else line[: max(width - 1, 1)] + "…"
