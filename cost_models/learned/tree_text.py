"""LightGBM's text as arrays, read all trees at once, and checked: whoever wrote it, no number leads astray."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

DECISIONS = (0, 2, 8, 10)  # numbers; NaN is zero or goes to a side of its own
LETTERS = {int: b"0123456789- ", float: b"0123456789+-.einf "}  # a threshold is without end where NaN alone goes right
MOST_LEAVES = 131_072  # of a tree. Source: LightGBM's documentation of `num_leaves`, which takes no more
END = 7  # behind the last number: what reads up to here has read all


@dataclass(frozen=True, slots=True)
class TreeArrays:
    """Trees one behind the other.

    Args:
        features: that they may ask.
        nodes: [trees] how many of each; leaves are one more.
        feature, threshold, kind: [all nodes]; ``kind`` is LightGBM's decision_type.
        left, right: [all nodes] the place of a child among all nodes, or of a leaf behind these and one more place.
        value: [all leaves].
    """

    features: int
    nodes: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    kind: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray

    @property
    def roots(self) -> np.ndarray:
        """[trees] places of first nodes, or of leaves that stand alone."""
        return np.where(self.nodes > 0, *starts_of(self.nodes))


def tree_text(text: str, features: int, is_linear: bool = False) -> TreeArrays:
    """Trees over so many features.

    Args:
        is_linear: leaves are straight lines in some features, which are checked only.

    Raises:
        ValueError, KeyError: something is missing, no finite number or out of range, or a tree ends in a loop.
    """
    head, *blocks = text.partition("\nend of trees")[0].split("\nTree=")
    _check_head(fields(head), features)
    trees = [fields(block) for block in blocks]
    nodes = np.array([int(tree["num_leaves"]) - 1 for tree in trees], dtype=np.int64)
    if not len(nodes) or nodes.min() < 0:
        raise ValueError("trees with leaves expected")
    for number, tree in enumerate(trees):
        if int(tree.get("num_cat", "0")) or bool(int(tree.get("is_linear", "0"))) != is_linear:
            raise ValueError(f"tree {number} is of a kind that irc train does not write")
        if is_linear:
            _check_lines(tree, int(nodes[number]) + 1, features)
    grown = [tree for tree, count in zip(trees, nodes, strict=True) if count]

    def column(name: str, kind: type) -> np.ndarray:
        return _of_lines(name, [tree[name] for tree in grown], nodes[nodes > 0], kind)

    found = TreeArrays(
        features,
        nodes,
        column("split_feature", int),
        column("threshold", float),
        column("decision_type", int),
        _places(column("left_child", int), nodes),
        _places(column("right_child", int), nodes),
        _of_lines("leaf_value", [tree["leaf_value"] for tree in trees], nodes + 1, float),
    )
    _check_shape(checked_trees(found))
    return found


def checked_trees(found: TreeArrays) -> TreeArrays:
    """Raises:
    ValueError: a number is not finite or out of range, or a tree is larger than any that is grown.
    """
    if found.nodes.max(initial=0) >= MOST_LEAVES:
        raise ValueError(f"a tree of {found.nodes.max() + 1:,} leaves, {MOST_LEAVES:,} at most")
    if not np.isfinite(found.value).all():
        raise ValueError("a leaf has no finite value")
    if not np.isin(found.kind, DECISIONS).all():
        raise ValueError("a tree is of a kind that irc train does not write")
    if len(found.feature) and not 0 <= found.feature.min() <= found.feature.max() < found.features:
        raise ValueError(f"splits of features beyond the {found.features} that there are")
    return found


def fields(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.split("\n") if "=" in line)


def _check_head(head: Mapping[str, str], features: int) -> None:
    """Raises:
    ValueError, KeyError: predictions are no plain sums of one tree after another, over so many features.
    """
    expected = {"num_class": "1", "num_tree_per_iteration": "1", "max_feature_idx": str(features - 1)}
    for name, value in expected.items():
        if head[name] != value:
            raise ValueError(f"{name} is {head[name]}, {value} expected")
    if not head["objective"].startswith(("regression", "quantile")) or "sqrt" in head["objective"]:
        raise ValueError(f"objective {head['objective']} is of a kind that irc train does not write")


def _of_lines(name: str, lines: Sequence[str], counts: np.ndarray, kind: type) -> np.ndarray:
    """The numbers of all trees' lines: of each line so many.

    Raises:
        ValueError: there are not, or a word is no number.
    """
    for line, count in zip(lines, counts.tolist(), strict=True):
        if line.count(" ") != count - 1:
            raise ValueError(f"{name}: {count} numbers expected, {line.count(' ') + 1} found")
    return numbers(name, lines, int(counts.sum()), kind)


def numbers(name: str, lines: Sequence[str], count: int, kind: type) -> np.ndarray:
    """All numbers of some lines: so many.

    Raises:
        ValueError: there are not, or a word is no number.
    """
    text = " ".join((*lines, str(END)))
    if text.encode().translate(None, LETTERS[kind]):
        raise ValueError(f"{name}: not all words are numbers")
    try:
        found: np.ndarray = np.fromstring(text, dtype=np.dtype(kind), sep=" ")
    except DeprecationWarning as error:  # where warnings are errors
        raise ValueError(f"{name}: {error}") from error
    if not len(found) or found[-1] != END or np.isnan(found).any():
        raise ValueError(f"{name}: not all words are numbers")
    if len(found) != count + 1:
        raise ValueError(f"{name}: {count} numbers expected, {len(found) - 1} found")
    return found[:-1]


def starts_of(nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[trees] places of the first node and of the first leaf."""
    starts = np.cumsum(nodes) - nodes
    return starts, nodes.sum() + 1 + starts + np.arange(len(nodes))


