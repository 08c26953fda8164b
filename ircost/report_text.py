"""The report as one screen of text."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ircost.report import KernelReport, Report
from ircost.table import cut, print_table

KERNELS_SHOWN = 12
NAMES_OF_BOUNDS = {
    "matrix": "matrix units",
    "vector": "vector units",
    "special": "special functions",
    "launch": "launch",
}


def print_report(report: Report, show_all: bool = False) -> None:
    """Header, figures, the kernels that cost most, notes."""
    distinct = f"{report.distinct_kernels} distinct"
    click.echo(click.style(f"{report.source}  ->  {report.target}", bold=True) + f" ({report.target_description})")
    click.echo(f"  {report.dtype} · {report.nodes} nodes -> {len(report.kernels)} kernels, {distinct}\n")
    for name, text in figures(report):
        click.echo(cut(f"  {name:11} {text}"))
    click.echo()
    print_kernels(report, None if show_all else KERNELS_SHOWN)
    click.echo("\nnotes")
    for note in (*MODEL_NOTES.get(report.model, ()), *report.notes):
        click.echo(f"  {note}")


# What each cost model's figures are worth, for the notes.
MODEL_NOTES = {
    "roofline": ("roofline: every kernel at data-sheet speed or at the launch floor; real kernels are slower",),
}


def figures(report: Report) -> list[tuple[str, str]]:
    bounds = "   ".join(
        f"{NAMES_OF_BOUNDS.get(b, b.upper())} {share:.0%}" for b, share in report.bound_shares.items() if share >= 0.005
    )
    partial = f"   without {len(report.unknown)} opaque operators" if report.unknown else ""
    memory = f"weights {bytes_text(report.weights_bytes)}, activations {bytes_text(report.peak_memory_bytes - report.weights_bytes)}"
    lines = [
        ("latency", f"{seconds_text(report.latency_s):12} {report.model}{partial}"),
        (
            "at best",
            f"{seconds_text(report.lower_bound_s):12} all arithmetic at peak, weights, inputs and results moved once",
        ),
        ("energy", f"{joules_text(report.energy_j):12} {report.power_w:.0f} W mean"),
        ("memory", f"{bytes_text(report.peak_memory_bytes):12} {memory} at '{report.peak_at}'"),
        ("work", f"{count_text(report.macs)} MACs, {count_text(report.flops)} flops, {bytes_text(report.bytes)} moved"),
        ("bound by", bounds),
    ]
    if not report.fits:
        over = report.peak_memory_bytes - report.memory_capacity_bytes
        lines.append(
            ("", f"DOES NOT FIT: {bytes_text(over)} more than the {bytes_text(report.memory_capacity_bytes)} there are")
        )
    return lines


def print_kernels(report: Report, most: int | None) -> None:
    """The costliest first; equal ones keep program order."""
    ranked = sorted(report.kernels, key=lambda kernel: -(kernel.latency_s or 0.0))
    shown = ranked if most is None else ranked[:most]
    rows = [kernel_row(kernel, report.latency_s) for kernel in shown]
    print_table(("time", "share", "bound", "op", "nodes"), rows, right=(0, 1), indent="  ")
    if len(shown) < len(ranked):
        rest = sum(kernel.latency_s or 0.0 for kernel in ranked[len(shown) :])
        click.echo(f"  ... {len(ranked) - len(shown)} more, {seconds_text(rest)} together (--all)")


def kernel_row(kernel: KernelReport, total_s: float) -> tuple[str, str, str, str, str]:
    if kernel.latency_s is None:
        return "unknown", "", "unknown", kernel.op, nodes_text(kernel)
    share = kernel.latency_s / total_s if total_s else 0.0
    times = f" x{kernel.count}" if kernel.count > 1 else ""
    return seconds_text(kernel.latency_s), f"{share:.1%}", bound_text(kernel.bound), kernel.op + times, nodes_text(kernel)


def bound_text(bound: str) -> str:
    return NAMES_OF_BOUNDS.get(bound, bound.upper())


def nodes_text(kernel: KernelReport) -> str:
    more = len(kernel.source_nodes) - 1
    return kernel.name + (f" (+{more})" if more > 0 else "")


SCALES: tuple[tuple[float, str], ...] = ((1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"))


def seconds_text(seconds: float) -> str:
    """Three digits: ``1.23 ms``."""
    return scaled(seconds, "s", SCALES)


def joules_text(joules: float) -> str:
    return scaled(joules, "J", SCALES)


def count_text(count: float) -> str:
    return scaled(count, "", ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")))


def bytes_text(count: float) -> str:
    return scaled(count, "B", ((2**40, "Ti"), (2**30, "Gi"), (2**20, "Mi"), (2**10, "Ki"), (1.0, "")))


def scaled(value: float, unit: str, scales: Sequence[tuple[float, str]]) -> str:
    """A value with three significant digits in the first scale that it reaches."""
    for scale, prefix in scales:
        if abs(value) >= scale or (scale, prefix) == scales[-1]:
            number = value / scale
            digits = 2 if number < 10 else 1 if number < 100 else 0
            return f"{number:,.{digits}f} {prefix}{unit}".rstrip()
    return f"{value:g} {unit}"
