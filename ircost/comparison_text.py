"""Two compilations side by side as one screen of text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from ircost.bound_text import bound_text
from ircost.comparing import Change, Comparison, Side, alike, by_limit, total_delta_s
from ircost.quantity_text import bytes_text, si_text, small_text, three_digits
from ircost.table import Table, cut, print_table

CHANGES_SHOWN = 12
LEAST_SHARE = 5e-4  # of A's latency: smaller changes are added up, not listed

FIGURES = (
    ("latency", "latency_s", lambda value: small_text(value, "s")),
    ("energy", "energy_j", lambda value: small_text(value, "J")),
    ("memory", "peak_memory_bytes", bytes_text),
    ("moved", "bytes", bytes_text),
    ("work", "flops", lambda value: f"{si_text(value, '')} flops"),
)
RATES = (("tokens/s", "tokens_per_s"), ("tokens/J", "tokens_per_j"))  # of all devices


def print_comparison(comparison: Comparison, show_all: bool = False) -> None:
    """Both subjects, the totals, changes by what limits, the waterfall."""
    a, b = comparison.a, comparison.b
    with_passes = _passes(a) != _passes(b)
    for letter, side in (("A", a), ("B", b)):
        line = cut(f"{letter}  {subject_text(side, with_passes)}")
        click.echo(click.style(letter, bold=True) + line[1:])
    click.echo()
    totals_table(comparison).echo(indent="  ")
    _print_limits(comparison)
    _print_waterfall(comparison, show_all)


def totals_table(comparison: Comparison) -> Table:
    a, b = comparison.a, comparison.b
    each = " of a device" if a.workload and a.workload != b.workload else ""
    rows = [
        (f"{name}{each if name != 'latency' else ''}", *_row(shown, a.totals[key], b.totals[key]))
        for name, key, shown in FIGURES
    ]
    if a.rates and b.rates:
        rows += [(name, *_row(three_digits, a.rates[key], b.rates[key])) for name, key in RATES]
    return Table(("", "A", "B", "change"), rows, right=(1, 2, 3))


def _row(shown: Callable[[float], str], a: float, b: float) -> tuple[str, str, str]:
    return shown(a), shown(b), change_text(a, b)


def subject_text(side: Side, with_passes: bool) -> str:
    """The model and target; the passes where the two sides ran different ones."""
    what = side.subject
    rest = [
        *filter(None, [side.workload]),
        what["dtype"],
        what["model"],
        *([f"passes {_passes(side) or 'none'}"] if with_passes else []),
    ]
    return f"{what['source']}  ->  {what['target']} · {' · '.join(rest)}"


def _passes(side: Side) -> str:
    """Without the conversion of the number format, which stands beside them."""
    passes = side.subject["pipeline"].split(",")
    return ",".join(text for text in passes if not text.startswith("convert-dtype"))


def change_text(a: float, b: float) -> str:
    """
    >>> change_text(2.0, 1.0), change_text(1.0, 1.0), change_text(0.0, 1.0), change_text(1.0, 12.0)
    ('-50.0%', '=', 'new', '12.0x')
    """
    if a == b:
        return "="
    if not a:
        return "new"
    return f"{b / a:.1f}x" if b / a >= 10 else f"{b / a - 1:+.1%}"


def delta_text(seconds: float) -> str:
    """
    >>> delta_text(-2.5e-6), delta_text(1e-3), delta_text(0.0)
    ('-2.50 us', '+1 ms', '0 s')
    """
    return f"{'+' if seconds > 0 else ''}{small_text(seconds, 's')}"


def _print_limits(comparison: Comparison) -> None:
    rows = [
        (delta_text(seconds), f"{count:,}", _transition(before, after))
        for before, after, count, seconds in by_limit(comparison)
        if seconds
    ]
    if rows:
        click.echo()
        print_table(("change", "places", "by what limits them"), rows[:CHANGES_SHOWN], right=(0, 1), indent="  ")


def _transition(before: str, after: str) -> str:
    if before == after:
        return f"{bound_text(before)}, as before"
    return f"{bound_text(before) if before else 'not there'} -> {bound_text(after) if after else 'gone'}"


def _print_waterfall(comparison: Comparison, show_all: bool) -> None:
    click.echo()
    waterfall_table(comparison, show_all).echo(indent="  ")


def waterfall_table(comparison: Comparison, show_all: bool = False) -> Table:
    """From A's latency to B's, the largest change first."""
    groups = [[change] for change in comparison.changes] if show_all else alike(comparison.changes)
    shown = groups if show_all else [group for group in groups if is_worth_a_line(group, comparison)][:CHANGES_SHOWN]
    rows = [("A", "", small_text(comparison.a.totals["latency_s"], "s"), comparison.a.subject["target"], "")]
    at_s = comparison.a.totals["latency_s"]
    for group in shown:
        at_s += total_delta_s(group)
        rows.append(
            (
                delta_text(total_delta_s(group)),
                _both(group),
                small_text(at_s, "s"),
                group_name(group),
                why_text(group[0]),
            )
        )
    rest = groups[len(shown) :]
    if rest:
        count = sum(map(len, rest))
        rest_s = sum(map(total_delta_s, rest))
        rows.append(
            (
                delta_text(rest_s),
                "",
                small_text(at_s + rest_s, "s"),
                f"{count} more (--all)" if any(map(total_delta_s, rest)) else f"{count} unchanged",
                "",
            )
        )
    rows.append(("B", "", small_text(comparison.b.totals["latency_s"], "s"), comparison.b.subject["target"], ""))
    return Table(("change", "from -> to", "total", "node", "why, in one place"), rows, right=(0, 2))


def is_worth_a_line(group: Sequence[Change], comparison: Comparison) -> bool:
    return abs(total_delta_s(group)) > LEAST_SHARE * comparison.a.totals["latency_s"]


def _both(group: Sequence[Change]) -> str:
    a_s, b_s = sum(change.a_s for change in group), sum(change.b_s for change in group)
    return f"{small_text(a_s, 's')} -> {small_text(b_s, 's')}"


def group_name(group: Sequence[Change]) -> str:
    return group[0].name if len(group) == 1 else f"{group[0].name} and {len(group) - 1} alike"


def why_text(change: Change) -> str:
    """The reasons, limits by the names that people know."""
    if not change.why:
        return "same work, same limit: other rates"
    return "; ".join(_named(reason) for reason in change.why)


def _named(reason: str) -> str:
    if not reason.startswith("limit ") or " -> " not in reason:
        return reason
    before, after = reason.removeprefix("limit ").split(" -> ")
    return f"{bound_text(before)} -> {bound_text(after)}"
