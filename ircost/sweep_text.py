"""A sweep as a table: a line for each size, knees named where they are."""

from __future__ import annotations

import click

from ircost.quantity_text import bytes_text, small_text, three_digits
from ircost.report_text import bound_text
from ircost.sweep import Sweep, SweepPoint
from ircost.table import print_table


def print_sweep(sweep: Sweep, title: str) -> None:
    """The points in order, then where something else begins to limit."""
    click.echo(click.style(title, bold=True))
    click.echo()
    names = list(sweep.axes)
    head = (*names, "latency", "at best", f"{sweep.items}/s", f"{sweep.items}/J", "memory", "bound by", "")
    rows = [_row(point, names) for point in sweep.points]
    print_table(head, rows, right=tuple(range(len(names) + 5)), indent="  ")
    knees = [(point, point.knee) for point in sweep.points if point.knee]
    if knees:
        click.echo("\nknees")
    for point, knee in knees:
        place = ", ".join(f"{name} {value:,}" for name, value in point.dims.items())
        click.echo(f"  - {place}: {knee}")


def _row(point: SweepPoint, names: list[str]) -> tuple[str, ...]:
    return (
        *(f"{point.dims[name]:,}" for name in names),
        small_text(point.latency_s, "s"),
        small_text(point.lower_bound_s, "s"),
        three_digits(point.items_per_s),
        three_digits(point.items_per_j),
        bytes_text(point.memory_bytes),
        f"{bound_text(point.bound)} {point.bound_share:.0%}",
        "" if point.fits else "does not fit",
    )
