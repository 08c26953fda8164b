"""The report as one screen of text."""

from __future__ import annotations

import textwrap

import click

from ircost.quantity_text import bytes_text, si_text, small_text
from ircost.report import KernelReport, Report
from ircost.table import cut, print_table
from ircost.terminal import terminal_width

KERNELS_SHOWN = 12
INPUTS_SHOWN = 4

NAMES_OF_BOUNDS = {
    "matrix": "matrix units",
    "vector": "vector units",
    "special": "special functions",
    "launch": "launch",
    "unknown": "unknown",
}

# What each cost model's figures are worth.
MODEL_NOTES = {
    "roofline": (
        "roofline: a lower rung; every kernel at data-sheet speed or at the launch floor, real ones are slower",
    ),
}


def print_report(report: Report, show_all: bool = False) -> None:
    """Header, figures, the kernels that cost most, notes.

    Args:
        show_all: every kernel instead of the costliest.
    """
    click.echo(click.style(f"{report.source}  ->  {report.target}", bold=True) + f" ({report.target_description})")
    click.echo(cut(f"  {' · '.join(subject(report))}"))
    click.echo()
    for name, text in figures(report):
        click.echo(cut(f"  {name:10}  {text}"))
    if not report.fits:
        click.echo(click.style(f"  {misfit(report)}", fg="red", bold=True))
    click.echo()
    print_kernels(report, None if show_all else KERNELS_SHOWN)
    print_notes((*MODEL_NOTES.get(report.model, ()), *report.notes))


def subject(report: Report) -> list[str]:
    """What was costed: format, inputs, size."""
    shapes = [str(argument.type) for argument in report.module.main.arguments]
    more = f" and {len(shapes) - INPUTS_SHOWN} more" if len(shapes) > INPUTS_SHOWN else ""
    kernels = f"{report.nodes:,} nodes -> {len(report.kernels):,} kernels, {report.distinct_kernels:,} distinct"
    inputs = f"{'input' if len(shapes) == 1 else 'inputs'} {', '.join(shapes[:INPUTS_SHOWN])}{more}"
    return [report.dtype, *([inputs] if shapes else []), kernels]


def figures(report: Report) -> list[tuple[str, str]]:
    """The totals, a line each: name, and figure with what belongs to it."""
    partial = f"; {len(report.unknown)} opaque kernels left out" if report.unknown else ""
    traffic = bytes_text(report.bytes)
    return [
        ("latency", columns(small_text(report.latency_s, "s"), report.model + partial)),
        (
            "at best",
            columns(small_text(report.lower_bound_s, "s"), "all arithmetic at peak, what must move moved once"),
        ),
        ("energy", columns(small_text(report.energy_j, "J"), f"{report.power_w:.0f} W mean")),
        ("memory", columns(bytes_text(report.peak_memory_bytes), memory_text(report))),
        ("work", columns(f"{si_text(report.macs, '')} MACs", f"{si_text(report.flops, '')} flops, {traffic} moved")),
        ("bound by", bounds_text(report.bound_shares)),
    ]


def columns(figure: str, remark: str) -> str:
    return f"{figure:12} {remark}"


def memory_text(report: Report) -> str:
    activations = bytes_text(report.peak_memory_bytes - report.weights_bytes)
    place = f" at '{report.peak_at}'" if report.peak_at else ""
    return f"weights {bytes_text(report.weights_bytes)}, activations {activations}{place}"


def bounds_text(shares: dict[str, float]) -> str:
    shown = {bound: share for bound, share in shares.items() if share >= 0.005}
    return "   ".join(f"{bound_text(bound)} {share:.0%}" for bound, share in shown.items()) or "nothing runs"


def bound_text(bound: str) -> str:
    return NAMES_OF_BOUNDS.get(bound, bound.upper())


def misfit(report: Report) -> str:
    over = report.peak_memory_bytes - report.memory_capacity_bytes
    return (
        f"does not fit: {bytes_text(over)} more than the {bytes_text(report.memory_capacity_bytes)} of {report.target}"
    )


def print_kernels(report: Report, most: int | None) -> None:
    """Those of unknown cost first, then the costliest; equal ones keep program order."""
    ranked = sorted(report.kernels, key=lambda kernel: (kernel.latency_s is not None, -(kernel.latency_s or 0.0)))
    shown = ranked if most is None else ranked[: max(most, len(report.unknown))]
    rows = [kernel_row(kernel, report.latency_s) for kernel in shown]
    if rows:
        print_table(("time", "share", "bound", "op", "nodes"), rows, right=(0, 1), indent="  ")
    if len(shown) < len(ranked):
        rest = sum(kernel.latency_s or 0.0 for kernel in ranked[len(shown) :])
        click.echo(f"  ... {len(ranked) - len(shown):,} more, {small_text(rest, 's')} together (--all)")


def kernel_row(kernel: KernelReport, total_s: float) -> tuple[str, str, str, str, str]:
    op = f"{kernel.op} x{kernel.count}" if kernel.count > 1 else kernel.op
    if kernel.latency_s is None:
        return "unknown", "", "", op, nodes_text(kernel)
    share = kernel.latency_s / total_s if total_s else 0.0
    return small_text(kernel.latency_s, "s"), f"{share:.1%}", bound_text(kernel.bound), op, nodes_text(kernel)


def nodes_text(kernel: KernelReport) -> str:
    more = len(kernel.source_nodes) - 1
    return f"{kernel.name} (+{more})" if more > 0 else kernel.name


def print_notes(notes: tuple[str, ...]) -> None:
    """Each note with a dash; long ones go on below on a terminal."""
    width = terminal_width()
    for number, note in enumerate(notes):
        if number == 0:
            click.echo("\nnotes")
        click.echo(textwrap.fill(note, width or 10**6, initial_indent="  - ", subsequent_indent="    "))
