"""Several estimators, each heard as far as it is right about groups that it did not see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.model_selection import GroupKFold

from ircost.cost_models.learned.estimators.fitted_state import state_of, with_state
from ircost.cost_models.learned.estimators.kernel_regressor import KernelRegressor
from ircost.cost_models.learned.estimators.linear import LinearCorrection


class StackedEstimators(KernelRegressor):
    """A mean of what estimators say, with weights.

    Weights are those that err least, absolutely, on groups that were left out in turn; then all learn from all rows.
    Source: Breiman, "Stacked regressions", Machine Learning 24, 1996.

    Args:
        members: unfitted estimators; ``LinearCorrection``, if None.
        folds: in which groups are left out, at most; with fewer groups than two all count alike.
    """

    def __init__(self, members: Sequence[Any] | None = None, folds: int = 4) -> None:
        self.members = members
        self.folds = folds

    def fit(self, X: Any, y: Any, groups: Any = None) -> StackedEstimators:  # noqa: N803
        """Args:
        X: [rows, features]; NaN where something is not known.
        y: [rows] what to predict.
        groups: [rows] equal for rows that are nearly one measurement; if None, each row is a group.
        """
        X, y = self.learned_from(X, y)  # noqa: N806
        members = self._members()
        groups = np.arange(len(X)) if groups is None else np.unique(groups, return_inverse=True)[1]
        count = min(self.folds, len(np.unique(groups)))
        self.weights_ = np.full(len(members), 1.0 / len(members))
        if count > 1:
            held = np.empty((len(X), len(members)))
            for inside, out in GroupKFold(count).split(X, y, groups):
                for at, member in enumerate(members):
                    held[out, at] = clone(member).fit(X[inside], y[inside]).predict(X[out])
            self.weights_ = least_absolute_weights(held, y)
        self.members_ = [clone(member).fit(X, y) for member in members]
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """[rows] predictions."""
        X = self.asked(X)  # noqa: N806
        return sum(
            (weight * member.predict(X) for weight, member in zip(self.weights_, self.members_, strict=True) if weight),
            np.zeros(len(X)),
        )

    def state(self) -> dict[str, Any]:
        """As of ``FittedState``."""
        return {"weights": self.weights_.tolist(), "members": [state_of(member) for member in self.members_]}

    def with_state(self, state: Mapping[str, Any], features: int) -> StackedEstimators:
        """As of ``FittedState``."""
        self.n_features_in_ = features
        self.weights_ = np.array([*map(float, state["weights"])])
        pairs = zip(self._members(), state["members"], strict=True)
        self.members_ = [with_state(clone(member), own, features) for member, own in pairs]
        if len(self.weights_) != len(self.members_) or not np.isfinite(self.weights_).all():
            raise ValueError(f"{len(self.members_)} weights expected, not {state['weights']}")
        return self

    def _members(self) -> list[Any]:
        return [LinearCorrection()] if self.members is None else [*self.members]


def least_absolute_weights(predictions: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[members] weights from 0 on that add up to 1, whose mean has the least absolute error.

    Args:
        predictions: [rows, members]. y: [rows].

    >>> told = np.array([[1.0, 9.0], [2.0, -7.0], [3.0, 5.0]])
    >>> least_absolute_weights(told, np.array([1.0, 2.0, 3.0])).round(3).tolist()
    [1.0, 0.0]
    """
    count = predictions.shape[1]
    found = minimize(
        lambda weights: np.abs(predictions @ weights - y).mean(),
        np.full(count, 1.0 / count),
        jac=lambda weights: np.sign(predictions @ weights - y) @ predictions / len(y),
        method="SLSQP",
        bounds=[(0.0, 1.0)] * count,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1.0, "jac": np.ones_like},
    )
    weights = np.clip(found.x, 0.0, None)
    return np.asarray(weights / weights.sum())
