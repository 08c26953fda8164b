"""Which words were met together: a runtime's kernels of one format say little of those of another on that machine."""

from __future__ import annotations

import numpy as np

from ircost.cost_models.learned.columns import WORDS

COLUMNS = len(WORDS) + 1  # the words of a kernel and its machine: the last columns of features
_MOST_WORDS = 4096  # of a kind


def combinations(features: np.ndarray) -> np.ndarray:
    """[combinations, words] places in the vocabulary of what rows share, each once, in order.

    Args:
        features: [rows, features] with the machine.
    """
    words = features[:, -COLUMNS:]
    found: np.ndarray = np.unique(words[~np.isnan(words).any(axis=1)].astype(np.int64), axis=0)
    return found


def is_combined_anew(features: np.ndarray, met: np.ndarray) -> np.ndarray:
    """[rows] whether all words and the machine were met, but never together.

    Args:
        features: [rows, features] with the machine; NaN for a word that was never met.
        met: as of ``combinations``.
    """
    words = features[:, -COLUMNS:]
    is_known = ~np.isnan(words).any(axis=1)
    codes = codes_of(np.where(is_known[:, None], words, 0).astype(np.int64))
    found: np.ndarray = is_known & ~np.isin(codes, codes_of(met))
    return found


def codes_of(words: np.ndarray) -> np.ndarray:
    """[rows] a number for each combination.

    Args:
        words: [rows, words] places in the vocabulary; at most five words.
    """
    found = np.zeros(len(words), dtype=np.int64)
    for column in words.T:
        found = found * _MOST_WORDS + column
    return found