def _places(child: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """Raises:
    ValueError: a child is none of its tree.
    """
    if (child >= np.repeat(nodes, nodes)).any() or (~child >= np.repeat(nodes + 1, nodes)).any():
        raise ValueError("a tree has children that do not fit its leaves")
    starts, leaf_starts = (np.repeat(column, nodes) for column in starts_of(nodes))
    found: np.ndarray = np.where(child >= 0, child + starts, ~child + leaf_starts)
    return found


def _check_shape(trees: TreeArrays) -> None:
    """Raises:
    ValueError: a node or leaf has no parent or two, or a node comes before its parent.
    """
    count = len(trees.left)
    parents = np.bincount(np.concatenate([trees.left, trees.right]), minlength=count + 1 + len(trees.value))
    parents[trees.roots] += 1
    if (np.delete(parents, count) != 1).any():
        raise ValueError("not a tree: a node has no parent, or two")
    place = np.arange(count)
    if (trees.left <= place).any() or (trees.right <= place).any():
        raise ValueError("not a tree: a node comes before its parent")


def _check_lines(tree: Mapping[str, str], leaves: int, features: int) -> None:
    """LightGBM trusts the numbers in its files: features out of range would read beyond its memory.

    Raises:
        ValueError: the leaves' constants, features or coefficients are not as many as they say, or out of range.
    """
    counts = [int(x) for x in tree["num_features"].split()]
    own = [int(x) for x in tree["leaf_features"].split()]
    numbers = [[float(x) for x in tree[name].split()] for name in ("leaf_const", "leaf_coeff")]
    if (len(counts), len(numbers[0])) != (leaves, leaves) or min(counts) < 0:
        raise ValueError(f"{leaves} leaves have {len(numbers[0])} constants and {len(counts)} counts of features")
    if not len(own) == len(numbers[1]) == sum(counts) or not all(0 <= feature < features for feature in own):
        raise ValueError(f"{sum(counts)} features of leaves expected, there are {len(own)}")
    if not all(map(math.isfinite, (*numbers[0], *numbers[1]))):
        raise ValueError("a leaf is not a number")
