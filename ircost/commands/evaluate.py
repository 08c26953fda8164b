"""``irc evaluate``: a cost model held against measurements."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ircost.commands.options import OptionError
from ircost.ir.errors import did_you_mean
from ircost.table import print_table
from ircost.terminal import working

if TYPE_CHECKING:
    import numpy as np

    from ircost.cost_models.evaluation import Prediction, Score

FAILURES_SHOWN = 10


@click.command()
@click.argument("tables", nargs=-1, required=True, type=click.Path())
@click.option("--model", "model_name", metavar="NAME", default="analytical", show_default=True, help="Cost model.")
@click.option("--by", metavar="device,framework,dtype", default="", help="A line for each of these, not for each table.")
@click.option("--constants", metavar="FILE", help="Fitted constants, as irc calibrate writes them; else the bundled.")
@click.option("--targets", "folders", multiple=True, metavar="DIR", help="Look for target files here too.")
@click.option("--unseen", is_flag=True, help="Judge each device with constants fitted to the others only (minutes).")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON; errors in percent.")
@click.option("--plot", metavar="FILE", help="Draw predicted against measured, as PNG or SVG.")
def command(
    tables: tuple[str, ...],
    model_name: str,
    by: str,
    constants: str | None,
    folders: tuple[str, ...],
    unseen: bool,
    as_json: bool,
    plot: str | None,
) -> int:
    """Score a cost model on TABLES of measurements (Parquet or CSV), in the schema of docs/cost-models.md.

    Errors are in percent of what was measured: their mean (mape), median and ninetieth percentile; bias is the median
    with its sign; tau is Kendall's, of predicted and measured order. Rows that no model can express are counted as
    failed, and listed.
    """
    from ircost.cost_models.evaluation import scores_of

    groupings = groupings_of(by)
    if plot:
        from ircost.plots import check_plot_file

        check_plot_file(plot)
    predictions = []
    for path in tables:
        with working(f"evaluating {path}"):
            predictions.append((path, prediction_of(path, model_name, constants, folders, unseen)))
    scores = [score for _, prediction in predictions for score in scores_of(prediction, groupings)]
    if as_json:
        click.echo(json.dumps(report_of(model_name, scores, predictions), indent=1))
    else:
        print_scores(scores, groupings)
        print_failures(predictions)
    if plot:
        from ircost.plots import plot_predictions

        plot_predictions([prediction for _, prediction in predictions], model_name, plot)
    return 0


def groupings_of(by: str) -> list[str]:
    from ircost.cost_models.evaluation import GROUPINGS

    names = [name.strip() for name in by.split(",") if name.strip()]
    for name in names:
        if name not in GROUPINGS:
            raise OptionError(f"--by {name}: no such column", help=f"use any of {', '.join(GROUPINGS)}")
    return names


def prediction_of(
    path: str, model_name: str, constants_file: str | None, folders: tuple[str, ...], unseen: bool
) -> Prediction:
    from ircost.backends import load_target
    from ircost.cost_models.evaluation import ROW_MODELS, joined, predict_table
    from ircost.cost_models.gpu.calibrate import unseen_constants
    from ircost.cost_models.gpu.constants import bundled_constants, read_constants
    from ircost.datasets.tables import read_table

    if model_name not in ROW_MODELS:
        raise OptionError(f"no model '{model_name}'", help=did_you_mean(model_name, ROW_MODELS, ", ".join(ROW_MODELS)))
    table = read_table(path)
    target_of = lru_cache(maxsize=None)(lambda name: load_target(name, folders))
    constants = read_constants(constants_file) if constants_file else bundled_constants()
    columns = table.columns
    model = ROW_MODELS[model_name]
    if not unseen:
        return predict_table(columns, path, target_of, model, constants)
    by_device = unseen_constants(columns, path, target_of)
    return joined(predict_table(table.of_device(name), path, target_of, model, own) for name, own in by_device.items())


def report_of(model_name: str, scores: list[Score], predictions: list[tuple[str, Prediction]]) -> dict[str, Any]:
    failures = [
        {"table": path, "reason": reason, "rows": ranges_text(rows)}
        for path, prediction in predictions
        for reason, rows in prediction.failures.items()
    ]
    return {"model": model_name, "groups": [score.to_json() for score in scores], "failures": failures}


def print_scores(scores: list[Score], groupings: list[str]) -> None:
    head = ("family", *groupings, "rows", "failed", "mape", "median", "p90", "bias", "tau", "below bound")
    rows = [
        (
            *(score.family, *(score.labels.get(name, "") for name in groupings)),
            *(f"{score.rows:,}", f"{score.failed:,}"),
            *(percent_text(value) for value in (score.mape, score.median_ape, score.p90_ape)),
            percent_text(score.bias, "+"),
            "-" if score.kendall_tau is None else f"{score.kendall_tau:.3f}",
            percent_text(score.below_bound),
        )
        for score in scores
    ]
    first = 1 + len(groupings)
    print_table(head, rows, right=range(first, first + 8))


def percent_text(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.1f} %"


def print_failures(predictions: list[tuple[str, Prediction]]) -> None:
    """The reasons why rows failed, with the rows, numbered from 0."""
    lines = [
        f"{Path(path).name}: {len(rows):,} rows failed: {reason} (rows {ranges_text(rows, 60)})"
        for path, prediction in predictions
        for reason, rows in prediction.failures.items()
    ]
    for line in lines[:FAILURES_SHOWN]:
        click.echo(line)
    if len(lines) > FAILURES_SHOWN:
        click.echo(f"... and {len(lines) - FAILURES_SHOWN} more reasons (--json lists all)")


def ranges_text(rows: np.ndarray, most: int | None = None) -> str:
    """Row numbers, ascending, as ranges; cut after ``most`` characters.

    >>> import numpy as np
    >>> ranges_text(np.array([0, 1, 2, 5, 7, 8]))
    '0-2,5,7-8'
    """
    text = ",".join(_ranges(rows))
    return text if most is None or len(text) <= most else text[:most].rpartition(",")[0] + ",..."


def _ranges(rows: np.ndarray) -> Iterator[str]:
    import numpy as np

    breaks = np.flatnonzero(np.diff(rows) > 1)
    for first, last in zip(np.r_[0, breaks + 1], np.r_[breaks, len(rows) - 1], strict=True):
        yield str(rows[first]) if first == last else f"{rows[first]}-{rows[last]}"
