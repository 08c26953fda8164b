"""``irc ops --coverage``: which ONNX operators are taken, and how."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ircost.frontends.onnx.coverage import OperatorCoverage

HOW = ("native", "function", "refused", "missing")
TITLES = {
    "": "ai.onnx",
    "ai.onnx.preview": "ai.onnx.preview",
    "ai.onnx.ml": "ai.onnx.ml",
    "com.microsoft": "com.microsoft",
    "ai.onnx.preview.training": "ai.onnx.preview.training",
}


def show_coverage(form: str) -> None:
    """Prints all operators as ``text``, ``json`` or ``markdown``."""
    from ircost.frontends.onnx.coverage import coverage

    rows = coverage()
    if form == "json":
        facts = [{"domain": r.domain, "operator": r.name, "versions": r.forms, "reason": r.reason} for r in rows]
        click.echo(json.dumps(facts, indent=2))
    elif form == "markdown":
        click.echo(markdown(rows), nl=False)
    else:
        print_text(rows)


def print_text(rows: Sequence[OperatorCoverage]) -> None:
    from ircost.table import print_table

    print_table(("operator", *HOW), [(qualified(row), *map(row.versions, HOW)) for row in rows])
    for domain in dict.fromkeys(row.domain for row in rows):
        click.echo(f"{TITLES[domain]}: {summary([row for row in rows if row.domain == domain])}")


def qualified(row: OperatorCoverage) -> str:
    return f"{row.domain}::{row.name}" if row.domain else row.name


def summary(rows: Sequence[OperatorCoverage]) -> str:
    """``203 operators: 155 native, 43 function, 5 refused``, by the newest version of each."""
    counts = Counter(row.newest for row in rows)
    return f"{len(rows)} operators: {', '.join(f'{counts[how]} {how}' for how in HOW if counts[how])}"


def markdown(rows: Sequence[OperatorCoverage]) -> str:
    """The page `docs/onnx.md`."""
    import onnx

    lines = [
        "# ONNX operators",
        "",
        "Written by `irc ops --coverage --markdown > docs/onnx.md`; "
        f"the operators are those of onnx {onnx.__version__}, opset {onnx.defs.onnx_opset_version()}.",
        "",
        "Numbers are versions of an operator: the opset that brought each of its forms.",
        "",
        "- native: a lowering of ours, for this form and as opsets up to the next one use it;",
        "- function: expanded by the body that ONNX itself gives the operator;",
        "- refused: one message says why, with the node; `--allow-opaque` takes what is not known without a cost.",
    ]
    for domain, title in TITLES.items():
        chosen = [row for row in rows if row.domain == domain]
        if chosen:
            lines += ["", f"## {title}", "", summary(chosen) + ".", "", *table(chosen)]
    return "\n".join(lines) + "\n"


def table(rows: Sequence[OperatorCoverage]) -> list[str]:
    used = [how for how in HOW if any(row.versions(how) for row in rows)]
    lines = [f"| operator | {' | '.join(used)} |", f"|---|{'---|' * len(used)}"]
    return lines + [f"| {row.name} | {' | '.join(cell(row, how) for how in used)} |" for row in rows]


def cell(row: OperatorCoverage, how: str) -> str:
    versions = row.versions(how)
    return f"{versions}: {row.reason}" if versions and how == "refused" and row.reason else versions
