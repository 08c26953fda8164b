"""Boosted trees that learn what the analytical model leaves: a scikit-learn regressor around LightGBM."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from ircost.cost_models.learned.forest import Forest

# What prediction needs of a tree's text; statistics of the training rows are left out.
NEEDED = frozenset(
    (
        *("Tree", "num_leaves", "num_cat", "split_feature", "threshold", "decision_type", "left_child", "right_child"),
        *("leaf_value", "is_linear", "shrinkage", "version", "num_class", "num_tree_per_iteration", "label_index"),
        *("max_feature_idx", "objective", "feature_names", "feature_infos"),
    )
)
THRESHOLD = ".6g"  # values that lie as near to each other are alike
LEAF_DECIMALS = 4  # at least; more where what is learned spreads by less than a tenth


class BoostedResidual(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Regression trees under absolute error, so that outliers pull no more than others.

    Deterministic: one thread, fixed seeds, and predictions from the very text that is stored.

    Args:
        trees: how many. leaves: of each, at most.
        learning_rate: share of each tree's correction that is kept.
        least_rows: in a leaf.
        seed: of the rows and columns that each tree sees.
    """

    def __init__(
        self, trees: int = 300, leaves: int = 31, learning_rate: float = 0.1, least_rows: int = 20, seed: int = 0
    ) -> None:
        self.trees = trees
        self.leaves = leaves
        self.learning_rate = learning_rate
        self.least_rows = least_rows
        self.seed = seed

    def fit(self, X: Any, y: Any) -> BoostedResidual:  # noqa: N803
        """Args:
        X: [rows, features]; NaN where something is not known.
        y: [rows] what to predict.
        """
        import lightgbm

        X, y = validate_data(  # noqa: N806
            self,
            *(X, y),
            dtype=[np.float32, np.float64],
            ensure_all_finite="allow-nan",
            y_numeric=True,
            ensure_min_samples=2,
        )
        parameters = {
            **{"objective": "l1", "num_leaves": self.leaves, "learning_rate": self.learning_rate},
            **{"min_data_in_leaf": self.least_rows, "feature_fraction": 0.7, "bagging_fraction": 0.8},
            **{"bagging_freq": 1, "lambda_l2": 1.0, "max_bin": 255, "seed": self.seed, "num_threads": 1},
            **{"deterministic": True, "force_row_wise": True, "verbose": -1},
        }
        data = lightgbm.Dataset(X, y)
        self._take(compact_text(lightgbm.train(parameters, data, self.trees).model_to_string(), number_formats(y)))
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """[rows] predictions."""
        check_is_fitted(self)
        X = validate_data(  # noqa: N806
            self, X, dtype=[np.float32, np.float64], ensure_all_finite="allow-nan", reset=False
        )
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

    def _take(self, text: str) -> None:
        import lightgbm

        self.text_ = text
        self.booster_ = lightgbm.Booster(model_str=text)
        self.__dict__.pop("forest_", None)

    @cached_property
    def forest_(self) -> Forest:
        """The same trees, as files of them are asked."""
        return Forest.of_text(self.text_, self.n_features_in_)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name not in ("booster_", "forest_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "text_" in state:
            self._take(state["text_"])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.non_deterministic = False
        return tags


def number_formats(y: np.ndarray) -> dict[str, str]:
    """How the numbers of trees that learn y are written: hundreds of leaves err by a thousandth of its spread or two.

    >>> number_formats(np.array([-0.3, 0.3]))["leaf_value"]
    '.4f'
    """
    spread = float(np.std(y))
    decimals = LEAF_DECIMALS - 1 - int(np.floor(np.log10(spread))) if spread > 0 else 0
    return {"leaf_value": f".{max(decimals, LEAF_DECIMALS)}f", "threshold": THRESHOLD}


def compact_text(text: str, formats: Mapping[str, str], needed: Collection[str] = NEEDED) -> str:
    """The text of a LightGBM model with what prediction needs, numbers rounded: a quarter of its size.

    Args:
        formats: of the numbers of a line, by its key. needed: keys of the lines that are kept.
    """
    kept = []
    for line in text.partition("end of trees")[0].splitlines():
        key, is_pair, value = line.partition("=")
        if not is_pair:
            kept.append(line)
        elif key in needed:
            kept.append(f"{key}={_rounded(value, formats[key]) if key in formats else value}")
    return "\n".join((*kept, "end of trees", ""))


def _rounded(numbers: str, form: str) -> str:
    return " ".join(f"{float(number):{form}}" for number in numbers.split())
