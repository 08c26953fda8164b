"""Answers of the library as HTML, for notebooks: the tables of the command line, on light and on dark ground."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from ircost.alternatives import WhatIf
from ircost.alternatives_text import alternatives_table, headline
from ircost.comparing import Comparison
from ircost.comparison_text import subject_text, totals_table, waterfall_table
from ircost.cost_models.explanation import Node
from ircost.explanation_text import about_text, label_text, quantity_text
from ircost.report import Report
from ircost.report_text import KERNELS_SHOWN, figures, kernels_table, misfit, notes_of, subject
from ircost.sweep_points import Sweep
from ircost.sweep_text import points_table
from ircost.table import Table
from ircost.transformer_text import transformer_lines

OPEN_LEVELS = 2  # of an explanation; the others open at a click
# Colours are those around it, as notebooks are light or dark; and they give tables a style of their own.
GREY, LINE = "opacity:0.65", "border-bottom:1px solid rgba(128,128,128,0.35)"
CELL = "padding:2px 10px 2px 0;background:none;border:none;vertical-align:top;white-space:nowrap"
TABLE = "border-collapse:collapse;font-size:inherit;margin:6px 0"
BLOCK = "font-size:13px;line-height:1.35;font-variant-numeric:tabular-nums;margin:4px 0"


def report_html(report: Report) -> str:
    machine = f" ({report.target_description})" if report.target_description else ""
    more = [] if report.transformer is None else transformer_lines(report.transformer, False)
    lines = [(name, "  ".join(filter(None, [figure, remark]))) for name, figure, remark in (*figures(report), *more)]
    table, rest = kernels_table(report, KERNELS_SHOWN)
    return _block(
        _title(f"{report.source} \u2192 {report.target}", machine),
        _grey(" · ".join(subject(report))),
        _table(Table(("", ""), lines), wraps=(1,)),
        *([] if report.fits else [_misfit(report)]),
        _table(table, wraps=(len(table.head) - 2, len(table.head) - 1)),
        *([_grey(f"\u2026 {rest}: to_columns() has all")] if rest else []),
        _notes(notes_of(report)),
    )


def what_if_html(what_if: WhatIf) -> str:
    report = what_if.report
    told = ", ".join(headline(what_if)) or "nothing of what was tried"
    return _block(
        _title(f"{report.source} \u2192 {report.target}", f": {figures(report)[0][1]}"),
        _grey(f"what would help: {told}"),
        _table(alternatives_table(what_if), wraps=(4,)),
        _notes([f"not tried: {missing.name}: {missing.reason}" for missing in what_if.not_tried]),
    )


def sweep_html(sweep: Sweep) -> str:
    knees = [
        f"{', '.join(f'{name} {value:,}' for name, value in point.dims.items())}: {point.knee}"
        for point in sweep.points
        if point.knee
    ]
    return _block(_table(points_table(sweep)), _notes([*knees, *sweep.notes]))


def comparison_html(comparison: Comparison) -> str:
    sides = (("A", comparison.a), ("B", comparison.b))
    return _block(
        *(_title(letter, f" {subject_text(side, with_passes=False)}") for letter, side in sides),
        _table(totals_table(comparison)),
        _table(waterfall_table(comparison), wraps=(3, 4)),
    )


def explanation_html(tree: Node) -> str:
    return _block(_branch(tree, OPEN_LEVELS))


def _branch(node: Node, open_levels: int) -> str:
    """A figure, and below it what it is made of."""
    figure = f"<b>{escape(quantity_text(node))}</b> {escape(label_text(node))}{' (hidden)' if node.is_hidden else ''}"
    about = about_text(node)
    line = f'{figure} <span style="{GREY}">{escape(about)}</span>' if about else figure
    if not node.children or node.is_folded:
        return f'<div style="margin-left:16px">{line}</div>'
    inner = "".join(_branch(child, open_levels - 1) for child in node.children)
    state = ' open="open"' if open_levels > 0 else ""
    return (
        f'<details{state} style="margin-left:16px"><summary style="margin-left:-16px">{line}</summary>{inner}</details>'
    )


def _block(*parts: str) -> str:
    return f'<div style="{BLOCK}">{"".join(parts)}</div>'


def _title(bold: str, rest: str) -> str:
    return f"<div><b>{escape(bold)}</b>{escape(rest)}</div>"


def _grey(text: str) -> str:
    return f'<div style="{GREY}">{escape(text)}</div>'


def _misfit(report: Report) -> str:
    remedies = "".join(f"<li>would fit: {escape(remedy)}</li>" for remedy in report.remedies)
    return f'<div style="color:#d33"><b>{escape(misfit(report))}</b><ul style="margin:0">{remedies}</ul></div>'


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<details style="{GREY}"><summary>notes ({len(notes)})</summary><ul style="margin:0">{items}</ul></details>'


def _table(table: Table, wraps: Iterable[int] = ()) -> str:
    """Args:
    wraps: columns of words that may go on below.
    """

    def cells(tag: str, texts: Sequence[str], more: str) -> str:
        styles = [_style(place in table.right, place in wide, more) for place in range(len(texts))]
        return "".join(
            f'<{tag} style="{style}">{escape(text)}</{tag}>' for style, text in zip(styles, texts, strict=True)
        )

    wide = frozenset(wraps)
    head = f"<tr>{cells('th', table.head, f';{GREY};{LINE};font-weight:normal')}</tr>" if any(table.head) else ""
    rows = "".join(f'<tr style="background:none">{cells("td", row, "")}</tr>' for row in table.rows)
    return f'<table style="{TABLE}">{head}{rows}</table>'


def _style(is_right: bool, may_wrap: bool, more: str) -> str:
    align = ";text-align:right" if is_right else ";text-align:left"
    return f"{CELL}{align}{';white-space:pre-wrap' if may_wrap else ''}{more}"
