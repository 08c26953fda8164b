"""The roofline of a report: each kernel by its intensity and its speed, under the ceilings of the machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ircost.backends import Target
from ircost.bound_text import bound_text
from ircost.plots.drawing import check_drawing, save_drawing
from ircost.quantity_text import si_text, small_text
from ircost.report_text import equal_kernels, total_s

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ircost.report import KernelReport, Report

LABELLED = 5
LARGEST_AREA = 900.0  # points squared
BOUND_COLOURS = {
    **{"matrix": "#1b7837", "vector": "#7fbf7b", "special": "#a6dba0", "shared": "#c2a5cf", "l2": "#762a83"},
    **{"launch": "#b35806", "steps": "#fdb863", "unknown": "#888888"},
}
MAIN_MEMORY_COLOUR = "#2166ac"


@dataclass(frozen=True, slots=True)
class Dot:
    """Kernels that do the same work in the same time.

    Args:
        intensity: operations for each byte to and from main memory.
        flops_per_s: of one run. seconds: of all runs together.
    """

    name: str
    bound: str
    intensity: float
    flops_per_s: float
    seconds: float


def draw_roofline(report: Report, target: Target, path: str | Path) -> None:
    """Draws a report's kernels, dots sized by their time, the five costliest with a number and their names.

    Ceilings are those of the data sheet: a level for each number format, a slope for each level of memory. Bytes are
    those to and from main memory at least, so kernels that find their operands in a cache may stand above its slope.

    Raises:
        PlotError: matplotlib is not installed, the file's name tells of no form, or it cannot be written.

    Source: Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009.
    """
    check_drawing(path)
    from matplotlib.figure import Figure

    dots = dots_of(report.kernels)
    figure = Figure(figsize=(12.5, 6.4), layout="constrained")
    axes = figure.subplots()
    low, high = _range([dot.intensity for dot in dots])
    _draw_ceilings(axes, target, low, high)
    _draw_dots(axes, dots, target.main_memory.name)
    left_out = sum(kernel.latency_s or 0.0 for kernel in report.kernels) - sum(dot.seconds for dot in dots)
    axes.set(xscale="log", yscale="log", xlim=(low, high))
    axes.set(xlabel="operations per byte to and from main memory", ylabel="operations per second")
    title = f"{Path(report.source).name} on {report.target}, {report.dtype}, {report.model}: "
    title += small_text(report.latency_s, "s").replace("us", "µs")
    if report.latency_s and left_out / report.latency_s >= 0.005:
        title += f" ({left_out / report.latency_s:.0%} of it without arithmetic, not shown)"
    axes.set_title(title, fontsize=11)
    axes.grid(which="major", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    if dots:
        figure.legend(
            loc="outside right upper", fontsize=8, frameon=False, title="dots: area by time", title_fontsize=8
        )
    save_drawing(figure, path)


def dots_of(kernels: Sequence[KernelReport]) -> list[Dot]:
    """Kernels that compute at all, the costliest first."""
    dots = []
    for group in equal_kernels(kernels):
        first = group[0]
        if first.latency_s and first.flops and first.bytes:
            name = first.name if len(group) == 1 else f"{len(group)} x {first.name}"
            speed = first.flops / first.latency_s
            dots.append(Dot(name, first.bound, first.flops / first.bytes, speed, total_s(group)))
    return sorted(dots, key=lambda dot: -dot.seconds)


def _range(intensities: Sequence[float]) -> tuple[float, float]:
    """A decade of room around the dots; enough to see the ridges where there are none."""
    return min([*intensities, 0.5]) / 3, max([*intensities, 500.0]) * 4


def ceilings(target: Target) -> Iterator[tuple[str, float]]:
    """Formats of one peak together, the fastest first."""
    peaks: dict[float, list[str]] = {}
    for unit, formats in (("", target.matrix), ("vector ", target.vector)):
        for dtype, peak in formats.items():
            peaks.setdefault(float(peak), []).append(f"{unit}{dtype}")
    for speed, names in sorted(peaks.items(), reverse=True):
        yield ", ".join(names), speed


def _draw_ceilings(axes: Axes, target: Target, low: float, high: float) -> None:
    top = max(peak for _, peak in ceilings(target))
    x = np.geomspace(low, high, 200)
    for level, style in zip(reversed(target.memory), _styles(len(target.memory)), strict=True):
        speed = float(level.bandwidth_bytes_per_s)
        if level is target.memory[-1] and len(target.memory) > 2:
            continue  # registers feed everything: their slope bounds nothing in sight
        is_main = level is target.main_memory
        axes.plot(
            x, np.minimum(speed * x, top), style, color=MAIN_MEMORY_COLOUR if is_main else "#888888", linewidth=1.2
        )
        at = low * 1.4
        axes.annotate(
            f"{level.name.upper() if is_main or len(level.name) < 4 else level.name} {si_text(speed, 'B/s')}",
            (at, speed * at),
            rotation=38,
            rotation_mode="anchor",
            xytext=(0, 4),
            textcoords="offset points",
            fontsize=8,
            color=MAIN_MEMORY_COLOUR if is_main else "#666666",
        )
    main = float(target.main_memory.bandwidth_bytes_per_s)
    above: float = np.inf
    for name, peak in ceilings(target):
        axes.plot([peak / main, high], [peak, peak], color="#444444", linewidth=0.9)
        if above / peak > 1.25:  # names of ceilings close to one another would overlap
            text = f"{name}  {si_text(peak, 'op/s')}"
            axes.annotate(
                text,
                (high, peak),
                xytext=(-4, 3),
                textcoords="offset points",
                ha="right",
                fontsize=8,
                bbox={"boxstyle": "square,pad=0", "facecolor": "white", "edgecolor": "none", "alpha": 0.6},
                zorder=5,
            )
            above = peak


def _styles(count: int) -> list[str]:
    return ["--"] * (count - 1) + ["-"]


def _draw_dots(axes: Axes, dots: Sequence[Dot], main_memory: str) -> None:
    if not dots:
        return
    largest = dots[0].seconds
    for bound in dict.fromkeys(dot.bound for dot in dots):
        own = [dot for dot in dots if dot.bound == bound]
        colour = MAIN_MEMORY_COLOUR if bound == main_memory else BOUND_COLOURS.get(bound, "#888888")
        axes.scatter(
            [dot.intensity for dot in own],
            [dot.flops_per_s for dot in own],
            s=[max(LARGEST_AREA * dot.seconds / largest, 6.0) for dot in own],
            color=colour,
            alpha=0.55,
            edgecolors="white",
            linewidths=0.6,
            zorder=3,
        )
        axes.scatter([], [], s=60, color=colour, alpha=0.7, label=f"bound by {bound_text(bound)}")
    for number, dot in enumerate(dots[:LABELLED], start=1):
        axes.annotate(
            str(number),
            (dot.intensity, dot.flops_per_s),
            ha="center",
            va="center_baseline",
            fontsize=8,
            fontweight="bold",
            zorder=6,
        )
        label = f"{_shortened(dot.name)}  {small_text(dot.seconds, 's').replace('us', 'µs')}"
        axes.scatter([], [], s=36, marker=f"${number}$", color="black", label=label)


NAME_LENGTH = 40


def _shortened(name: str) -> str:
    """The end of a long name, which tells more than its beginning."""
    return name if len(name) <= NAME_LENGTH else f"…{name[1 - NAME_LENGTH :]}"
