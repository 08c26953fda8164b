"""Boosted trees asked about many kernels that are alike: what a box of features decides is decided once for all of it.

The box around some hundreds of rows that are alike leaves a few splits of each tree open; those are asked of all its
rows at a time, as bits. The sums are those of LightGBM's own walk through the trees, row by row, but for the order in
which they are added up.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ircost.cost_models.learned.boxes import boxes
from ircost.cost_models.learned.questions import WORD, Questions, whole_words
from ircost.cost_models.learned.short_text import leaf_scale
from ircost.cost_models.learned.tree_text import TreeArrays

ROWS = 1500  # of a box at most: of more, more splits are open; of fewer, closing the others costs more
NEIGHBOURS = 4  # boxes, for which splits are closed together first
MANY_ROWS = 64  # from which on boxes hold several rows
WHOLE_F32 = 2**24  # up to which float32 holds all whole numbers
ALL = ~np.uint64(0)
NAN_IS_MISSING, LEFT = 8, 2  # bits of LightGBM's decision_type: where NaN has a side of its own, and which


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees as arrays; nodes are named by their place, those nearer to a root first.

    The place behind the last node stands above all roots, and those beyond it are leaves.

    Args:
        question: [nodes] place in ``questions``.
        left, right: [nodes] the children.
        parent: [nodes]. turn: [nodes + 1] its parent's place where it is the left child, as many places on where it
            is the right one, and twice as many where it has none.
        value: [leaves] whole numbers, whose sums are the same in any order. scale: what they are divided by.
        roots: the trees' first nodes, or leaves.
        levels: places of nodes, ascending: no node between two of them is above another.
    """

    questions: Questions
    question: np.ndarray
    left: np.ndarray
    right: np.ndarray
    parent: np.ndarray
    turn: np.ndarray
    value: np.ndarray
    scale: float
    roots: np.ndarray
    levels: tuple[int, ...]

    @staticmethod
    def of(trees: TreeArrays) -> Forest:
        """Of trees in whatever order."""
        is_missing = (trees.kind & NAN_IS_MISSING) > 0
        takes_nan = is_missing & ((trees.kind & LEFT) > 0)
        threshold = rounded_down(trees.threshold)
        # One number for each distinct split: the feature, where NaN goes, and the bits of the threshold.
        split = (2 * trees.feature + takes_nan) << 32 | threshold.view(np.uint32)
        _, first, question = np.unique(split, return_index=True, return_inverse=True)
        reads_nan = np.zeros(trees.features, dtype=bool)
        reads_nan[trees.feature[is_missing]] = True
        questions = Questions(trees.feature[first], threshold[first], takes_nan[first], reads_nan)
        depth = _depths(_parents(trees.left, trees.right)[0])
        order = np.argsort(depth, kind="stable")
        place = np.arange(len(order) + 1 + len(trees.value))
        place[order] = np.arange(len(order))
        levels = tuple(np.searchsorted(depth[order], np.arange(depth.max(initial=0) + 2)).tolist())
        left, right = place[trees.left[order]], place[trees.right[order]]
        scale, _ = leaf_scale(trees.value)
        return Forest(
            questions,
            question[order],
            *(left, right, *_parents(left, right)),
            np.rint(trees.value * scale),
            scale,
            place[trees.roots],
            levels,
        )

    def predict(self, features: np.ndarray) -> np.ndarray:
        """[rows] sums of all trees: the same for a row whatever other rows are asked with it.

        Args:
            features: [rows, features] float32.
        """
        return self.walked(features) if len(features) < MANY_ROWS else self.boxed(features)

    def boxed(self, features: np.ndarray) -> np.ndarray:
        """[rows] the same, box by box."""
        columns = self.questions.read(features)
        whole = self.within(columns)
        splits = np.bincount(whole.questions.feature[whole.question], minlength=len(columns))
        parts = list(boxes(columns, splits, ROWS))
        order = np.concatenate(parts)
        columns = np.take(columns, order, axis=1)
        ends = np.cumsum([0, *map(len, parts)]).tolist()
        sums = np.empty(len(order))
        for first in range(0, len(parts), NEIGHBOURS):
            own = ends[first : first + NEIGHBOURS + 1]
            forest = whole.within(columns[:, own[0] : own[-1]])
            for start, end in pairwise(own):
                part = columns[:, start:end]
                sums[start:end] = forest.within(part).summed(part)
        found = np.empty(len(order))
        found[order] = sums / self.scale
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
        return found / self.scale

    def within(self, columns: np.ndarray) -> Forest:
        """The same for these rows and all between them: only splits that part them are left.

        Args:
            columns: [features, rows].
        """
        count = len(self.question)
        left, right = (side[self.question] for side in self.questions.sides(columns))
        is_open = left & right
        nodes = np.flatnonzero(is_open & self._comes(np.concatenate([left, right, [True]])))
        # Of a split that all rows take alike, the child that they take stands for it.
        onward = np.where(left, self.left, self.right)
        is_passed = np.append(~is_open, np.zeros(1 + len(self.value), dtype=bool))
        ends = np.concatenate([self.left[nodes], self.right[nodes], self.roots])
        way = np.flatnonzero(is_passed[ends])
        while len(way):
            ends[way] = onward[ends[way]]
            way = way[is_passed[ends[way]]]
        is_end = np.zeros(len(is_passed), dtype=bool)
        is_end[ends] = True
        leaves = np.flatnonzero(is_end[count:]) + count
        fresh = np.empty(len(is_passed), dtype=int)
        fresh[nodes] = np.arange(len(nodes))
        fresh[leaves] = np.arange(len(leaves)) + len(nodes) + 1
        left, right, roots = np.split(fresh[ends], (len(nodes), 2 * len(nodes)))
        asked, question = _among(self.question[nodes], len(self.questions.feature))
        return Forest(
            self.questions.at(asked),
            question,
            *(left, right, *_parents(left, right)),
            self.value[leaves - count - 1],
            self.scale,
            roots,
            tuple(np.searchsorted(nodes, self.levels).tolist()),
        )

    def summed(self, columns: np.ndarray) -> np.ndarray:
        """[rows] sums of all trees, as whole numbers, every split asked of all rows.

        A tree's sum is the value that right turns alone lead to, and for each node that a row leaves to the left the
        difference that this makes.

        Args:
            columns: [features, rows].
        """
        count, rows = len(self.question), columns.shape[1]
        base = np.concatenate([np.zeros(count + 1), self.value])
        for end, start in pairwise(reversed(self.levels)):
            base[start:end] = base[self.right[start:end]]
        constant = base[self.roots].sum()
        if not count:
            return np.full(rows, constant)
        answers = self.questions.answers(whole_words(columns))
        taken = np.empty((2 * count + 1, answers.shape[1]), dtype=np.uint64)
        goes_left = np.take(answers, self.question, axis=0, out=taken[:count], mode="clip")  # else it is buffered
        np.invert(goes_left, out=taken[count:-1])
        taken[-1] = ALL
        leaves_left = self._comes(taken) & goes_left
        weight = base[self.left] - base[self.right]
        if np.abs(weight).sum() < WHOLE_F32:
            weight = weight.astype(np.float32)
        found: np.ndarray = _weighted(leaves_left, weight)[:rows] + constant
        return found

    def _comes(self, taken: np.ndarray) -> np.ndarray:
        """[nodes, ...] what is true of all turns on the way to a node.

        Args:
            taken: [2 * nodes + 1, ...] what is true of left turns, of right ones, and of what stands above all roots.
        """
        found: np.ndarray = taken[self.turn]
        for start, end in pairwise(self.levels):
            found[start:end] &= found[self.parent[start:end]]
        return found[:-1]


