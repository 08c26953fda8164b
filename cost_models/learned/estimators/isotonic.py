"""Measured time as an increasing function of predicted time, and of nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.isotonic import IsotonicRegression

from ircost.cost_models.learned.estimators.encoding import cells_of, met_words
from ircost.cost_models.learned.estimators.fitted_state import FittedState
from ircost.cost_models.learned.estimators.kernel_regressor import KernelRegressor


class IsotonicCorrection(FittedState, KernelRegressor):
    """For rows that share their words, an increasing curve from ln of the predicted time to that of the measured.

    So the order of kernels stays as the analytical model has it. Beyond the times that were met, the correction stays
    as it was at the last. Rows with words that were never met together have that of all rows.
    Source: Barlow et al., "Statistical inference under order restrictions", 1972.

    Args:
        predicted: column of ln of the predicted time.
        words: columns of words.
        fewest: rows with the same words, below which they have the function of all rows.
    """

    FITTED = ("met_", "cells_", "curves_", "curve_of_all_")

    def __init__(self, predicted: int = 0, words: tuple[int, ...] = (), fewest: int = 20) -> None:
        self.predicted = predicted
        self.words = words
        self.fewest = fewest

    def fit(self, X: Any, y: Any) -> IsotonicCorrection:  # noqa: N803
        """Args:
        X: [rows, features]; NaN where something is not known, but for the predicted time.
        y: [rows] what to predict.
        """
        X, y = self.learned_from(X, y)  # noqa: N806
        words, predicted = X[:, list(self.words)], np.nan_to_num(X[:, self.predicted]).astype(float)
        self.met_ = met_words(words)
        cells = cells_of(words, self.met_)
        names, count = np.unique(cells, return_counts=True)
        self.cells_ = names[(count >= self.fewest) & (names >= 0)]
        self.curves_ = [_curve(predicted[cells == cell], y[cells == cell]) for cell in self.cells_]
        self.curve_of_all_ = _curve(predicted, y)
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """[rows] predictions."""
        X = self.asked(X)  # noqa: N806
        cells, predicted = cells_of(X[:, list(self.words)], self.met_), np.nan_to_num(X[:, self.predicted])
        found = _correction(predicted, self.curve_of_all_)
        for cell, curve in zip(self.cells_, self.curves_, strict=True):
            own = cells == cell
            found[own] = _correction(predicted[own], curve)
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags


def _curve(predicted: np.ndarray, correction: np.ndarray) -> np.ndarray:
    """[2, knots] ln of predicted times, and of measured ones, neither of them falling."""
    found = IsotonicRegression().fit(predicted, predicted + correction)
    return np.array([found.X_thresholds_, found.y_thresholds_])


def _correction(predicted: np.ndarray, curve: np.ndarray) -> np.ndarray:
    inside = np.clip(predicted, curve[0, 0], curve[0, -1])
    return np.asarray(np.interp(inside, *curve) - inside)
