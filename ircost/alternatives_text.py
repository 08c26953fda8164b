"""What would help, as a block of text below a report."""

from __future__ import annotations

import click

from ircost.alternatives import Alternative, WhatIf
from ircost.comparison_text import change_text
from ircost.quantity_text import small_text
from ircost.table import Table, cut

WORTH_TELLING = 0.02  # of the latency
TOLD = 6


def print_what_if(what_if: WhatIf) -> None:
    """The changes that help most on one line, then all of them, then what could not be tried."""
    told = headline(what_if)
    click.echo(cut(f"\n  what would help   {'   '.join(told) or 'nothing of what was tried'}"))
    click.echo()
    alternatives_table(what_if).echo(indent="  ")
    for missing in what_if.not_tried:
        click.echo(cut(f"  not tried: {missing.name}: {missing.reason}"))
    if any(item.kind == "format" for item in what_if.alternatives):
        click.echo(cut("  speed alone: whether a number format is accurate enough for this model is not known here"))


def alternatives_table(what_if: WhatIf) -> Table:
    rows = [
        (
            latency_change(item),
            small_text(item.latency_s / item.items, "s"),
            small_text(item.energy_j / item.items, "J"),
            item.kind,
            item.what,
        )
        for item in what_if.alternatives
    ]
    return Table(("change", "latency", "energy", "", "each change alone, for the same work"), rows, right=(0, 1, 2))


def headline(what_if: WhatIf) -> list[str]:
    """What helps, the most first; of number formats of one speed the first."""
    helpful = [item for item in what_if.alternatives if item.change <= -WORTH_TELLING]
    seen: set[tuple[str, float]] = set()
    told = []
    for item in helpful:
        if item.kind == "format" and ("format", item.latency_s) in seen:
            continue
        seen.add((item.kind, item.latency_s))
        told.append(help_text(item))
    return told[:TOLD]


def help_text(item: Alternative) -> str:
    if item.kind == "batch":
        return f"{item.what}: {1 / (1 + item.change):.2f}x items/s"
    return f"{item.what} {item.change:+.0%}"


def latency_change(item: Alternative) -> str:
    return change_text(1.0, 1.0 + item.change)
