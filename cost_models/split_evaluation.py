"""Learned models held against rows of shapes, devices or frameworks that they were not trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ircost.cost_models.evaluation import Prediction
from ircost.cost_models.gpu.constants import bundled_constants
from ircost.cost_models.gpu.rows import TargetOf
from ircost.cost_models.gpu.table_work import Columns
from ircost.cost_models.learned.held_out import OnProgress, judged_by_folds
from ircost.cost_models.learned.judging import Outcome, outcome_of, outcome_of_machines
from ircost.cost_models.learned.machines_left_out import breeds_of, left_out, views_without
from ircost.cost_models.learned.made import constants_without
from ircost.cost_models.learned.recipes import FEWEST_ROWS, RECIPES, Recipe
from ircost.cost_models.learned.row_text import writer_of
from ircost.cost_models.learned.rows import Readable, always, readable, rows_of, thinned
from ircost.cost_models.learned.splits import FOLDS, SPLITS, folds_of_groups
from ircost.cost_models.learned.text_model import IrTextRegressor
from ircost.cost_models.learned.text_training import MOST_ROWS, held_out, texts_of_rows


def predictions_of_split(
    columns: Columns,
    at: str,
    split: str,
    target_of: TargetOf,
    on_progress: OnProgress | None = None,
    with_text: bool = False,
    estimators: Sequence[str] = (),
) -> dict[str, Prediction]:
    """What each model says of rows that were held out; of large tables a sample, small groups whole.

    Without a device, constants of the analytical model are fitted anew as well.

    Args:
        split: ``shape``, ``device``, ``framework``, or another column, of whose values each is left out in turn.
        with_text: the text model, too: then all learn from no more rows than it can read.
        estimators: in place of the one that suits the family; of each, ``learned (NAME)`` and ``hybrid (NAME)``.

    Raises:
        TargetError: the columns tell of no family of kernels.
        RowTextError: rows have no text.
        ValueError: nothing can be left out, or too little is left to learn from.
        KeyError: there is no such column.
        UnknownNameError: nobody registered an estimator.
    """
    table = readable(columns, at, target_of)
    if with_text:
        writer_of(table)
        table = thinned(table, MOST_ROWS)
    if sum(len(group.rows) for group in table.groups) < FEWEST_ROWS:
        raise ValueError(f"{len(table.place)} rows, {FEWEST_ROWS} needed")
    own = RECIPES[table.family.name]
    recipes = {f" ({name})": replace(own, estimator=name) for name in estimators} or {"": own}
    progress = _Progress(on_progress, len(recipes))
    if split == "device":
        judge = _judge_of_devices(table, columns, at, target_of, own)
    else:
        judge = _judge_of_folds(table, columns, split, own)
    outcomes = {name: judge(recipe, progress.next()) for name, recipe in recipes.items()}
    found: dict[str, Prediction] = {}
    for name, outcome in outcomes.items():
        found |= _predictions(outcome, columns, name)
    if with_text:
        found["text"] = _text_prediction(table, next(iter(outcomes.values())), columns)
    return found


# The outcome of models by one recipe.
Judge = Callable[[Recipe, OnProgress | None], Outcome]


@dataclass(slots=True)
class _Progress:
    """Of several trainings, as one."""

    told: OnProgress | None
    count: int
    started: int = 0

    def next(self) -> OnProgress | None:
        """That of the next one."""
        before, told = self.started, self.told
        self.started += 1
        return None if told is None else lambda done, of: told(before * of + done, self.count * of)


def _judge_of_folds(table: Readable, columns: Columns, split: str, recipe: Recipe) -> Judge:
    rows = rows_of(thinned(table, recipe.most_rows), always(bundled_constants()), table.vocabulary())
    group = rows.group(split) if split in SPLITS else np.asarray(columns[split])[rows.place].astype(str)
    folds = folds_of_groups(group, FOLDS if split == "shape" else None)
    _check(len(folds), split)

    def judge(recipe: Recipe, on_progress: OnProgress | None) -> Outcome:
        return outcome_of(judged_by_folds(rows, recipe, folds, on_progress), by_group=split != "shape")

    return judge


def _judge_of_devices(table: Readable, columns: Columns, at: str, target_of: TargetOf, recipe: Recipe) -> Judge:
    vocabulary = table.vocabulary()
    _check(len(breeds_of(table)), "device")
    views = views_without(table, constants_without(table, columns, at, target_of), vocabulary, recipe)

    def judge(recipe: Recipe, on_progress: OnProgress | None) -> Outcome:
        return outcome_of_machines(left_out(table, views, vocabulary, recipe, on_progress))

    return judge


def _check(groups: int, split: str) -> None:
    """Raises:
    ValueError: too few groups for one to be left out, and another to be judged by.
    """
    if groups < 3:
        told = f"rows of {max(groups, 1)} {split}{'s' if groups > 1 else ''}"
        raise ValueError(f"{told}: one is left out, and intervals need two more")


def _predictions(outcome: Outcome, columns: Columns, name: str) -> dict[str, Prediction]:
    rows = outcome.rows
    own = {name: column[rows.place] for name, column in columns.items()}

    def of(predicted_s: np.ndarray, interval_s: np.ndarray | None = None) -> Prediction:
        return Prediction(rows.family, own, rows.measured_s, predicted_s, rows.limit_s, {}, interval_s)

    return {
        "roofline": of(rows.roofline_s),
        "analytical": of(rows.analytical_s),
        f"learned{name}": of(outcome.learned_s),
        f"hybrid{name}": of(outcome.hybrid_s, np.column_stack([outcome.low_s, outcome.high_s])),
    }


def _text_prediction(table: Readable, outcome: Outcome, columns: Columns) -> Prediction:
    """Of the same rows, with the same ones left out."""
    rows = outcome.rows
    folds = [outcome.group == group for group in np.unique(outcome.group)]
    regressor = IrTextRegressor()
    found = held_out(regressor.counted(texts_of_rows(table, rows)), np.log(rows.measured_s), folds, regressor)
    own = {name: column[rows.place] for name, column in columns.items()}
    return Prediction(rows.family, own, rows.measured_s, np.exp(found), rows.limit_s, {})
