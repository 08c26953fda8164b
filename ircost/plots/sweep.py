"""A sweep as curves: latency and throughput over the last axis, a curve for each value of the others."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from ircost.plots.drawing import check_drawing, save_drawing
from ircost.sweep_points import Sweep, SweepPoint

MOST_CURVES = 12  # of which a reader tells one from another
MOST_TICKS = 12
MOST_BANDS = 4  # intervals of more curves hide each other


def draw_sweep(sweep: Sweep, path: str | Path, title: str) -> None:
    """Latency above, with its interval as a band, throughput below; knees as rings, sizes that do not fit hollow.

    Raises:
        PlotError: matplotlib is not installed, the file's name tells of no form, or it cannot be written.
    """
    check_drawing(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 8), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    last = list(sweep.axes)[-1]
    drawn = curves(sweep)
    colours = [shade(number / max(min(len(drawn), MOST_CURVES) - 1, 1)) for number in range(MOST_CURVES)]
    for colour, (name, points) in zip(colours, drawn, strict=False):
        sizes = [point.dims[last] for point in points]
        if len(drawn) <= MOST_BANDS and all(point.low_s is not None and point.high_s is not None for point in points):
            ends = ([1e3 * (getattr(point, end) or 0.0) for point in points] for end in ("low_s", "high_s"))
            above.fill_between(sizes, *ends, color=colour, alpha=0.15, linewidth=0)
        for axes, values in (
            (above, [1e3 * point.latency_s for point in points]),
            (below, [point.items_per_s for point in points]),
        ):
            axes.plot(sizes, values, "-", color=colour, label=name or None, linewidth=1.4)
            for size, value, point in zip(sizes, values, points, strict=True):
                face = colour if point.fits else "white"
                axes.plot(size, value, "o", color=colour, markerfacecolor=face, markersize=4)
                if point.knee:
                    axes.plot(size, value, "o", color="#444444", markerfacecolor="none", markersize=10)
                    if axes is below:
                        words = point.knee.partition(":")[0]
                        axes.annotate(words, (size, value), xytext=(6, -12), textcoords="offset points", fontsize=7)
    above.set(xscale="log", yscale="log", ylabel="latency, ms")
    below.set(xscale="log", yscale="log", ylabel=f"{sweep.items} a second", xlabel=last)
    left_out = f"; {MOST_CURVES} of {len(drawn)} curves" if len(drawn) > MOST_CURVES else ""
    above.set_title(title + left_out, fontsize=11)
    ticks = ticked(sweep.axes[last])
    below.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    below.set_xticks([], minor=True)
    for axes in (above, below):
        axes.grid(color="#dddddd", linewidth=0.6, which="both")
        axes.spines[["top", "right"]].set_visible(False)
    if len(sweep.axes) > 1:
        above.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    save_drawing(figure, path)


def shade(share: float) -> tuple[float, ...]:
    """From dark to light, so that the order of curves is that of their sizes."""
    from matplotlib import colormaps

    return tuple(colormaps["viridis"](0.85 * share))


def ticked(values: Sequence[int]) -> list[int]:
    """Values of an axis that get a tick: all of them, or some spread evenly.

    >>> ticked((1, 2, 4)), len(ticked(range(1, 1000)))
    ([1, 2, 4], 12)
    """
    ordered = sorted(values)
    if len(ordered) <= MOST_TICKS:
        return ordered
    return [ordered[round(place * (len(ordered) - 1) / (MOST_TICKS - 1))] for place in range(MOST_TICKS)]


def curves(sweep: Sweep) -> list[tuple[str, list[SweepPoint]]]:
    """Points that differ in the last axis only, together, by the values of the others."""
    others = list(sweep.axes)[:-1]
    grouped = groupby(sweep.points, key=lambda point: [point.dims[name] for name in others])
    return [
        (", ".join(f"{name} {value:,}" for name, value in zip(others, values, strict=True)), list(points))
        for values, points in grouped
    ]
