"""Boosted trees whose leaves are straight lines: for targets that go on with sizes, where steps would stop."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from ircost.cost_models.learned.estimators.boosted import BoostedResidual
from ircost.cost_models.learned.tree_writing import NEEDED, compact_text

LINES = frozenset(("leaf_const", "num_features", "leaf_features", "leaf_coeff"))
FORMATS = {"leaf_value": ".7g", "leaf_const": ".9g", "leaf_coeff": ".9g", "threshold": ".9g"}


class LinearTrees(BoostedResidual):
    """Regression trees under squared error, each leaf a ridge regression on the features that lead to it.

    Of logarithms of sizes a line is a product of powers, which is what times, bytes and counts are made of. As text
    models of 12,000 rows each, shapes held out, constant leaves have a mean error of 18.0 % on products and 21.6 % on
    attention, lines 14.1 % and 19.1 %.
    Predictions stay within the range that was seen, widened by a tenth of it on each side: lines go on for ever.
    Source: Shi et al., "Gradient Boosting with Piece-Wise Linear Regression Trees", IJCAI 2019.

    Args:
        ridge: of the lines in leaves. Others as of ``BoostedResidual``.
    """

    def __init__(
        self,
        trees: int = 400,
        leaves: int = 31,
        learning_rate: float = 0.05,
        least_rows: int = 20,
        ridge: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__(trees, leaves, learning_rate, least_rows, seed=seed)
        self.ridge = ridge

    def fit(self, X: Any, y: Any) -> LinearTrees:  # noqa: N803
        """Args:
        X: [rows, features], finite.
        y: [rows] what to predict.
        """
        import lightgbm

        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2)  # noqa: N806
        parameters = {
            **{"objective": "l2", "num_leaves": self.leaves, "learning_rate": self.learning_rate},
            **{"min_data_in_leaf": self.least_rows, "feature_fraction": 0.7, "bagging_fraction": 0.8},
            **{"bagging_freq": 1, "lambda_l2": 1.0, "max_bin": 255, "seed": self.seed, "num_threads": 1},
            **{"linear_tree": True, "linear_lambda": self.ridge},
            **{"deterministic": True, "force_row_wise": True, "verbose": -1},
        }
        data = lightgbm.Dataset(X, y, params={"linear_tree": True})
        text = lightgbm.train(parameters, data, self.trees).model_to_string()
        self._take(compact_text(text, FORMATS, NEEDED | LINES))
        margin = 0.1 * float(np.ptp(y))
        self.range_ = float(y.min()) - margin, float(y.max()) + margin
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """[rows] predictions."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)  # noqa: N806
        return np.clip(self.booster_.predict(X, num_threads=1), *self.range_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = False
        return tags
