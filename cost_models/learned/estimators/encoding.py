"""Rows of features as points in the space of sizes, and words as columns and cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


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
