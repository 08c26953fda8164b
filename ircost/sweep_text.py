"""A sweep as a table: a line for each size, knees named where they are."""

from __future__ import annotations

import click

from ircost.bound_text import bound_text
from ircost.quantity_text import bytes_text, small_text, three_digits
from ircost.report_text import print_notes
from ircost.sweep_points import Sweep, SweepPoint
from ircost.table import Table


def print_sweep(sweep: Sweep, title: str) -> None:
    """The points in order, then where something else begins to limit."""
    click.echo(click.style(title, bold=True))
    click.echo()
    points_table(sweep).echo(indent="  ")
    knees = [(point, point.knee) for point in sweep.points if point.knee]
    if knees:
        click.echo("\nknees")
    for point, knee in knees:
        place = ", ".join(f"{name} {value:,}" for name, value in point.dims.items())
        click.echo(f"  - {place}: {knee}")
    print_notes(sweep.notes)


def points_table(sweep: Sweep) -> Table:
    names = list(sweep.axes)
    within = ["90 % within"] if any(point.low_s is not None for point in sweep.points) else []
    units = [f"{sweep.items}/{unit}" for unit in ("s", *(["s/device"] if sweep.spans_meshes else []), "J")]
    has_stages = any(point.stages > 1 for point in sweep.points)
    price = [f"a million {sweep.items}"] if any(point.cost_per_million is not None for point in sweep.points) else []
    flow = ["in flight"] if has_stages else []
    head = (*names, "latency", *within, "at best", *flow, *units, *price, "memory", "bound by", "")
    rows = [_row(point, names, sweep.spans_meshes, has_stages) for point in sweep.points]
    return Table(head, rows, right=tuple(range(len(head) - 2)))


def _interval(point: SweepPoint) -> tuple[str, ...]:
    """How far off the latency may be, below and above; nothing of cost models that do not say."""
    if point.low_s is None or point.high_s is None or not point.latency_s:
        return ()
    low, high = (end / point.latency_s - 1 for end in (point.low_s, point.high_s))
    return (f"{low:+.0%} {high:+.0%}",)


def _rate(value: float) -> str:
    """Three digits below 1 as well: tokens a joule are few."""
    return f"{value:.3g}" if value < 1 else three_digits(value)


def _row(point: SweepPoint, names: list[str], is_of_meshes: bool, has_stages: bool) -> tuple[str, ...]:
    return (
        *(f"{point.dims[name]:,}" for name in names),
        small_text(point.latency_s, "s"),
        *_interval(point),
        small_text(point.lower_bound_s, "s"),
        *([f"{point.batches_in_flight} of {point.stages}"] if has_stages else []),
        _rate(point.items_per_s),
        *([_rate(point.items_per_s / point.devices)] if is_of_meshes else []),
        _rate(point.items_per_j),
        *([] if point.cost_per_million is None else [_rate(point.cost_per_million)]),
        bytes_text(point.memory_bytes),
        f"{bound_text(point.bound)} {point.bound_share:.0%}",
        "" if point.fits else "does not fit",
    )
