"""A sweep as curves: latency and throughput over the last axis, a curve for each value of the others."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from ircost.plots.drawing import check_drawing, save_drawing
from ircost.sweep import Sweep, SweepPoint

MOST_CURVES = 12  # of which a reader tells one from another


def draw_sweep(sweep: Sweep, path: str | Path, title: str) -> None:
    """Latency above, items a second below; knees as rings with their names, sizes that do not fit hollow.

    Raises:
        PlotError: matplotlib is not installed, the file's name tells of no form, or it cannot be written.
    """
    check_drawing(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 8), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    last = list(sweep.axes)[-1]
    for colour, (name, points) in enumerate(curves(sweep)[:MOST_CURVES]):
        sizes = [point.dims[last] for point in points]
        for axes, values in (
            (above, [1e3 * point.latency_s for point in points]),
            (below, [point.items_per_s for point in points]),
        ):
            axes.plot(sizes, values, "-", color=f"C{colour % 10}", label=name or None, linewidth=1.4)
            for size, value, point in zip(sizes, values, points, strict=True):
                face = f"C{colour % 10}" if point.fits else "white"
                axes.plot(size, value, "o", color=f"C{colour % 10}", markerfacecolor=face, markersize=4)
                if point.knee:
                    axes.plot(size, value, "o", color="#444444", markerfacecolor="none", markersize=10)
                    axes.annotate(point.knee, (size, value), xytext=(6, -12), textcoords="offset points", fontsize=7)
    above.set(xscale="log", yscale="log", ylabel="latency, ms")
    below.set(xscale="log", yscale="log", ylabel="items a second", xlabel=last)
    above.set_title(title, fontsize=11)
    for axes in (above, below):
        axes.grid(color="#dddddd", linewidth=0.6, which="both")
        axes.spines[["top", "right"]].set_visible(False)
    if len(sweep.axes) > 1:
        above.legend(fontsize=8, frameon=False)
    save_drawing(figure, path)


def curves(sweep: Sweep) -> list[tuple[str, list[SweepPoint]]]:
    """Points that differ in the last axis only, together, by the values of the others."""
    others = list(sweep.axes)[:-1]
    grouped = groupby(sweep.points, key=lambda point: [point.dims[name] for name in others])
    return [
        (", ".join(f"{name} {value:,}" for name, value in zip(others, values, strict=True)), list(points))
        for values, points in grouped
    ]
