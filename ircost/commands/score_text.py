"""Scores of cost models as text for people: a table, its worst lines, and the rows that failed."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ircost.table import print_table

if TYPE_CHECKING:
    from ircost.cost_models.evaluation import Score

WORST = 3  # are named, where there are more than twice as many
NUMBERS = ("rows", "failed", "MAPE", "median", "p90", "bias", "tau", "below bound")
INTERVALS = ("inside", "width")  # of models that give an interval


def print_scores(scores: Mapping[str, Sequence[Score]], by: Sequence[str]) -> None:
    """A line for each group, and each model where there are several.

    Args:
        scores: by model, groups in the same order.
        by: columns that make the groups.
    """
    models = list(scores)
    shows_model = len(models) > 1
    has_intervals = any(score.coverage is not None for own in scores.values() for score in own)
    numbers = (*NUMBERS, *INTERVALS) if has_intervals else NUMBERS
    head = ("family", *by, *(["model"] if shows_model else []), *numbers)
    lines = [
        (
            score.family,
            *(score.labels[name] for name in by),
            *([model] if shows_model else []),
            *cells(score)[: len(numbers)],
        )
        for group in zip(*scores.values(), strict=True)
        for model, score in zip(models, group, strict=True)
    ]
    first = len(head) - len(numbers)
    print_table(head, lines, right=range(first, len(head)))


def csv_text(scores: Mapping[str, Sequence[Score]], by: Sequence[str]) -> str:
    """A line for each model and group, in percent; empty where there is no figure."""
    from ircost.cost_models import evaluation

    names = (*evaluation.NUMBERS, *evaluation.INTERVALS)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("model", "family", *by, *names))
    for model, own in scores.items():
        for score in own:
            labels = (score.labels[name] for name in by)
            writer.writerow((model, score.family, *labels, *(getattr(score, name) for name in names)))
    return out.getvalue()


def cells(score: Score) -> tuple[str, ...]:
    return (
        *(f"{score.rows:,}", f"{score.failed:,}"),
        *(percent_text(value) for value in (score.mape, score.median_ape, score.p90_ape)),
        percent_text(score.bias, "+"),
        "-" if score.kendall_tau is None else f"{score.kendall_tau:.3f}",
        percent_text(score.below_bound),
        *(percent_text(score.coverage), percent_text(score.width)),
    )


def percent_text(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.1f} %"


def worst_text(scores: Sequence[Score]) -> str | None:
    """The groups with the largest median errors; None where a glance shows them."""
    told = [(score.median_ape, score) for score in scores if score.median_ape is not None]
    if len(told) <= 2 * WORST:
        return None
    worst = sorted(told, key=lambda pair: -pair[0])[:WORST]
    return "; ".join(f"{' '.join((s.family, *filter(None, s.labels.values())))} {m:.1f} %" for m, s in worst)
