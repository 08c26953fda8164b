"""A cost model that reads printed IR as text: a scikit-learn regressor, no part of which knows what an op does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted, column_or_1d

from ircost.cost_models.learned.estimators.linear_trees import LinearTrees
from ircost.cost_models.learned.text_vectors import Counted, IrTextVectorizer


class IrTextRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Texts of printed modules to a number: hashed n-grams and the sizes that stand in the text, then boosted trees.

    Targets are best given as logarithms. Texts are those of `ircost.ir.printer.print_module`, without locations.

    Args:
        trees, leaves, least_rows, seed: as of ``LinearTrees``.
        longest, fewest, most, has_sizes: as of ``IrTextVectorizer``.
    """

    def __init__(
        self,
        trees: int = 400,
        leaves: int = 31,
        least_rows: int = 20,
        longest: int = 3,
        fewest: int = 3,
        most: int = 1500,
        has_sizes: bool = True,
        seed: int = 0,
    ) -> None:
        self.trees = trees
        self.leaves = leaves
        self.least_rows = least_rows
        self.longest = longest
        self.fewest = fewest
        self.most = most
        self.has_sizes = has_sizes
        self.seed = seed

    def fit(self, X: Iterable[str], y: Any) -> IrTextRegressor:  # noqa: N803
        """Args:
        X: printed modules.
        y: [modules] what to predict.

        Raises:
            ValueError: no texts, or no two that differ.
        """
        return self.fit_counted(self.counted(X), y)

    def predict(self, X: Iterable[str]) -> np.ndarray:  # noqa: N803
        """[modules] predictions."""
        check_is_fitted(self)
        return self.predict_counted(self.vectorizer_.counted(X))

    def counted(self, X: Iterable[str]) -> list[Counted]:  # noqa: N803
        """What stands in each text, for those who fit many times; it depends on no other text."""
        return self._vectorizer().counted(X)

    def fit_counted(self, found: Sequence[Counted], y: Any) -> IrTextRegressor:
        """As ``fit``, from ``counted`` texts."""
        y = column_or_1d(np.asarray(y, float))
        check_consistent_length(found, y)
        self.vectorizer_ = self._vectorizer()
        matrix = self.vectorizer_.fit_counted(found)
        self.trees_ = LinearTrees(self.trees, self.leaves, least_rows=self.least_rows, seed=self.seed).fit(matrix, y)
        return self

    def predict_counted(self, found: Sequence[Counted]) -> np.ndarray:
        """As ``predict``, from ``counted`` texts."""
        return self.trees_.predict(self.vectorizer_.matrix_of(found))

    def _vectorizer(self) -> IrTextVectorizer:
        return IrTextVectorizer(self.longest, self.fewest, self.most, self.has_sizes)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags
