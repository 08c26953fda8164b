"""One straight line through all corrections."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import Ridge

from ircost.cost_models.learned.estimators.encoding import evenly, met_words, one_hot
from ircost.cost_models.learned.estimators.fitted_state import FittedState
from ircost.cost_models.learned.estimators.kernel_regressor import KernelRegressor


class LinearCorrection(FittedState, KernelRegressor):
    """Ridge regression on all features in units of their standard deviation, and an offset for each word.

    Predictions stay within the range that was seen: a line goes on for ever.
    Source: Hoerl, Kennard, "Ridge regression: biased estimation for nonorthogonal problems", Technometrics 12(1), 1970.

    Args:
        ridge: the penalty on squared coefficients, in rows.
        words: columns of words.
        most_rows: to fit to; of more, evenly drawn ones.
    """

    FITTED = ("met_", "mean_", "scale_", "coefficients_", "offset_", "range_")

    def __init__(self, ridge: float = 1.0, words: tuple[int, ...] = (), most_rows: int = 200_000) -> None:
        self.ridge = ridge
        self.words = words
        self.most_rows = most_rows

    def fit(self, X: Any, y: Any) -> LinearCorrection:  # noqa: N803
        """Args:
        X: [rows, features]; NaN where something is not known.
        y: [rows] what to predict.
        """
        X, y = self.learned_from(X, y)  # noqa: N806
        X, y = evenly(self.most_rows, X, y)  # noqa: N806
        self.met_ = met_words(X[:, list(self.words)])
        numbers = np.delete(X, list(self.words), axis=1).astype(float)
        is_known = ~np.isnan(numbers)
        count = np.maximum(is_known.sum(axis=0), 1)
        self.mean_ = np.where(is_known, numbers, 0.0).sum(axis=0) / count
        spread = np.sqrt((np.where(is_known, numbers - self.mean_, 0.0) ** 2).sum(axis=0) / count)
        self.scale_ = np.where(spread > 0, spread, 1.0)
        line = Ridge(self.ridge).fit(self._design(X), y)
        self.coefficients_, self.offset_ = np.asarray(line.coef_, dtype=float), np.array([float(line.intercept_)])
        self.range_ = np.array([y.min(), y.max()], dtype=float)
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """[rows] predictions."""
        X = self.asked(X)  # noqa: N806
        return np.asarray(np.clip(self._design(X) @ self.coefficients_ + self.offset_, *self.range_))

    def _design(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        numbers = (np.delete(X, list(self.words), axis=1) - self.mean_) / self.scale_
        return np.concatenate([np.nan_to_num(numbers), one_hot(X[:, list(self.words)], self.met_)], axis=1)
