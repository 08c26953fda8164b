"""Boosted trees that obey laws: more work is never faster, and a better machine never slower."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ircost.cost_models.learned.estimators.boosted import BoostedResidual
from ircost.cost_models.learned.estimators.kernel_regressor import KernelRegressor


class MonotoneTrees(KernelRegressor):
    """Trees of ln of the measured time that rise with some columns and fall with others.

    They see no other columns than those named here: whatever else changes with a size could bend the law. So they know
    less than ``BoostedResidual``, and are for where times must not fall as work grows, such as searches.

    Args:
        rising: columns with which predictions never fall. falling: with which they never rise.
        free: columns with which they may do either, such as words; all, if no column is named anywhere.
        predicted: column of ln of the predicted time, of which y is a correction; with None, y itself is learned.
        trees, leaves, learning_rate, bins: as of ``BoostedResidual``; bins are many, since times span six decades.
    """

    def __init__(
        self,
        rising: tuple[int, ...] = (),
        falling: tuple[int, ...] = (),
        free: tuple[int, ...] = (),
        predicted: int | None = None,
        trees: int = 300,
        leaves: int = 127,
        learning_rate: float = 0.1,
        bins: int = 1023,
    ) -> None:
        self.rising = rising
        self.falling = falling
        self.free = free
        self.predicted = predicted
        self.trees = trees
        self.leaves = leaves
        self.learning_rate = learning_rate
        self.bins = bins

    def fit(self, X: Any, y: Any) -> MonotoneTrees:  # noqa: N803
        """Args:
        X: [rows, features]; NaN where something is not known.
        y: [rows] what to predict.
        """
        X, y = self.learned_from(X, y, 2)  # noqa: N806
        columns = self._columns(X.shape[1])
        signs = tuple((at in self.rising) - (at in self.falling) for at in columns)
        trees = BoostedResidual(
            *(self.trees, self.leaves, self.learning_rate), bins=self.bins, refinements=0, monotonic_cst=signs
        )
        self.trees_ = trees.fit(X[:, columns], y if self.predicted is None else y + X[:, self.predicted])
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """[rows] predictions."""
        X = self.asked(X)  # noqa: N806
        found = self.trees_.predict(X[:, self._columns(X.shape[1])])
        return found if self.predicted is None else found - X[:, self.predicted]

    def state(self) -> dict[str, Any]:
        """As of ``FittedState``."""
        return self.trees_.state()

    def with_state(self, state: Mapping[str, Any], features: int) -> MonotoneTrees:
        """As of ``FittedState``."""
        self.n_features_in_ = features
        self.trees_ = BoostedResidual().with_state(state, len(self._columns(features)))
        return self

    def _columns(self, features: int) -> list[int]:
        return [*self.rising, *self.falling, *self.free] or [*range(features)]
