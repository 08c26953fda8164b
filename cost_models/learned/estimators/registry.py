"""Estimators of corrections, by name: what ``irc train --estimator`` and ``irc evaluate --estimator`` take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from ircost.cost_models.learned.estimators.boosted import BoostedResidual
from ircost.cost_models.learned.estimators.layout import Layout
from ircost.cost_models.learned.stored_estimator import TREES
from ircost.ir.registry import Registry


class Estimator(Protocol):
    """What a scikit-learn regressor does."""

    def fit(self, X: Any, y: Any) -> Any:  # noqa: N803
        """Learns from [rows, features] and [rows]."""

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """[rows] of [rows, features]."""


# Makes an unfitted estimator for features that are laid out so. The second argument are unfitted boosted trees of the
# size that suits the family: to combine with, or to ignore.
EstimatorOf = Callable[[Layout, BoostedResidual], Any]


def _load_builtin() -> None:
    import ircost.cost_models.learned.estimators.all  # noqa: F401


ESTIMATORS: Registry[EstimatorOf] = Registry(
    "estimator", "ircost.estimators", listing="docs/estimators.md lists ours", load_builtin=_load_builtin
)


def register_estimator(name: str) -> Callable[[EstimatorOf], EstimatorOf]:
    """Makes an estimator known by a name, from a function of the layout of features."""
    return lambda function: ESTIMATORS.add(name, function)


def estimator_named(name: str, layout: Layout, trees: BoostedResidual) -> Estimator:
    """An unfitted estimator.

    Args:
        trees: what ``trees`` are, and others may build on.

    Raises:
        UnknownNameError: nobody registered one of that name.
    """
    return trees if name == TREES else ESTIMATORS.get(name)(layout, trees)


def estimator_names() -> list[str]:
    """All, ours and those of other packages."""
    return [TREES, *ESTIMATORS.names()]
