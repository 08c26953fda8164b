"""What estimators of ours share: the checks of what they are given, with NaN where something is not known."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

CHECKS = {"dtype": [np.float32, np.float64], "ensure_all_finite": "allow-nan"}


class KernelRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A scikit-learn regressor of [rows, features], any of which may be NaN."""

    def learned_from(self, X: Any, y: Any, fewest: int = 1) -> tuple[np.ndarray, np.ndarray]:  # noqa: N803
        """[rows, features] and [rows], checked, of so many rows at least.

        Raises:
            ValueError: they are not that.
        """
        X, y = validate_data(self, X, y, y_numeric=True, ensure_min_samples=fewest, **CHECKS)  # noqa: N806
        return X, y

    def asked(self, X: Any) -> np.ndarray:  # noqa: N803
        """[rows, features], checked, of a fitted one.

        Raises:
            NotFittedError, ValueError: it is none, or they are not that.
        """
        check_is_fitted(self)
        return np.asarray(validate_data(self, X, reset=False, **CHECKS))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
