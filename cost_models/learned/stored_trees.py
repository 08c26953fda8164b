"""Trees in a file, read when they are first asked: a report asks few of all that there are."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from ircost.cost_models.learned.forest import Forest
from ircost.cost_models.learned.packing import unpacked
from ircost.ir.errors import IrcError


class LearnedModelError(IrcError):
    """A folder holds no learned model."""


class Trees(Protocol):
    """Trees as predictions need them: fitted just now, or read from a file."""

    @property
    def text_(self) -> str:
        """LightGBM's text of them."""

    def predict(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """[rows] of [rows, features]; NaN where something is not known."""


class StoredTrees:
    """Args:
    path: of LightGBM's text, packed.
    features: that the trees are asked with.
    """

    def __init__(self, path: Path, features: int) -> None:
        self.path = path
        self.features = features

    @property
    def text_(self) -> str:
        """Raises:
        LearnedModelError: the file is missing, or no text.
        """
        try:
            return unpacked(self.path)
        except (OSError, EOFError, ValueError) as error:
            raise self._damaged(error) from error

    @cached_property
    def forest_(self) -> Forest:
        """Raises:
        LearnedModelError: the file holds no trees over so many features.
        """
        try:
            return Forest.of_text(self.text_, self.features)
        except (ValueError, KeyError) as error:
            raise self._damaged(error) from error

    def predict(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """[rows] sums of all trees, as of float32 features.

        Raises:
            LearnedModelError: as of ``forest_``.
        """
        return self.forest_.predict(np.asarray(X, dtype=np.float32))

    def _damaged(self, error: Exception) -> LearnedModelError:
        told = f"no {error}" if isinstance(error, KeyError) else f"{error}"
        return LearnedModelError(
            f"{self.path.parent} holds no learned model: {self.path.name}: {told}", help="irc train writes one"
        )
