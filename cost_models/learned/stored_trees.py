"""Estimators in files, read when they are first asked: a report asks few of all that there are."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from ircost.cost_models.learned.forest import Forest
from ircost.cost_models.learned.packing import unpacked
from ircost.cost_models.learned.short_text import lightgbm_text, trees_of_short_text
from ircost.cost_models.learned.tree_text import TreeArrays
from ircost.ir.errors import IrcError


class LearnedModelError(IrcError):
    """A folder holds no learned model."""


class Trees(Protocol):
    """Trees as predictions need them: fitted just now, or read from a file."""

    @property
    def text_(self) -> str:
        """LightGBM's text of them."""

    @property
    def arrays_(self) -> TreeArrays:
        """Their nodes and leaves."""

    def predict(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """[rows] of [rows, features]; NaN where something is not known."""


class Correcting(Protocol):
    """What tells corrections: trees, or another estimator."""

    def predict(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """[rows] of [rows, features]; NaN where something is not known."""


class StoredTrees:
    """Args:
    path: of their short text, packed.
    features: that the trees are asked with.
    digest: SHA-256 that the file was written with, where that is known.
    """

    def __init__(self, path: Path, features: int, digest: str | None = None) -> None:
        self.path = path
        self.features = features
        self.digest = digest

    @property
    def text_(self) -> str:
        """LightGBM's text of the trees, for LightGBM and for people.

        Raises:
            LearnedModelError: as of ``arrays_``.
        """
        return lightgbm_text(self.arrays_)

    @property
    def arrays_(self) -> TreeArrays:
        """Raises:
        LearnedModelError: the file is missing, another than was written, or holds no trees over so many features.
        """
        try:
            return trees_of_short_text(unpacked(self.path, self.digest), self.features)
        except (OSError, EOFError, ValueError, KeyError) as error:
            raise damaged(self.path, error) from error

    @cached_property
    def forest_(self) -> Forest:
        """Raises:
        LearnedModelError: as of ``arrays_``.
        """
        return Forest.of(self.arrays_)

    def predict(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """[rows] sums of all trees, as of float32 features.

        Raises:
            LearnedModelError: as of ``arrays_``.
        """
        return self.forest_.predict(np.asarray(X, dtype=np.float32))

    def check(self) -> None:
        """Reads them.

        Raises:
            LearnedModelError: as of ``arrays_``.
        """
        self.forest_  # noqa: B018


def damaged(path: Path, error: Exception) -> LearnedModelError:
    """What is said of a file that is not what it should be."""
    told = f"no {error}" if isinstance(error, KeyError) else f"{error}"
    return LearnedModelError(f"{path.parent} holds no learned model: {path.name}: {told}", help="irc train writes one")
