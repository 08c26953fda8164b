"""Learned models held against rows of shapes, devices or frameworks that they were not trained on."""

from __future__ import annotations

import numpy as np

from ircost.cost_models.evaluation import Prediction
from ircost.cost_models.gpu.constants import bundled_constants
from ircost.cost_models.gpu.rows import TargetOf
from ircost.cost_models.gpu.table_work import Columns
from ircost.cost_models.learned.held_out import Judged, OnProgress, held_out_folds
from ircost.cost_models.learned.judging import Outcome, outcome_of, outcome_of_machines
from ircost.cost_models.learned.machines_left_out import LeftOut, breeds_of, left_out, views_without
from ircost.cost_models.learned.made import constants_without
from ircost.cost_models.learned.recipes import FEWEST_ROWS, RECIPES
from ircost.cost_models.learned.row_text import writer_of
from ircost.cost_models.learned.rows import Readable, always, readable, rows_of, thinned
from ircost.cost_models.learned.splits import folds_of
from ircost.cost_models.learned.text_model import IrTextRegressor
from ircost.cost_models.learned.text_training import MOST_ROWS, held_out, texts_of_rows


def predictions_of_split(
    columns: Columns,
    at: str,
    split: str,
    target_of: TargetOf,
    on_progress: OnProgress | None = None,
    with_text: bool = False,
) -> dict[str, Prediction]:
    """What each model says of rows that were held out; of large tables a sample, small groups whole.

    Without a device, constants of the analytical model are fitted anew as well.

    Args:
        with_text: the text model, too: then all learn from no more rows than it can read.

    Raises:
        TargetError: the columns tell of no family of kernels.
        RowTextError: rows have no text.
        ValueError: nothing can be left out, or too little is left to learn from.
    """
    table = readable(columns, at, target_of)
    if with_text:
        writer_of(table)
        table = thinned(table, MOST_ROWS)
    if sum(len(group.rows) for group in table.groups) < FEWEST_ROWS:
        raise ValueError(f"{len(table.place)} rows, {FEWEST_ROWS} needed")
    if split == "device":
        outcome = outcome_of_machines(_without_devices(table, columns, at, target_of, on_progress))
    else:
        outcome = outcome_of(_without_folds(table, split, on_progress), by_group=split != "shape")
    found = _predictions(outcome, columns)
    return found | ({"text": _text_prediction(table, outcome, columns)} if with_text else {})


def _text_prediction(table: Readable, outcome: Outcome, columns: Columns) -> Prediction:
    """Of the same rows, with the same ones left out."""
    rows = outcome.rows
    folds = [outcome.group == group for group in np.unique(outcome.group)]
    regressor = IrTextRegressor()
    found = held_out(regressor.counted(texts_of_rows(table, rows)), np.log(rows.measured_s), folds, regressor)
    own = {name: column[rows.place] for name, column in columns.items()}
    return Prediction(rows.family, own, rows.measured_s, np.exp(found), rows.limit_s, {})


def _without_folds(table: Readable, split: str, on_progress: OnProgress | None) -> Judged:
    recipe = RECIPES[table.family.name]
    constants = bundled_constants()
    rows = rows_of(thinned(table, recipe.most_rows), always(constants), table.vocabulary())
    _check(len(folds_of(rows, split)), split)
    return held_out_folds(rows, recipe, split, on_progress)


def _without_devices(
    table: Readable, columns: Columns, at: str, target_of: TargetOf, on_progress: OnProgress | None
) -> LeftOut:
    recipe, vocabulary = RECIPES[table.family.name], table.vocabulary()
    _check(len(breeds_of(table)), "device")
    views = views_without(table, constants_without(table, columns, at, target_of), vocabulary, recipe)
    return left_out(table, views, vocabulary, recipe, on_progress)


def _check(groups: int, split: str) -> None:
    """Raises:
    ValueError: too few groups for one to be left out, and another to be judged by.
    """
    if groups < 3:
        told = f"rows of {max(groups, 1)} {split}{'s' if groups > 1 else ''}"
        raise ValueError(f"{told}: one is left out, and intervals need two more")


def _predictions(outcome: Outcome, columns: Columns) -> dict[str, Prediction]:
    rows = outcome.rows
    own = {name: column[rows.place] for name, column in columns.items()}

    def of(predicted_s: np.ndarray, interval_s: np.ndarray | None = None) -> Prediction:
        return Prediction(rows.family, own, rows.measured_s, predicted_s, rows.limit_s, {}, interval_s)

    return {
        "roofline": of(rows.roofline_s),
        "analytical": of(rows.analytical_s),
        "learned": of(outcome.learned_s),
        "hybrid": of(outcome.hybrid_s, np.column_stack([outcome.low_s, outcome.high_s])),
    }
