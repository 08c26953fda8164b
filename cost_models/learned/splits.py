"""Folds that keep together what is nearly one measurement: rows of one shape, one device, one framework."""

from __future__ import annotations

import numpy as np

from ircost.cost_models.learned.rows import Rows

SPLITS = ("shape", "device", "framework")
FOLDS = 4  # of shapes: every model sees three quarters of them


def folds_of(rows: Rows, split: str) -> list[np.ndarray]:
    """For each fold, which rows are held out: a mask. The same every time.

    Args:
        split: of ``shape`` there are four folds; each device and each framework is a fold of its own.
    """
    _, codes = np.unique(rows.group(split), return_inverse=True)
    count = int(codes.max(initial=-1)) + 1
    if split == "shape":
        order = np.random.default_rng(0).permutation(count)
        codes, count = order[codes] % FOLDS, min(FOLDS, count)
    return [codes == number for number in range(count)] if count > 1 else []
