"""Folds that keep together what is nearly one measurement: rows of one shape, one device, one framework."""

from __future__ import annotations

import numpy as np

from ircost.cost_models.learned.rows import Rows

SPLITS = ("shape", "device", "framework")  # besides any column of a table
FOLDS = 4  # of shapes: every model sees three quarters of them
MOST_GROUPS = 24  # each of which is a fold of its own; of more, folds are as of shapes


def folds_of(rows: Rows, split: str) -> list[np.ndarray]:
    """For each fold, which rows are held out: a mask. The same every time.

    Args:
        split: of ``shape`` there are four folds; each device and each framework is a fold of its own.
    """
    return folds_of_groups(rows.group(split), FOLDS if split == "shape" else None)


def folds_of_groups(group: np.ndarray, count: int | None = None) -> list[np.ndarray]:
    """Folds that keep rows of one group together; none where there is one group only.

    Args:
        group: [rows] numbers or words.
        count: folds; with None each group is one, or there are four of many groups.
    """
    _, codes = np.unique(group, return_inverse=True)
    groups = int(codes.max(initial=-1)) + 1
    if count is None:
        count = groups if groups <= MOST_GROUPS else FOLDS
    if count < groups:
        codes = np.random.default_rng(0).permutation(groups)[codes] % count
    else:
        count = groups
    return [codes == number for number in range(count)] if count > 1 else []
