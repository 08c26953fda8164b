"""Printed IR as rows of numbers: hashed n-grams of words, and sums of the sizes that stand in the text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any
from zlib import crc32

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ircost.cost_models.learned.text_tokens import EVERY_OP, Line, lines_of

Counted = dict[int, float]  # bucket -> how often its word stands in a text, or how large the sizes of its place are
BUCKETS = 2**20  # of hashes: a thousand tokens share one by a chance of 0.4 in all


class IrTextVectorizer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Texts of modules to a matrix [texts, columns], float32.

    A column is one bucket of hashes, so that no vocabulary is kept, and the same everywhere. Words and n-grams of ops
    are counted: ln(1 + count). Of sizes each place of each op has the binary logarithm of the sum over its lines, and
    of the largest; places of all ops together, too. The volume of a line, the root of the product of the elements of
    all its tensors, is m n k of a product of matrices.

    Args:
        longest: n-grams of ops are up to so long.
        fewest: texts that a column must differ from 0 in.
        most: columns, those of the most texts.
        has_sizes: without, numbers are words as well, as they are and by their octave: text alone.
    """

    def __init__(self, longest: int = 3, fewest: int = 3, most: int = 1500, has_sizes: bool = True) -> None:
        self.longest = longest
        self.fewest = fewest
        self.most = most
        self.has_sizes = has_sizes

    def fit(self, X: Iterable[str], y: Any = None) -> IrTextVectorizer:  # noqa: N803
        """Finds the columns.

        Args:
            X: printed modules.
        """
        self.fit_transform(X)
        return self

    def fit_transform(self, X: Iterable[str], y: Any = None) -> np.ndarray:  # noqa: N803
        """The same as ``fit``, and the matrix; texts are read once."""
        return self.fit_counted(self.counted(X))

    def transform(self, X: Iterable[str]) -> np.ndarray:  # noqa: N803
        """[texts, columns]; what was not met in fitting is left out."""
        check_is_fitted(self)
        return self.matrix_of(self.counted(X))

    def counted(self, X: Iterable[str]) -> list[Counted]:  # noqa: N803
        """What stands in each text, for those who fit many times: it depends on nothing that is fitted."""
        return [counted_text(text, self.longest, self.has_sizes) for text in checked_texts(X)]

    def fit_counted(self, found: Sequence[Counted]) -> np.ndarray:
        """Finds the columns, and gives the matrix."""
        counts = Counter(bucket for own in found for bucket in own)
        common = sorted((bucket for bucket, n in counts.items() if n >= self.fewest), key=lambda b: (-counts[b], b))
        self.buckets_ = np.sort(np.array(common[: self.most], dtype=np.int64))
        matrix = self.matrix_of(found)
        kept = distinct_columns(matrix)
        self.buckets_ = self.buckets_[kept]
        return matrix[:, kept]

    def matrix_of(self, found: Sequence[Counted]) -> np.ndarray:
        """[texts, columns] of texts that were counted."""
        lengths = [len(own) for own in found]
        rows = np.repeat(np.arange(len(found)), lengths)
        buckets = np.fromiter((bucket for own in found for bucket in own), np.int64, sum(lengths))
        values = np.fromiter((value for own in found for value in own.values()), np.float32, sum(lengths))
        known = np.isin(buckets, self.buckets_)
        matrix = np.zeros((len(found), len(self.buckets_)), dtype=np.float32)
        matrix[rows[known], np.searchsorted(self.buckets_, buckets[known])] = values[known]
        return matrix

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


def counted_text(text: str, longest: int = 3, has_sizes: bool = True) -> Counted:
    """What stands in a text: n-grams of up to so many ops, words, sizes."""
    words: Counter[str] = Counter()
    sums: dict[str, float] = {}
    largest: dict[str, float] = {}
    ops: list[str] = []
    for line in lines_of(text):
        words.update(line.words)
        if line.op != "constant":
            ops.append(line.op)
            words.update("|".join(ops[-length:]) for length in range(1, min(longest, len(ops)) + 1))
        for name, size in sizes_by_place(line):
            if has_sizes:
                sums[name] = sums.get(name, 0.0) + size
                largest[name] = max(largest.get(name, 0.0), size)
            else:
                words.update((f"{name}={size:.6g}", f"{name}~{int(octaves_of(size))}"))
    found = {bucket_of(word): float(np.log1p(count)) for word, count in words.items()}
    found |= {bucket_of(f"sum {name}"): octaves_of(size) for name, size in sums.items()}
    return found | {bucket_of(f"max {name}"): octaves_of(size) for name, size in largest.items()}


def sizes_by_place(line: Line) -> Iterable[tuple[str, float]]:
    """The sizes of a line by its op, and by any op; and its volume."""
    log_volume, tensors = 0.0, 0
    for name, size in line.sizes:
        yield name, abs(size)
        if line.op not in ("module", "constant"):
            yield EVERY_OP + name[len(line.op) :], abs(size)
        if name.endswith(".elements") and size:
            log_volume, tensors = log_volume + np.log2(size), tensors + 1
    if tensors > 1:
        volume = float(2.0 ** min(log_volume / 2, 1000.0))
        yield f"{line.op} volume", volume
        yield f"{EVERY_OP} volume", volume


def octaves_of(size: float) -> float:
    return float(np.log2(1.0 + size))


@lru_cache(maxsize=2**16)
def bucket_of(token: str) -> int:
    """A number that is the same in every process and on every machine."""
    return crc32(token.encode()) % BUCKETS


def distinct_columns(matrix: np.ndarray) -> np.ndarray:
    """Places of columns that say something: no two alike, none the same for all texts."""
    seen: set[bytes] = set()
    kept = []
    for place, column in enumerate(matrix.T):
        key = np.ascontiguousarray(column).tobytes()
        if key not in seen and (column != column[0]).any():
            seen.add(key)
            kept.append(place)
    return np.array(kept, dtype=np.int64)


def checked_texts(X: Any) -> list[str]:  # noqa: N803
    """Raises:
    ValueError: one text where a list of them belongs, or something that is no text.
    """
    if isinstance(X, str):
        raise ValueError("one text, where texts are expected: give a list")
    texts = list(X)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("texts of printed modules expected: see ircost.ir.printer.print_module")
    return texts