def _weighted(bits: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """[rows] sums of the weights of those nodes whose bits are set; most are set for few of the rows.

    Args:
        bits: [nodes, rows / 64] words.
    """
    words = np.ascontiguousarray(bits.T)
    found = np.empty((len(words), WORD))
    for sums, own, is_set in zip(found, words, words != 0, strict=True):
        (some,) = is_set.nonzero()
        sums[:] = weight[some] @ np.unpackbits(own[some].view(np.uint8)).reshape(-1, WORD)
    return found.ravel()


def _parents(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each node its parent, and the turn that leads to it (see ``Forest``)."""
    count = len(left)
    parent, turn = np.full(count, count), np.full(count + 1, 2 * count)
    for child, side in ((left, 0), (right, count)):
        is_node = np.flatnonzero(child < count)
        parent[child[is_node]] = is_node
        turn[child[is_node]] = is_node + side
    return parent, turn


def _depths(parent: np.ndarray) -> np.ndarray:
    """[nodes] how many are above each."""
    count = len(parent)
    leap, depth = np.append(parent, count), np.append(parent < count, False).astype(int)
    while (leap < count).any():
        depth += depth[leap]
        leap = leap[leap]
    return depth[:count]


def _among(places: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Those of so many places that are named, ascending, and which of these each is."""
    is_named = np.zeros(count, dtype=bool)
    is_named[places] = True
    return np.flatnonzero(is_named), (np.cumsum(is_named) - 1)[places]


def rounded_down(threshold: np.ndarray) -> np.ndarray:
    """The largest float32 that is not above: there is none between."""
    with np.errstate(over="ignore"):
        near = threshold.astype(np.float32)
        return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near)
