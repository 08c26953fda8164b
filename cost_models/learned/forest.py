"""Boosted trees asked about many kernels that are alike: what a box of features decides is decided once for all of it.

Rows are sorted so that neighbours are alike. The box around some hundreds of them leaves a few splits of each tree
open; those are asked of all its rows at a time, as bits. The sums are those of LightGBM's own walk through the trees,
row by row, but for the order in which they are added up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ircost.cost_models.learned.tree_text import tree_text

ROWS = (16384, 2048)  # of a box and of those within it: what the large one decides costs the small ones nothing
WORD = 64  # rows whose answers are the bits of one number
ALL = ~np.uint64(0)
MANY_ROWS = 256  # from which on boxes hold several rows
BLOCK = 32  # questions at a time: what is compared stays in the CPU's cache
NAN_IS_MISSING, LEFT = 8, 2  # bits of LightGBM's decision_type: where NaN has a side of its own, and which


@dataclass(frozen=True, slots=True)
class Questions:
    """Distinct splits; a row goes left where its feature is not above the threshold.

    Args:
        feature: [questions]. threshold: [questions] float32, as features are.
        takes_nan: [questions] NaN goes left, too.
        reads_nan: [features] NaN is NaN; else it is nought.
    """

    feature: np.ndarray
    threshold: np.ndarray
    takes_nan: np.ndarray
    reads_nan: np.ndarray

    def read(self, features: np.ndarray) -> np.ndarray:
        """[features, rows] of [rows, features]; the last row again and again up to a whole word."""
        rows = len(features)
        padded = np.concatenate([features, np.repeat(features[-1:], -rows % WORD, axis=0)])
        columns = np.ascontiguousarray(padded.T)
        nought = ~self.reads_nan & np.isnan(columns).any(axis=1)
        columns[nought] = np.nan_to_num(columns[nought], nan=0.0)
        return columns

    def sides(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[questions] whether any of these rows goes left, and right."""
        low, high = np.fmin.reduce(columns, axis=1)[self.feature], np.fmax.reduce(columns, axis=1)[self.feature]
        left, right = low <= self.threshold, high > self.threshold
        if (lacks := np.isnan(columns).any(axis=1)).any():
            left |= lacks[self.feature] & self.takes_nan
            right |= lacks[self.feature] & ~self.takes_nan
        return left, right

    def answers(self, columns: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """[asked, rows / 64] words of bits: which rows go left."""
        lacks = np.isnan(columns).any()
        found = np.empty((len(asked), columns.shape[1] // 8), dtype=np.uint8)
        for start in range(0, len(asked), BLOCK):
            own = asked[start : start + BLOCK]
            values = columns[self.feature[own]]
            left = values <= self.threshold[own, None]
            if lacks:
                left |= np.isnan(values) & self.takes_nan[own, None]
            found[start : start + BLOCK] = np.packbits(left, axis=1)
        return found.view(np.uint64)


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees as arrays; nodes are named by their place.

    The place behind the last node stands above all roots, and those beyond it are leaves.

    Args:
        question: [nodes] place in ``questions``.
        left, right: [nodes] the children.
        parent: [nodes]. is_right: [nodes] whether it is its parent's right child.
        value: [leaves].
        roots: the trees' first nodes, or leaves.
    """

    questions: Questions
    question: np.ndarray
    left: np.ndarray
    right: np.ndarray
    parent: np.ndarray
    is_right: np.ndarray
    value: np.ndarray
    roots: np.ndarray

    @staticmethod
    def of_text(text: str, features: int) -> Forest:
        """From LightGBM's text.

        Raises:
            ValueError, KeyError: as of ``tree_text``.
        """
        trees = tree_text(text, features)
        is_missing = (trees.kind & NAN_IS_MISSING) > 0
        takes_nan = is_missing & ((trees.kind & LEFT) > 0)
        threshold = rounded_down(trees.threshold)
        # One number for each distinct split: the feature, where NaN goes, and the bits of the threshold.
        split = (2 * trees.feature + takes_nan) << 32 | threshold.view(np.uint32)
        _, first, question = np.unique(split, return_index=True, return_inverse=True)
        reads_nan = np.zeros(features, dtype=bool)
        reads_nan[trees.feature[is_missing]] = True
        return Forest(
            Questions(trees.feature[first], threshold[first], takes_nan[first], reads_nan),
            *(question, trees.left, trees.right, *_parents(trees.left, trees.right)),
            trees.value,
            trees.roots,
        )

    def predict(self, features: np.ndarray) -> np.ndarray:
        """[rows] sums of all trees.

        Args:
            features: [rows, features] float32; rows whose first one is alike are taken to be alike.
        """
        return self.walked(features) if len(features) < MANY_ROWS else self.boxed(features)

    def boxed(self, features: np.ndarray) -> np.ndarray:
        """[rows] the same, box by box."""
        order = np.argsort(features[:, 0])
        found = np.empty(len(features))
        found[order] = self._sums(self.questions.read(features[order]), ROWS)[: len(features)]
        return found

    def walked(self, features: np.ndarray) -> np.ndarray:
        """[rows] the same, each row led through each tree: for so few rows that no box holds several."""
        questions, count = self.questions, len(self.question)
        known = np.where(~questions.reads_nan & np.isnan(features), np.float32(0.0), features)
        place = np.tile(self.roots, len(features))
        way = np.flatnonzero(place < count)
        while len(way):
            node = place[way]
            asked = self.question[node]
            value = known[way // len(self.roots), questions.feature[asked]]
            goes_left = (value <= questions.threshold[asked]) | (np.isnan(value) & questions.takes_nan[asked])
            place[way] = np.where(goes_left, self.left[node], self.right[node])
            way = way[place[way] < count]
        found: np.ndarray = self.value[place - count - 1].reshape(len(features), -1).sum(axis=1)
        return found

    def _sums(self, columns: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
        if not sizes:
            return self.summed(columns)
        size, *rest = sizes
        parts = (columns[:, start : start + size] for start in range(0, columns.shape[1], size))
        return np.concatenate([self.within(part)._sums(part, tuple(rest)) for part in parts])

    def within(self, columns: np.ndarray) -> Forest:
        """The same for these rows and all between them: only splits that part them are left.

        Args:
            columns: [features, rows].
        """
        count = len(self.question)
        left, right = (side[self.question] for side in self.questions.sides(columns))
        is_open = left & right
        place = np.arange(count + 1 + len(self.value))
        # Of a split that all rows take alike, the child that they take stands for it.
        place[:count] = np.where(is_open, place[:count], np.where(left, self.left, self.right))
        place = _ends(place)
        # Rows come by where each turn on the way is one that rows take.
        taken = np.append(np.where(self.is_right, _above(right, self.parent), _above(left, self.parent)), True)
        nodes = np.flatnonzero(is_open & _all_above(taken, self.parent)[:count])
        ends = place[np.concatenate([self.left[nodes], self.right[nodes], self.roots])]
        is_end = np.zeros(len(place), dtype=bool)
        is_end[ends] = True
        leaves = np.flatnonzero(is_end[count:]) + count
        fresh = np.empty_like(place)
        fresh[nodes] = np.arange(len(nodes))
        fresh[leaves] = np.arange(len(leaves)) + len(nodes) + 1
        left, right, roots = np.split(fresh[ends], (len(nodes), 2 * len(nodes)))
        value = self.value[leaves - count - 1]
        return Forest(self.questions, self.question[nodes], left, right, *_parents(left, right), value, roots)

    def summed(self, columns: np.ndarray) -> np.ndarray:
        """[rows] sums of all trees, every split asked of all rows.

        A tree's sum is the value that right turns alone lead to, and for each node that a row leaves to the left the
        difference that this makes.

        Args:
            columns: [features, rows].
        """
        count = len(self.question)
        ends = _ends(np.concatenate([self.right, np.arange(count, count + 1 + len(self.value))]))
        base = np.concatenate([np.zeros(count + 1), self.value])[ends]
        constant = base[self.roots].sum()
        if not count:
            return np.full(columns.shape[1], constant)
        is_asked = np.zeros(len(self.questions.feature), dtype=bool)
        is_asked[self.question] = True
        question = (np.cumsum(is_asked) - 1)[self.question]
        goes_left = self.questions.answers(columns, np.flatnonzero(is_asked))[question]
        comes = np.empty((count + 1, goes_left.shape[1]), dtype=np.uint64)
        comes[:count] = _above(goes_left, self.parent)
        comes[:count][self.is_right] ^= ALL
        comes[count] = ALL
        leaves_left = _all_above(comes, self.parent)[:count] & goes_left
        found: np.ndarray = _weighted(leaves_left, base[self.left] - base[self.right]) + constant
        return found


def _weighted(bits: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """[rows] sums of the weights of those nodes whose bits are set; most are set for few of the rows.

    Args:
        bits: [nodes, rows / 64] words.
    """
    words = np.ascontiguousarray(bits.T)
    found = np.empty((len(words), WORD))
    for sums, own, is_set in zip(found, words, words != 0, strict=True):
        (some,) = is_set.nonzero()
        sums[:] = weight[some] @ np.unpackbits(own[some].view(np.uint8).reshape(-1, 8), axis=1)
    return found.ravel()


def _parents(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each node its parent, and whether it is the right child."""
    count = len(left)
    parent, is_right = np.full(count, count), np.zeros(count, dtype=bool)
    for child, side in ((left, False), (right, True)):
        is_node = np.flatnonzero(child < count)
        parent[child[is_node]] = is_node
        is_right[child[is_node]] = side
    return parent, is_right


def _ends(following: np.ndarray) -> np.ndarray:
    """Where each place leads to in the end; the last ones lead to themselves."""
    while not np.array_equal(further := following[following], following):
        following = further
    return following


def _above(own: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """What is true of each node's parent; all is true above the roots."""
    found: np.ndarray = np.concatenate([own, np.full_like(own[:1], ALL if own.dtype == np.uint64 else True)])[parent]
    return found


def _all_above(own: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """What is true of each node and of all above it, by leaps that double; changes ``own``."""
    top = len(parent)
    leap = np.append(parent, top)
    while len(below := np.flatnonzero(leap != top)):
        own[below] &= own[leap[below]]
        leap = leap[leap]
    return own


def rounded_down(threshold: np.ndarray) -> np.ndarray:
    """The largest float32 that is not above: there is none between."""
    with np.errstate(over="ignore"):
        near = threshold.astype(np.float32)
        return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near)
