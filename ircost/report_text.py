"""The report as one screen of text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import click

from ircost.bound_text import bound_text
from ircost.quantity_text import bytes_text, si_text, small_text
from ircost.report import KernelReport, Report
from ircost.table import Table, cut
from ircost.terminal import terminal_width
from ircost.transformer_text import named_latency, print_parts, transformer_lines

KERNELS_SHOWN = 12
INPUTS_SHOWN = 4

# What each cost model's figures are worth.
MODEL_NOTES = {
    "roofline": (
        "roofline: a lower rung; every kernel at data-sheet speed or at the launch floor, real ones are slower",
    ),
    "analytical": (
        "analytical: tiles, waves and caches; data-sheet rates times shares fitted to measured kernels (irc explain)",
    ),
    "hybrid": ("hybrid: the analytical model, corrected by what was learned from measured kernels (irc explain)",),
}


def print_report(report: Report, show_all: bool = False) -> None:
    """Header, figures, the kernels that cost most, notes.

    Args:
        show_all: every kernel instead of the costliest.
    """
    machine = f" ({report.target_description})" if report.target_description else ""
    click.echo(click.style(f"{report.source}  ->  {report.target}", bold=True) + machine)
    click.echo(cut(f"  {' · '.join(subject(report))}"))
    click.echo()
    more = [] if report.transformer is None else transformer_lines(report.transformer, show_all)
    for name, figure, remark in (*figures(report), *more):
        click.echo(cut(f"  {name:10}  {figure:12} {remark}".rstrip()))
    if not report.fits:
        click.echo(click.style(f"  {misfit(report)}", fg="red", bold=True))
        for remedy in report.remedies:
            click.echo(f"    would fit: {remedy}")
    click.echo()
    if report.transformer is not None and show_all:
        print_parts(report.transformer, report.latency_s)
    print_kernels(report, None if show_all else KERNELS_SHOWN)
    print_notes(notes_of(report))


def notes_of(report: Report) -> tuple[str, ...]:
    """What its cost model is worth, and what the reader should know."""
    return (*MODEL_NOTES.get(report.model, ()), *report.notes)


def subject(report: Report) -> list[str]:
    """What was costed: format, inputs, size."""
    shapes = [str(argument.type) for argument in report.module.main.arguments]
    more = f" and {len(shapes) - INPUTS_SHOWN} more" if len(shapes) > INPUTS_SHOWN else ""
    kernels = f"{counted(report.nodes, 'node')} -> {counted(len(report.kernels), 'kernel')}"
    if report.distinct_kernels < len(report.kernels):
        kernels += f", {report.distinct_kernels:,} distinct"
    inputs = f"{'input' if len(shapes) == 1 else 'inputs'} {', '.join(shapes[:INPUTS_SHOWN])}{more}"
    return [report.dtype, *([inputs] if shapes else []), kernels]


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def figures(report: Report) -> list[tuple[str, str, str]]:
    """The totals, a line each: name, figure, what belongs to it."""
    partial = f"; {counted(len(report.unknown), 'opaque kernel')} left out" if report.unknown else ""
    named = named_latency(report.transformer)
    moved = f"{si_text(report.flops, '')} flops, {bytes_text(report.bytes)} moved"
    return [
        ("latency", small_text(report.latency_s, "s"), report.model + named + interval_text(report) + partial),
        ("at best", small_text(report.lower_bound_s, "s"), "if nothing but data-sheet limits held"),
        ("energy", small_text(report.energy_j, "J"), f"{small_text(report.power_w, 'W')} mean"),
        ("memory", bytes_text(report.allocated_bytes), memory_text(report)),
        ("work", f"{si_text(report.macs, '')} MACs", moved),
        ("bound by", bounds_text(report.bound_shares), ""),
    ]


def interval_text(report: Report) -> str:
    """Of cost models that give an interval, its ends, where anything runs."""
    if report.low_s is None or not report.high_s:
        return ""
    return f"; 90 % of runs take {small_text(report.low_s, 's')} to {small_text(report.high_s, 's')}"


def memory_text(report: Report) -> str:
    arena, bound = bytes_text(report.arena_bytes), bytes_text(report.lower_bound_bytes)
    place = f" at '{report.peak_at}'" if report.peak_at else ""
    if report.flash_bytes is None:
        return f"weights {bytes_text(report.weights_bytes)}, activations {arena}{place} (bound {bound})"
    flash = f"weights {bytes_text(report.weights_bytes)} of {bytes_text(report.flash_bytes)} flash"
    return f"activations {arena}{place} (bound {bound}); {flash}"


def bounds_text(shares: dict[str, float]) -> str:
    shown = {bound: share for bound, share in shares.items() if share >= 0.005}
    return "   ".join(f"{bound_text(bound)} {share:.0%}" for bound, share in shown.items()) or "nothing runs"


def misfit(report: Report) -> str:
    flash_bytes = report.flash_bytes
    if flash_bytes is not None and not report.weights_fit:
        over = bytes_text(report.weights_bytes - flash_bytes)
        return f"does not fit: weights are {over} more than the {bytes_text(flash_bytes)} flash of {report.target}"
    request = None if report.transformer is None else report.transformer.request
    is_of_request = report.allocated_bytes <= report.memory_limit_bytes and request is not None
    held = request.peak_memory_bytes if is_of_request and request is not None else report.allocated_bytes
    over = bytes_text(held - report.memory_limit_bytes)
    is_own = report.memory_limit_bytes == report.memory_capacity_bytes
    limit = f"of {report.target}" if is_own else "that it may take"
    when = " at the last token" if is_of_request else ""
    return f"does not fit{when}: {over} more than the {bytes_text(report.memory_limit_bytes)} {limit}"


def print_kernels(report: Report, most: int | None) -> None:
    table, rest = kernels_table(report, most)
    if table.rows:
        table.echo(indent="  ")
    if rest:
        click.echo(f"  ... {rest} (--all)")


def kernels_table(report: Report, most: int | None) -> tuple[Table, str]:
    """Equal kernels as one line, unless all are asked for; those of unknown cost first, then the costliest.

    Args:
        most: lines; None: all kernels, each on its own.

    Returns:
        The lines, and what there is beside them, in words.
    """
    groups = [[kernel] for kernel in report.kernels] if most is None else equal_kernels(report.kernels)
    ranked = sorted(groups, key=lambda group: (group[0].latency_s is not None, -total_s(group)))
    unknown = sum(group[0].latency_s is None for group in groups)
    shown = ranked if most is None else ranked[: max(most, unknown)]
    more = () if most is not None else ("tile", *(("grade",) if any(own.grade for own in report.kernels) else ()))
    head = ("time", "share", "runs", "bound", "of peak", *more, "node", "op")
    table = Table(head, [kernel_row(group, report.latency_s, more) for group in shown], right=(0, 1, 2, 4))
    rest = ranked[len(shown) :]
    if not rest:
        return table, ""
    seconds = small_text(sum(map(total_s, rest)), "s")
    return table, f"{counted(sum(map(len, rest)), 'more kernel')}, {seconds} together"


def equal_kernels(kernels: Sequence[KernelReport]) -> list[list[KernelReport]]:
    """Kernels that do the same work in the same time, together; by the first of each."""
    groups: dict[object, list[KernelReport]] = {}
    for kernel in kernels:
        key = (kernel.op, kernel.latency_s, kernel.flops, kernel.bytes, kernel.bound, kernel.count)
        groups.setdefault(key, []).append(kernel)
    return list(groups.values())


def total_s(group: Sequence[KernelReport]) -> float:
    return sum(kernel.latency_s or 0.0 for kernel in group)


def kernel_row(group: Sequence[KernelReport], report_s: float, more: Sequence[str]) -> tuple[str, ...]:
    """Args:
    more: fields that are shown beside the others.
    """
    first, seconds = group[0], total_s(group)
    node = first.name if len(group) == 1 else f"{first.name} and {len(group) - 1} alike"
    runs = f"{sum(kernel.count for kernel in group):,}"
    what = (*(getattr(first, name) for name in more), node, first.op)
    if first.latency_s is None:
        return "unknown", "", runs, "", "", *what
    share = f"{seconds / report_s if report_s else 0.0:.1%}"
    of_peak = f"{first.of_peak:.0%}" if first.of_peak is not None else ""
    return small_text(seconds, "s"), share, runs, bound_text(first.bound), of_peak, *what


def print_notes(notes: tuple[str, ...]) -> None:
    """Each note with a dash; long ones go on below on a terminal."""
    width = terminal_width()
    for number, note in enumerate(notes):
        if number == 0:
            click.echo("\nnotes")
        click.echo(textwrap.fill(note, width or 10**6, initial_indent="  - ", subsequent_indent="    "))
