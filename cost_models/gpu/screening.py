"""Demand of kernels with many candidates: a bound of each, and the whole of those few that may be the fastest.

No time is changed by that: a candidate is passed over only where its bound is beyond another one's whole time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from ircost.cost_models.gpu.demand import ISSUE, Asked, Column, Constants, Demand, device_s

ROUNDING = 1e-6  # by how much a bound may be beyond a time for nothing but the rounding of sums


@dataclass(frozen=True, slots=True)
class Screened:
    """What kernels ask for, told only where it counts.

    Args:
        rows: how many kernels.
        least_s: by the constants, [candidates, rows] seconds of the device that none of them is shorter than.
        at: of pairs of a row and a candidate what they ask for; all columns are [pairs].
        choices: the candidates, in words.
    """

    rows: int
    least_s: Callable[[Constants], Column]
    at: Callable[[Column, Column], Demand]
    choices: tuple[str, ...]

    def issued(self, is_waited_for: bool) -> Screened:
        """The same where the device waits for the host before each kernel, or does not."""
        waits = float(is_waited_for)

        def least_s(constants: Constants) -> Column:
            own_s = self.least_s(constants)
            return own_s + constants[ISSUE] if is_waited_for else own_s

        def at(rows: Column, candidates: Column) -> Demand:
            found = self.at(rows, candidates)
            return replace(found, fixed={**found.fixed, ISSUE: np.full(len(rows), waits)})

        return replace(self, least_s=least_s, at=at)

    def fastest(self, constants: Constants) -> tuple[Column, Demand]:
        """The candidate of each row by its whole time, the first of those that are alike; and what it asks for."""
        every = np.arange(self.rows)
        least_s = self.least_s(constants)
        best = least_s.argmin(axis=0)
        demand = self.at(every, best)
        upper_s = self._device_s(every, demand, constants)
        may_be = ~(least_s > (upper_s * (1 + ROUNDING)).astype(least_s.dtype))
        may_be[best, every] = False
        candidates, rows = np.divmod(np.flatnonzero(may_be), self.rows)
        others = self.at(rows, candidates)
        whole_s = finite(self._device_s(rows, others, constants))
        best_s = finite(upper_s)
        shortest_s = best_s.copy()
        np.minimum.at(shortest_s, rows, whole_s)
        # Of those that are alike the first: pairs come in the order of their candidates, so that it is written last.
        shortest = np.flatnonzero(whole_s == shortest_s[rows])[::-1]
        place = np.full(self.rows, -1)
        place[rows[shortest]] = shortest
        found = np.flatnonzero(place >= 0)
        found = found[(candidates[place[found]] < best[found]) | (shortest_s[found] < best_s[found])]
        best[found] = candidates[place[found]]
        return best, replace(demand.with_rows(found, others.at(place[found])), choices=self.choices)

    @staticmethod
    def _device_s(rows: Column, demand: Demand, constants: Constants) -> Column:
        return device_s(demand, rows_of(constants, rows))


def finite(seconds: Column) -> Column:
    """Of kernels without elements there is no time: they are the slowest."""
    return np.where(np.isnan(seconds), np.inf, seconds)


@dataclass(frozen=True, slots=True)
class Alternatives:
    """Two ways of which each row takes the faster, the first where they are alike; the second is open to some rows.

    Args:
        first: of all rows. second: of some; both ask for the same resources and times.
        rows: [some] their places.
    """

    first: Asked
    second: Demand
    rows: Column

    @property
    def choices(self) -> tuple[str, ...]:
        return (*self.first.choices, *self.second.choices)

    def issued(self, is_waited_for: bool) -> Alternatives:
        """The same where the device waits for the host before each kernel, or does not."""
        return replace(self, first=self.first.issued(is_waited_for), second=self.second.issued(is_waited_for))

    def fastest(self, constants: Constants) -> tuple[Column, Demand]:
        """The candidate of each row by its whole time, and what it asks for."""
        own = rows_of(constants, self.rows)
        (best, demand), (other_best, other) = self.first.fastest(constants), self.second.fastest(own)
        faster = np.flatnonzero(device_s(other, own) < device_s(demand.at(self.rows), own))
        best[self.rows[faster]] = other_best[faster] + len(self.first.choices)
        return best, replace(demand.with_rows(self.rows[faster], other.at(faster)), choices=self.choices)


def rows_of(columns: Constants, rows: Column) -> Constants:
    """Some rows of each column; what is one number for all rows stays so."""
    return {
        name: value[rows] if isinstance(value, np.ndarray) and value.ndim else value for name, value in columns.items()
    }


def work_at(work: Any, rows: Column) -> Any:
    """Some rows of a family's work."""
    return replace(work, **rows_of({field.name: getattr(work, field.name) for field in fields(work)}, rows))
