"""Between the rows of a table, as tables of profilers are commonly read."""

from __future__ import annotations

from typing import Any

import numpy as np

from ircost.cost_models.learned.estimators.encoding import evenly, points_of
from ircost.cost_models.learned.estimators.fitted_state import FittedState
from ircost.cost_models.learned.estimators.kernel_regressor import KernelRegressor
from ircost.cost_models.learned.estimators.table_rows import NEIGHBOURS, SMOOTHING, TableRows


class TableInterpolation(FittedState, KernelRegressor):
    """Interpolates between rows with the same words, over logarithms of their sizes (``table_rows.surface``).

    Rows whose words were never met together have the mean of the nearest ones.

    Args:
        neighbours: rows that the surface is laid through.
        smoothing: how far from them it may pass (see ``surface``); measurements have noise.
        sizes: columns of sizes; all that are no words, if None.
        words: columns of words.
        predicted: column of ln of the predicted time, of which y is a correction: then the time itself is
            interpolated, also beyond the rows, and where no rows have the same words there is no correction.
        most_rows: to remember; of more, evenly drawn ones.
    """

    FITTED = ("points_", "words_", "values_")

    def __init__(
        self,
        neighbours: int = NEIGHBOURS,
        sizes: tuple[int, ...] | None = None,
        words: tuple[int, ...] = (),
        predicted: int | None = None,
        smoothing: float = SMOOTHING,
        most_rows: int = 300_000,
    ) -> None:
        self.neighbours = neighbours
        self.smoothing = smoothing
        self.sizes = sizes
        self.words = words
        self.predicted = predicted
        self.most_rows = most_rows

    def fit(self, X: Any, y: Any) -> TableInterpolation:  # noqa: N803
        """Args:
        X: [rows, features]; NaN where something is not known.
        y: [rows] what to predict.
        """
        X, y = self.learned_from(X, y)  # noqa: N806
        X, y = evenly(self.most_rows, X, y)  # noqa: N806
        self.points_ = points_of(X, self.sizes, self.words)
        self.words_ = X[:, list(self.words)]
        self.values_ = np.asarray(y if self.predicted is None else y + X[:, self.predicted], dtype=float)
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """[rows] predictions."""
        X = self.asked(X)  # noqa: N806
        fitted = (self.points_, self.words_, self.values_)
        return TableRows(*fitted, self.neighbours, self.smoothing, self.sizes, self.words, self.predicted).predict(X)
