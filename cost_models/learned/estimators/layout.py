"""Where things stand in a matrix of features, for estimators that treat sizes, words and times differently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ircost.cost_models.learned.columns import MACHINE_COLUMNS, SIZES, WORDS, size_column_name
from ircost.cost_models.learned.features import feature_names

# Sizes that say what is done, rather than how much of it.
KINDS_OF_WORK = frozenset(
    (
        *("groups", "direction", "is_winograd", "window", "is_causal", "ranks", "skew", "is_chunked", "op", "nodes"),
        *("is_bus", "has_switch_reduction"),
    )
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Places of columns, counted from 0.

    Args:
        features: how many columns there are.
        predicted: ln of the analytical model's seconds.
        sizes: ln of the sizes of the work (``columns.SIZES``). work: those of which more is more to do.
        machine: ln of figures of the machine; none where it is not to be told apart.
        words: numbers that stand for words (``columns.WORDS``), the machine's name last where it may be known.
    """

    features: int
    predicted: int
    sizes: tuple[int, ...]
    work: tuple[int, ...]
    machine: tuple[int, ...]
    words: tuple[int, ...]

    @classmethod
    def of(cls, family: str, sees_machine: bool) -> Layout:
        """That of the features of a family (``features.feature_names``)."""
        names = feature_names(family, sees_machine)
        count = len(WORDS) + sees_machine
        return cls(
            len(names),
            names.index("log_predicted"),
            tuple(names.index(size_column_name(name)) for name in SIZES[family]),
            tuple(names.index(size_column_name(name)) for name in SIZES[family] if name not in KINDS_OF_WORK),
            tuple(names.index(column.name) for column in MACHINE_COLUMNS) if sees_machine else (),
            tuple(range(len(names) - count, len(names))),
        )


def evenly(most: int, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """The same rows of arrays, at most so many, evenly drawn."""
    step = -(-len(arrays[0]) // most)
    return tuple(own[::step] for own in arrays)


def points_of(X: np.ndarray, sizes: Sequence[int] | None, words: Sequence[int]) -> np.ndarray:  # noqa: N803
    """[rows, sizes] the columns of sizes, or all that hold no words; zero where something is not known."""
    if sizes is None:
        sizes = [at for at in range(X.shape[1]) if at not in set(words)]
    return np.asarray(np.nan_to_num(X[:, list(sizes)]), dtype=float)


def met_words(words: np.ndarray) -> list[np.ndarray]:
    """The numbers that were met in each column, in order; NaN stands for none."""
    return [np.unique(column[~np.isnan(column)]) for column in words.T]


def one_hot(words: np.ndarray, met: Sequence[np.ndarray]) -> np.ndarray:
    """[rows, words met] 1 where a row has the word, else 0; words that were never met have no column."""
    parts = [column[:, None] == own[None, :] for column, own in zip(words.T, met, strict=True)]
    return np.concatenate([np.empty((len(words), 0), dtype=bool), *parts], axis=1).astype(np.float32)


def cells_of(words: np.ndarray, met: Sequence[np.ndarray]) -> np.ndarray:
    """[rows] equal for rows that share all words; -1 where one was never met."""
    found, is_known = np.zeros(len(words), dtype=np.int64), np.ones(len(words), dtype=bool)
    for column, own in zip(words.T, met, strict=True):
        at = np.searchsorted(own, column)
        is_met = at < len(own)
        is_met[is_met] = own[at[is_met]] == column[is_met]
        is_known &= is_met
        found = found * (len(own) + 1) + at
    return np.where(is_known, found, -1)
