"""What-ifs as a tornado: a bar for each change, the longest at the top."""

from __future__ import annotations

from pathlib import Path

from ircost.alternatives import Alternative, WhatIf
from ircost.alternatives_text import latency_change
from ircost.plots.drawing import check_drawing, save_drawing
from ircost.quantity_text import small_text

LONGEST = 100.0  # percent: slower than that is cut, and its figure says by how much
COLOURS = {
    "resource": "#2166ac",
    "format": "#1b7837",
    "batch": "#762a83",
    "launch": "#b35806",
    "pass": "#888888",
}
NAMES = {
    "resource": "twice of a resource",
    "format": "number format",
    "batch": "batch",
    "launch": "launches",
    "pass": "a pass left out",
}


def draw_tornado(what_if: WhatIf, path: str | Path) -> None:
    """Draws the change of the latency for the same work, faster to the left, the largest changes at the top.

    Raises:
        PlotError: matplotlib is not installed, the file's name tells of no form, or it cannot be written.
    """
    check_drawing(path)
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    bars = sorted(what_if.alternatives, key=lambda item: -min(abs(item.change * 100), LONGEST))
    figure = Figure(figsize=(11, 1.6 + 0.32 * max(len(bars), 1)), layout="constrained")
    axes = figure.subplots()
    kinds = [Patch(color=COLOURS[kind], label=NAMES[kind]) for kind in dict.fromkeys(item.kind for item in bars)]
    for row, item in enumerate(bars):
        percent = min(item.change * 100, LONGEST)
        axes.barh(row, percent, height=0.66, color=COLOURS[item.kind], zorder=2)
        axes.annotate(
            label(item),
            (percent, row),
            xytext=(-5 if percent < 0 else 5, 0),
            textcoords="offset points",
            ha="right" if percent < 0 else "left",
            va="center",
            fontsize=8,
        )
    axes.set_yticks(range(len(bars)), [item.what for item in bars], fontsize=8)
    axes.invert_yaxis()
    axes.axvline(0, color="#444444", linewidth=0.9)
    percents = [min(item.change * 100, LONGEST) for item in bars]
    reach = max([5.0, *map(abs, percents)])
    left, right = min([0.0, *percents]), max([0.0, *percents])
    axes.set(xlim=(left - 0.28 * reach, right + 0.35 * reach), xlabel="change of the latency for the same work, %")
    axes.set_title(_title(what_if), fontsize=11)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    if bars:
        axes.legend(handles=kinds, loc="lower left" if -left > right else "lower right", fontsize=8, frameon=False)
    save_drawing(figure, path)


def label(item: Alternative) -> str:
    each = small_text(item.latency_s / item.items, "s").replace("us", "µs")
    cut = "  (bar cut)" if item.change * 100 > LONGEST else ""
    return f"{latency_change(item)}  {each}{cut}"


def _title(what_if: WhatIf) -> str:
    report = what_if.report
    latency = small_text(report.latency_s, "s").replace("us", "µs")
    return f"{Path(report.source).name} on {report.target}, {report.dtype}, {report.model}: {latency}; what would help"
