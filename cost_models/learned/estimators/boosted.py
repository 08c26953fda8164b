"""Boosted trees that learn what the analytical model leaves: a scikit-learn regressor around LightGBM."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from ircost.cost_models.learned.estimators.kernel_regressor import KernelRegressor
from ircost.cost_models.learned.estimators.leaf_refinement import refine_leaves
from ircost.cost_models.learned.forest import Forest
from ircost.cost_models.learned.tree_text import TreeArrays, tree_text
from ircost.cost_models.learned.tree_writing import compact_text, number_formats


class BoostedResidual(KernelRegressor):
    """Boosted regression trees under absolute error, so that outliers pull no more than others.

    Deterministic: one thread, fixed seeds, and predictions from the very text that is stored.

    With ``quantile`` they predict that quantile instead of the median; two of them are the ends of an interval.
    Source: Koenker, Bassett, "Regression quantiles", Econometrica 46(1), 1978.

    Args:
        trees: how many. leaves: of each, at most.
        learning_rate: share of each tree's correction that is kept.
        least_rows: in a leaf.
        bins: numbers that a column is told apart by, at most: the fewer, the fewer questions and bytes.
        refinements: passes over all leaves once the trees stand (see ``refine_leaves``).
        seed: of the rows and columns that each tree sees.
        monotonic_cst: for each column 1 where predictions must not fall with it, -1 where they must not rise, else 0
            (the name is scikit-learn's). Leaves that are refined would not keep that: needs ``refinements=0``.
        quantile: between 0 and 1; needs ``refinements=0``, too.
    """

    def __init__(
        self,
        trees: int = 300,
        leaves: int = 31,
        learning_rate: float = 0.1,
        least_rows: int = 20,
        bins: int = 255,
        refinements: int = 6,
        seed: int = 0,
        monotonic_cst: tuple[int, ...] | None = None,
        quantile: float | None = None,
    ) -> None:
        self.trees = trees
        self.leaves = leaves
        self.learning_rate = learning_rate
        self.least_rows = least_rows
        self.bins = bins
        self.refinements = refinements
        self.seed = seed
        self.monotonic_cst = monotonic_cst
        self.quantile = quantile

    def fit(self, X: Any, y: Any) -> BoostedResidual:  # noqa: N803
        """Args:
        X: [rows, features]; NaN where something is not known.
        y: [rows] what to predict.

        Raises:
            ValueError: leaves would be refined in spite of a constraint or quantile.
        """
        import lightgbm

        if self.refinements and (self.monotonic_cst is not None or self.quantile is not None):
            raise ValueError("monotonic_cst and quantile need refinements=0: refined leaves keep neither")
        X, y = self.learned_from(X, y, 2)  # noqa: N806
        parameters: dict[str, Any] = {
            **{"objective": "l1", "num_leaves": self.leaves, "learning_rate": self.learning_rate},
            **{"min_data_in_leaf": self.least_rows, "feature_fraction": 0.7, "bagging_fraction": 0.8},
            **{"bagging_freq": 1, "lambda_l2": 1.0, "max_bin": self.bins, "seed": self.seed, "num_threads": 1},
            **{"deterministic": True, "force_row_wise": True, "verbose": -1},
        }
        if self.quantile is not None:
            parameters |= {"objective": "quantile", "alpha": self.quantile}
        if self.monotonic_cst is not None:
            parameters |= {"objective": "l2", "monotone_constraints": [*self.monotonic_cst]}
        data = lightgbm.Dataset(X, y)
        booster = lightgbm.train(parameters, data, self.trees)
        refine_leaves(booster, X, y, self.refinements)
        self._take(compact_text(booster.model_to_string(), number_formats(y)))
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """[rows] predictions."""
        X = self.asked(X)  # noqa: N806
        if X.dtype != np.float32:
            return np.asarray(self.booster_.predict(X, num_threads=1))
        return self.forest_.predict(X)

    @classmethod
    def of_text(cls, text: str, features: int, **parameters: Any) -> BoostedResidual:
        """A fitted one, from the text of its trees.

        Raises:
            lightgbm.basic.LightGBMError: it is none.
        """
        found = cls(**parameters)
        found._take(text)
        found.n_features_in_ = features
        return found

    def state(self) -> dict[str, Any]:
        """As of ``FittedState``."""
        return {"text": self.text_}

    def with_state(self, state: Mapping[str, Any], features: int) -> BoostedResidual:
        """As of ``FittedState``."""
        tree_text(state["text"], features)  # whatever it says, LightGBM is given no text that leads it astray
        self._take(state["text"])
        self.n_features_in_ = features
        return self

    def _take(self, text: str) -> None:
        import lightgbm

        self.text_ = text
        self.booster_ = lightgbm.Booster(model_str=text)
        self.__dict__.pop("forest_", None)

    @cached_property
    def forest_(self) -> Forest:
        """The same trees, as files of them are asked."""
        return Forest.of(self.arrays_)

    @property
    def arrays_(self) -> TreeArrays:
        """The trees, as files of them hold them."""
        return tree_text(self.text_, self.n_features_in_)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name not in ("booster_", "forest_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "text_" in state:
            self._take(state["text_"])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = False
        return tags
