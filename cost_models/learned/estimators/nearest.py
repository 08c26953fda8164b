"""Corrections of the nearest kernels that were measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from ircost.cost_models.learned.estimators.encoding import evenly, met_words, one_hot, points_of
from ircost.cost_models.learned.estimators.fitted_state import FittedState
from ircost.cost_models.learned.estimators.kernel_regressor import KernelRegressor


class NearestKernels(FittedState, KernelRegressor):
    """Mean of the nearest rows, weighted by one over their distance.

    Distance is that of logarithms of sizes. Another word (format, library, machine) is as far as a factor of
    ``exp(apart)`` in one size, so that rows with the same words come first.
    Source: Shepard, "A two-dimensional interpolation function for irregularly-spaced data", ACM National Conference
    1968.

    Args:
        neighbours: how many rows.
        sizes: columns of sizes; all that are no words, if None.
        words: columns of words.
        apart: distance between two words.
        near: distance within which rows count alike.
        most_rows: to remember; of more, evenly drawn ones.
    """

    FITTED = ("points_", "words_", "values_")

    def __init__(
        self,
        neighbours: int = 6,
        sizes: tuple[int, ...] | None = None,
        words: tuple[int, ...] = (),
        apart: float = 5.0,
        near: float = 0.1,
        most_rows: int = 200_000,
    ) -> None:
        self.neighbours = neighbours
        self.sizes = sizes
        self.words = words
        self.apart = apart
        self.near = near
        self.most_rows = most_rows

    def fit(self, X: Any, y: Any) -> NearestKernels:  # noqa: N803
        """Args:
        X: [rows, features]; NaN where something is not known.
        y: [rows] what to predict.
        """
        X, y = self.learned_from(X, y)  # noqa: N806
        X, y = evenly(self.most_rows, X, y)  # noqa: N806
        self.points_ = points_of(X, self.sizes, self.words)
        self.words_ = X[:, list(self.words)]
        self.values_ = np.asarray(y, dtype=float)
        return self._with_tree()

    def with_state(self, state: Mapping[str, Any], features: int) -> NearestKernels:
        """As of ``FittedState``."""
        return super().with_state(state, features)._with_tree()

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """[rows] predictions."""
        X = self.asked(X)  # noqa: N806
        count = min(self.neighbours, len(self.values_))
        asked = self._places(points_of(X, self.sizes, self.words), X[:, list(self.words)])
        distance, place = (found.reshape(len(X), count) for found in self.tree_.query(asked, count))
        weight = 1.0 / (distance + self.near)
        return np.asarray((weight * self.values_[place]).sum(axis=1) / weight.sum(axis=1))

    def _with_tree(self) -> NearestKernels:
        """The rows in a tree, so that the nearest are found without a look at all of them."""
        self.tree_ = cKDTree(self._places(self.points_, self.words_))
        return self

    def _places(self, points: np.ndarray, words: np.ndarray) -> np.ndarray:
        """[rows, axes] where rows are: rows with another word differ in two axes."""
        return np.concatenate([points, one_hot(words, met_words(self.words_)) * (self.apart / np.sqrt(2.0))], axis=1)
