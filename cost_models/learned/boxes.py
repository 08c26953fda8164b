"""Rows parted into boxes of their features, such that few splits part the rows of a box."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

TRIES = 8  # features that may part rows, those with the most splits first


def boxes(columns: np.ndarray, weight: np.ndarray, most: int, rows: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Places of rows, at most so many in a box: halved by one feature after another, as a k-d tree does.

    Source: Bentley, "Multidimensional binary search trees used for associative searching", CACM 18(9), 1975.

    Args:
        columns: [features, rows].
        weight: [features] how many splits there are of each; each cut takes half of them away.
    """
    rows = np.arange(columns.shape[1]) if rows is None else rows
    if len(rows) <= most:
        yield rows
        return
    for feature in np.argsort(-weight, kind="stable")[:TRIES].tolist():
        order = np.argsort(columns[feature, rows])
        cut = cut_of(columns[feature, rows[order]])
        if len(rows) <= 4 * cut <= 3 * len(rows):
            weight = np.where(np.arange(len(weight)) == feature, weight / 2, weight)
            break
    else:
        order, cut = np.arange(len(rows)), len(rows) // 2
    for part in (order[:cut], order[cut:]):
        yield from boxes(columns, weight, most, rows[part])


def cut_of(ascending: np.ndarray) -> int:
    """Where numbers change that is nearest to their middle.

    >>> cut_of(np.array([1, 2, 2, 2, 2, 3]))
    1
    """
    middle = len(ascending) // 2
    low, high = (int(np.searchsorted(ascending, ascending[middle], side)) for side in ("left", "right"))
    return low if middle - low <= high - middle else high
