"""Rows corrected by models that never saw their group: what trust and intervals are made of."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np

from ircost.cost_models.learned.calibration import Held
from ircost.cost_models.learned.columns import DEVICE, WORDS
from ircost.cost_models.learned.combinations import COLUMNS, codes_of
from ircost.cost_models.learned.estimators.registry import Estimator
from ircost.cost_models.learned.novelty import LEVELS, Novelty
from ircost.cost_models.learned.recipes import Recipe, fitted, residual_model
from ircost.cost_models.learned.rows import Rows
from ircost.cost_models.learned.splits import folds_of
from ircost.cost_models.learned.stored_estimator import TREES
from ircost.cost_models.side_by_side import processors, side_by_side

WORTH_A_COPY = 20_000  # rows, from which on models are trained side by side
# Beside a machine of many rows, one of few is heard as if it had a tenth as many, if no more than so many, and ten
# times at most: else what somebody measured of their own machine drowns. On shapes held out that lowers its error by up
# to a fifth, and costs machines of many rows a twentieth at most.
OF_MANY, MOST_HEARD_ROWS, MOST_HEARD = 10, 20_000, 10
Result = TypeVar("Result")
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
    return judged_by_folds(rows, recipe, folds_of(rows, split), on_progress)


def judged_by_folds(
    rows: Rows, recipe: Recipe, folds: Sequence[np.ndarray], on_progress: OnProgress | None = None
) -> Judged:
    """Every row corrected by a model that saw no row of its fold.

    Args:
        folds: for each, which rows are held out: a mask.
    """
    tasks = [partial(_answers, rows, recipe, out) for out in folds]
    return _judged(rows, folds, at_once(tasks, len(rows), on_progress))


def trained_and_held_out(
    rows: Rows, recipe: Recipe, split: str, on_progress: OnProgress | None = None
) -> tuple[Estimator, Judged]:
    """A model of all rows, beside ``held_out_folds``."""
    folds = folds_of(rows, split)
    tasks: list[Callable[[], Any]] = [partial(_answers, rows, recipe, out) for out in folds]
    tasks.append(lambda: corrections_of(rows, recipe))
    *answers, model = at_once(tasks, len(rows), on_progress)
    return model, _judged(rows, folds, answers)


Answers = tuple[np.ndarray, np.ndarray]  # corrections and novelty of the rows of a fold


def _answers(rows: Rows, recipe: Recipe, out: np.ndarray) -> Answers:
    inside = ~out
    known = rows.at(inside)
    return corrections_of(known, recipe).predict(rows.features[out]), levels_of(known, rows.at(out))


def corrections_of(rows: Rows, recipe: Recipe) -> Estimator:
    """Trained on rows; trees hear those of machines with few of them several times."""
    model = residual_model(recipe, rows.family)
    if recipe.estimator != TREES:
        return fitted(model, rows.features, rows.residual, rows.shape)
    _, machine, count = np.unique(rows.device, return_inverse=True, return_counts=True)
    heard = np.repeat(np.arange(len(rows)), times_heard(count)[machine])
    return fitted(model, rows.features[heard], rows.residual[heard], rows.shape[heard])


def times_heard(count: np.ndarray) -> np.ndarray:
    """[machines] how often each row of a machine counts, by how many rows of it there are.

    >>> times_heard(np.array([300_000, 30_000, 4_000, 200])).tolist(), times_heard(np.array([200])).tolist()
    ([1, 1, 5, 10], [1])
    """
    found: np.ndarray = np.clip(min(count.max() // OF_MANY, MOST_HEARD_ROWS) // count, 1, MOST_HEARD)
    return found


def _judged(rows: Rows, folds: Sequence[np.ndarray], answers: Sequence[Answers]) -> Judged:
    correction, level = np.zeros(len(rows)), np.zeros(len(rows), dtype=int)
    fold = np.full(len(rows), -1)
    for number, (out, (own, novelty)) in enumerate(zip(folds, answers, strict=True)):
        correction[out], level[out], fold[out] = own, novelty, number
    return Judged(rows, Held(rows.features, rows.residual, correction, level, fold, cells_of(rows)))


def at_once(tasks: Sequence[Callable[[], Result]], rows: int, on_progress: OnProgress | None = None) -> list[Result]:
    """What tasks give, each processor taking some of them where they are about many rows."""
    here, done = os.getpid(), 0

    def results(some: Sequence[Callable[[], Result]]) -> list[Result]:
        nonlocal done
        found = []
        for task in some:
            found.append(task())
            done += 1
            if on_progress is not None and os.getpid() == here:
                on_progress(done, len(tasks))
        return found

    found = side_by_side(results, tasks, processors() if rows >= WORTH_A_COPY else 1, 1)
    if on_progress is not None:
        on_progress(len(tasks), len(tasks))
    return found


def levels_of(inside: Rows, out: Rows) -> np.ndarray:
    """Of novelty: sizes and words that the rows inside do not have."""
    level = Novelty.of(inside.octaves).level(out.octaves)
    for place in range(len(WORDS)):
        column = out.features.shape[1] - len(WORDS) - 1 + place
        level[~np.isin(out.features[:, column], np.unique(inside.features[:, column]))] = LEVELS - 1
    return level


def cells_of(rows: Rows) -> np.ndarray:
    """[rows] a number for each machine, runtime and format."""
    words = np.nan_to_num(rows.features[:, -COLUMNS:], nan=-1.0)
    assert tuple(WORDS)[:2] == ("runtime", "dtype") and DEVICE == "device", "the order of the columns of words"
    return codes_of(words[:, [0, 1, -1]].astype(np.int64) + 1)
