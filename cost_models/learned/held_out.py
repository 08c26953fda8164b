"""Rows corrected by models that never saw their group: what trust and intervals are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ircost.cost_models.learned.calibration import Held
from ircost.cost_models.learned.columns import DEVICE, WORDS
from ircost.cost_models.learned.novelty import LEVELS, Novelty
from ircost.cost_models.learned.recipes import Recipe, residual_model
from ircost.cost_models.learned.rows import Rows
from ircost.cost_models.learned.splits import folds_of

OnProgress = Callable[[int, int], object]  # how many models are trained, of how many


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows, and corrections by models that never saw their group.

    Args:
        held: what calibrations are made of; without the rows that no fold could be judged on.
        rows: the same rows.
    """

    rows: Rows
    held: Held


def held_out_folds(rows: Rows, recipe: Recipe, split: str, on_progress: OnProgress | None = None) -> Judged:
    """Every row corrected by a model that saw no row of its shape, or framework."""
    folds = folds_of(rows, split)
    correction, level = np.zeros(len(rows)), np.zeros(len(rows), dtype=int)
    fold = np.full(len(rows), -1)
    for number, out in enumerate(folds):
        inside = ~out
        model = residual_model(recipe).fit(rows.features[inside], rows.residual[inside])
        correction[out] = model.predict(rows.features[out])
        level[out] = levels_of(rows.at(inside), rows.at(out))
        fold[out] = number
        if on_progress is not None:
            on_progress(number + 1, len(folds))
    return Judged(rows, Held(rows.features, rows.residual, correction, level, fold, cells_of(rows)))


def levels_of(inside: Rows, out: Rows) -> np.ndarray:
    """Of novelty: sizes and words that the rows inside do not have."""
    level = Novelty.of(inside.octaves).level(out.octaves)
    for place in range(len(WORDS)):
        column = out.features.shape[1] - len(WORDS) - 1 + place
        level[~np.isin(out.features[:, column], np.unique(inside.features[:, column]))] = LEVELS - 1
    return level


def cells_of(rows: Rows) -> np.ndarray:
    """[rows] a number for each machine, runtime and format."""
    words = np.nan_to_num(rows.features[:, -len(WORDS) - 1 :], nan=-1.0)
    assert tuple(WORDS)[:2] == ("runtime", "dtype") and DEVICE == "device", "the order of the columns of words"
    found: np.ndarray = (words[:, 0] * 100 + words[:, 1]) * 100 + words[:, -1]
    return found
