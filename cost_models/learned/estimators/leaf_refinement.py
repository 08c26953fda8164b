"""Leaves of boosted trees, fitted once more, all together.

Boosting fits each tree to what those before it leave, and none to what those after it do. With the splits as they
are, all leaves are one linear model; some passes over it lower the error on shapes held out (of products as much as
three times as many leaves would), and cost predictions nothing.

Source: Ren, Cao, Wei, Sun, "Global refinement of random forest", CVPR 2015. Here by block coordinate descent, a tree
at a time, under the loss of Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics
35(1), 1964.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import lightgbm

STEP = 0.3  # of the way to the best leaves of a tree, the others as they are
RIDGE = 100.0  # rows that say that a leaf is right as it is
ROWS = 2**15  # at a time: their numbers stay in a processor's cache
TREES = 20  # whose leaves are asked for at a time: LightGBM answers in numbers of four bytes


def refine_leaves(booster: lightgbm.Booster, X: np.ndarray, y: np.ndarray, passes: int) -> None:  # noqa: N803
    """Sets the leaves anew.

    Args:
        booster: trees of at most 65,536 leaves each, fitted to these rows.
        X: [rows, features]. y: [rows].
        passes: over all trees. Of none, leaves stay as they are.
    """
    if not passes or not booster.num_trees():
        return
    leaf = leaves_of(booster, X)
    before = [
        np.array([booster.get_leaf_output(tree, at) for at in range(int(own.max()) + 1)])
        for tree, own in enumerate(leaf)
    ]
    for tree, values in enumerate(refined(leaf, before, y, passes)):
        for at, value in enumerate(values):
            booster.set_leaf_output(tree, at, value)


def leaves_of(booster: lightgbm.Booster, X: np.ndarray) -> np.ndarray:  # noqa: N803
    """[trees, rows] the place of each row's leaf in each tree."""
    found = np.empty((booster.num_trees(), len(X)), dtype=np.uint16)
    for first in range(0, len(found), TREES):
        some = booster.predict(X, pred_leaf=True, start_iteration=first, num_iteration=TREES, num_threads=1)
        found[first : first + TREES] = np.asarray(some).reshape(len(X), -1).T
    return found


def refined(leaf: np.ndarray, values: Sequence[np.ndarray], y: np.ndarray, passes: int) -> list[np.ndarray]:
    """[leaves] of each tree: what they say, anew.

    Args:
        leaf: [trees, rows] the place of each row's leaf.
        values: [leaves] of each tree: what they say.
        y: [rows] what the sum of a row's leaves should be.
        passes: over all trees, each in an order of its own.
    """
    found = [own.copy() for own in values]
    error = y.astype(float)
    for own, at in zip(found, leaf, strict=True):
        error -= own[at]
    # Errors above their median pull no more than it does: what is left of the loss under which trees are grown.
    most = float(np.median(np.abs(error)))
    rows = [np.bincount(at, minlength=len(own)) for own, at in zip(found, leaf, strict=True)]
    draw = np.random.default_rng(0)
    last, change = 0, np.zeros_like(found[0])  # of the tree before, which errors do not know yet
    for tree in (tree for _ in range(passes) for tree in draw.permutation(len(found))):
        pull = np.zeros_like(found[tree])
        for first in range(0, len(error), ROWS):
            some = slice(first, first + ROWS)
            error[some] -= change[leaf[last, some]]
            pull += np.bincount(leaf[tree, some], np.clip(error[some], -most, most), len(pull))
        last, change = tree, STEP * pull / (rows[tree] + RIDGE)
        found[tree] += change
    return found
