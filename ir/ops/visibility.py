"""Which keys a query sees: all, those up to its own position, those near to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ircost.ir.graph import Value
from ircost.ir.ops.constant import constant_of, iota
from ircost.ir.ops.elementwise import abs, greater_equal, less_equal, logical_and, sub
from ircost.ir.types import TensorType, i32


@dataclass(frozen=True, slots=True)
class Visibility:
    """A band of the scores. Query i of m stands at key n - m + i: the last query beside the last key.

    Args:
        queries, keys: m and n.
        is_causal: no key behind a query's own position is seen.
        window: of those the last so many are seen, the own one included; where not causal, all that are at most
            window // 2 away. 0: no limit.
    """

    queries: int
    keys: int
    is_causal: bool
    window: int

    @property
    def is_all(self) -> bool:
        """Whether every query sees every key."""
        return self.pairs == self.queries * self.keys

    @property
    def ahead(self) -> int:
        """How far behind its own position a query sees."""
        if self.is_causal:
            return 0
        return self.window // 2 if self.window else self.keys + self.queries

    @property
    def back(self) -> int:
        """How far before its own position it sees."""
        if not self.window:
            return self.keys + self.queries
        return self.window - 1 if self.is_causal else self.window // 2

    @property
    def pairs(self) -> int:
        """Pairs of a query and a key that it sees.

        >>> Visibility(3, 5, True, 0).pairs, Visibility(3, 5, True, 2).pairs, Visibility(3, 5, False, 0).pairs
        (12, 6, 15)
        """
        return _up_to(self, self.ahead) - _up_to(self, -self.back - 1)

    @property
    def seen_keys(self) -> int:
        """Keys that some query sees: the others are never read.

        >>> Visibility(1, 4096, True, 128).seen_keys
        128
        """
        if not self.pairs:
            return 0
        first_own = max(self.keys - self.queries, -self.ahead)  # of the first query that sees a key
        return self.keys - max(first_own - self.back, 0)

    def mask(self) -> Value:
        """[m, n] of bool: whether a query sees a key."""
        away, own = self._away(), self.keys - self.queries
        low, high = (constant_of(np.array(own + limit, np.int32)) for limit in (-self.back, self.ahead))
        return logical_and(less_equal(away, high), greater_equal(away, low))

    def distances(self) -> Value:
        """[m, n] of i32: how far a key is from a query's own position, before or behind it."""
        return abs(sub(self._away(), constant_of(np.array(self.keys - self.queries, np.int32))))

    def _away(self) -> Value:
        """[m, n] of i32: a key's number less its query's."""
        type = TensorType((self.queries, self.keys), i32)
        row, column = (iota.create((), {"axis": axis}, result_types=(type,)).result for axis in (0, 1))
        return sub(column, row)


def _up_to(of: Visibility, distance: int) -> int:
    """Pairs whose key is at most ``distance`` behind the query's own position: a trapezoid of the scores."""
    return _clipped_sum(of.keys + distance, of.keys) - _clipped_sum(of.keys - of.queries + distance, of.keys)


def _clipped_sum(last: int, limit: int) -> int:
    """Of all numbers up to ``last``, each not below 0 and not above ``limit``."""
    return _triangle(last) - _triangle(last - limit)


def _triangle(n: int) -> int:
    return max(n, 0) * (max(n, 0) + 1) // 2
