"""The splits of trees as questions about rows, asked of many at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WORD = 64  # rows whose answers are the bits of one number


@dataclass(frozen=True, slots=True)
class Questions:
    """Distinct splits, by their feature; a row goes left where its feature is not above the threshold.

    Args:
        feature: [questions], ascending. threshold: [questions] float32, as features are.
        takes_nan: [questions] NaN goes left, too.
        reads_nan: [features] NaN is NaN; else it is zero.
    """

    feature: np.ndarray
    threshold: np.ndarray
    takes_nan: np.ndarray
    reads_nan: np.ndarray

    def read(self, features: np.ndarray) -> np.ndarray:
        """[features, rows] of [rows, features]."""
        columns = np.ascontiguousarray(features.T)
        zero = ~self.reads_nan & np.isnan(columns).any(axis=1)
        if zero.any():
            columns = columns.copy()  # it may be the caller's
            columns[zero] = np.nan_to_num(columns[zero], nan=0.0)
        return columns

    def at(self, places: np.ndarray) -> Questions:
        """Some of them, in their order."""
        return Questions(self.feature[places], self.threshold[places], self.takes_nan[places], self.reads_nan)

    def sides(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[questions] whether any of these rows goes left, and right."""
        low, high = np.minimum.reduce(columns, axis=1), np.maximum.reduce(columns, axis=1)
        if (lacks := np.isnan(low)).any():
            low[lacks], high[lacks] = np.fmin.reduce(columns[lacks], axis=1), np.fmax.reduce(columns[lacks], axis=1)
        left, right = low[self.feature] <= self.threshold, high[self.feature] > self.threshold
        left |= lacks[self.feature] & self.takes_nan
        right |= lacks[self.feature] & ~self.takes_nan
        return left, right

    def answers(self, columns: np.ndarray) -> np.ndarray:
        """[questions, rows / 64] words of bits: which rows go left.

        Args:
            columns: [features, rows], the rows some whole words.
        """
        found = np.empty((len(self.feature), columns.shape[1] // 8), dtype=np.uint8)
        lacks = np.isnan(np.minimum.reduce(columns, axis=1))
        edges = np.flatnonzero(np.diff(self.feature)) + 1
        for start, end in zip((0, *edges.tolist()), (*edges.tolist(), len(self.feature)), strict=True):
            feature = self.feature[start]
            left = columns[feature] <= self.threshold[start:end, None]
            if lacks[feature]:
                left |= np.isnan(columns[feature]) & self.takes_nan[start:end, None]
            found[start:end] = np.packbits(left, axis=1)
        return found.view(np.uint64)


def whole_words(columns: np.ndarray) -> np.ndarray:
    """[features, rows] with the last row again and again up to a whole word."""
    lacking = -columns.shape[1] % WORD
    return np.concatenate([columns, np.repeat(columns[:, -1:], lacking, axis=1)], axis=1) if lacking else columns
