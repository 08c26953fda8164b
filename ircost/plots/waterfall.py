"""A comparison as a waterfall: from A's latency to B's, a bar for each change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ircost.comparing import Change, Comparison, alike, total_delta_s
from ircost.comparison_text import change_text, delta_text, group_name, is_worth_a_line, why_text
from ircost.plots.drawing import check_drawing, save_drawing
from ircost.quantity_text import small_text

BARS = 14
NAME_LENGTH, WHY_LENGTH = 44, 64
SLOWER, FASTER, TOTAL = "#b2182b", "#1b7837", "#4d4d4d"


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of the drawing, from ``start_s`` to ``end_s``."""

    name: str
    why: str
    start_s: float
    end_s: float
    is_total: bool = False


def draw_waterfall(comparison: Comparison, path: str | Path) -> None:
    """Draws changes from the largest down; what is too small for a bar of its own is one bar together.

    Raises:
        PlotError: matplotlib is not installed, the file's name tells of no form, or it cannot be written.
    """
    check_drawing(path)
    from matplotlib.figure import Figure

    bars = bars_of(comparison)
    figure = Figure(figsize=(12.5, 1.6 + 0.36 * len(bars)), layout="constrained")
    axes = figure.subplots()
    longest_s = max(max(bar.start_s, bar.end_s) for bar in bars)
    scale, unit = _scale(longest_s)
    width = longest_s * scale * 1.12 or 1.0
    for row, bar in enumerate(bars):
        delta_s = bar.end_s - bar.start_s
        colour = TOTAL if bar.is_total else SLOWER if delta_s > 0 else FASTER
        axes.barh(row, delta_s * scale, left=bar.start_s * scale, height=0.66, color=colour, zorder=2)
        text = small_text(bar.end_s, "s") if bar.is_total else delta_text(delta_s)
        # What stands beside a bar stands where there is more room.
        is_left = not bar.is_total and min(bar.start_s, bar.end_s) * scale > 0.5 * width
        x, align = (min, "right") if is_left else (max, "left")
        parts = [text.replace("us", "µs"), bar.why]
        axes.annotate(
            "   ".join(filter(None, reversed(parts) if is_left else parts)),
            (x(bar.start_s, bar.end_s) * scale, row),
            xytext=(-5 if is_left else 5, 0),
            textcoords="offset points",
            ha=align,
            va="center",
            fontsize=8,
        )
        if row + 1 < len(bars):
            axes.plot([bar.end_s * scale] * 2, [row - 0.33, row + 1.33], color="#999999", linewidth=0.7, zorder=1)
    axes.set_yticks(range(len(bars)), [bar.name for bar in bars], fontsize=8)
    axes.invert_yaxis()
    axes.set(xlim=(0, width), xlabel=f"latency, {unit}")
    axes.set_title(_title(comparison), fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    save_drawing(figure, path)


def bars_of(comparison: Comparison) -> list[Bar]:
    """A, the changes, all others together, B."""
    a_s, b_s = comparison.a.totals["latency_s"], comparison.b.totals["latency_s"]
    groups: list[list[Change]] = alike(comparison.changes)
    shown = [group for group in groups if is_worth_a_line(group, comparison)][:BARS]
    bars = [Bar(f"A  {_side(comparison, 0)}", "", 0.0, a_s, is_total=True)]
    at_s = a_s
    for group in shown:
        end_s = at_s + total_delta_s(group)
        bars.append(Bar(_end_of(group_name(group)), _first_reasons(why_text(group[0])), at_s, end_s))
        at_s = end_s
    if len(shown) < len(groups):
        count = sum(map(len, groups[len(shown) :]))
        bars.append(Bar(f"{count} more", "", at_s, b_s))
    bars.append(Bar(f"B  {_side(comparison, 1)}", "", 0.0, b_s, is_total=True))
    return bars


def _scale(longest_s: float) -> tuple[float, str]:
    """What seconds are multiplied by for the axis, and its unit."""
    return next(((1 / size, unit) for size, unit in ((1.0, "s"), (1e-3, "ms")) if longest_s >= 2 * size), (1e6, "µs"))


def _title(comparison: Comparison) -> str:
    a, b = comparison.a, comparison.b
    change = change_text(a.totals["latency_s"], b.totals["latency_s"])
    sources = dict.fromkeys(Path(side.subject["source"]).name for side in (a, b))
    return f"{' against '.join(sources)}: latency {change if change != '=' else 'unchanged'}"


def _side(comparison: Comparison, number: int) -> str:
    """What this side has that the other may lack."""
    side = (comparison.a, comparison.b)[number]
    return f"{side.subject['target']}, {side.subject['dtype']}"


def _end_of(name: str) -> str:
    """The end of a long name, which tells more than its beginning."""
    return name if len(name) <= NAME_LENGTH else f"…{name[1 - NAME_LENGTH :]}"


def _first_reasons(text: str) -> str:
    """As many as find room; the first in any case."""
    shown, *rest = text.split("; ")
    for reason in rest:
        if len(shown) + len(reason) + 2 > WHY_LENGTH:
            break
        shown += f"; {reason}"
    return shown
