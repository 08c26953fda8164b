"""Estimators other than trees in a file: JSON, packed, read when they are first asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ircost.cost_models.learned.estimators.fitted_state import restored, state_of, with_state
from ircost.cost_models.learned.estimators.layout import Layout
from ircost.cost_models.learned.estimators.table_rows import TableRows
from ircost.cost_models.learned.packing import unpacked
from ircost.cost_models.learned.stored_trees import LearnedModelError, damaged
from ircost.ir.json_document import parse_json

TREES = "trees"  # the estimator that is stored otherwise (``stored_trees``)
ROWS = "interpolation"  # the one that bundled models have, which therefore is asked without scikit-learn


class StoredEstimator:
    """Args:
    path: of its text, packed.
    name: by which it is registered.
    layout: of the features that it is asked with.
    digest: SHA-256 that the file was written with, where that is known.
    """

    def __init__(self, path: Path, name: str, layout: Layout, digest: str | None = None) -> None:
        self.path = path
        self.name = name
        self.layout = layout
        self.digest = digest

    @cached_property
    def estimator_(self) -> Any:
        """The fitted one.

        Raises:
            LearnedModelError: the file is missing, another than was written, or holds no such estimator.
            UnknownNameError: nobody registered an estimator of that name.
        """
        try:
            plain = parse_json(unpacked(self.path, self.digest).encode())
            found = _rows(plain) if self.name == ROWS else _fitted(self.name, self.layout, plain)
            found.predict(np.zeros((1, self.layout.features), dtype=np.float32))
        except (OSError, EOFError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise damaged(self.path, error) from error
        return found

    def predict(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """[rows] corrections, as of float32 features.

        Raises:
            LearnedModelError, UnknownNameError: as of ``estimator_``.
        """
        found: np.ndarray = self.estimator_.predict(np.asarray(X, dtype=np.float32))
        return found

    def check(self) -> None:
        """Reads it; raises as ``estimator_`` does."""
        self.estimator_  # noqa: B018


def _rows(plain: Mapping[str, Any]) -> TableRows:
    points, words, values = (restored(plain["fitted"][name]) for name in ("points_", "words_", "values_"))
    if not len(points) == len(words) == len(values) > 0:
        raise ValueError(f"{len(points)} points, {len(words)} rows of words and {len(values)} values are no table")
    if not (np.isfinite(points).all() and np.isfinite(values).all()):
        raise ValueError("a point or value is no number")
    names = ("neighbours", "smoothing", "sizes", "words", "predicted")
    return TableRows(points, words, values, *(plain["parameters"][name] for name in names))


def _fitted(name: str, layout: Layout, plain: Mapping[str, Any]) -> Any:
    from ircost.cost_models.learned.estimators.boosted import BoostedResidual
    from ircost.cost_models.learned.estimators.registry import estimator_named

    return with_state(estimator_named(name, layout, BoostedResidual()), plain, layout.features)


def text_of(estimator: Any, name: str) -> str:
    """A fitted estimator as JSON.

    Args:
        name: by which it is registered, for the message.

    Raises:
        LearnedModelError: it cannot be stored.
    """
    if isinstance(estimator, StoredEstimator):
        return unpacked(estimator.path, estimator.digest)
    stored = estimator
    if not hasattr(stored, "state"):
        raise LearnedModelError(
            f"estimator {name} cannot be stored: {type(stored).__name__} has no method 'state'",
            help="derive it from FittedState; irc evaluate --estimator takes it as it is",
        )
    return json.dumps(state_of(stored), allow_nan=False)
