"""Rows of a table, and what lies between them; in NumPy alone, since reports ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ircost.cost_models.learned.estimators.encoding import cells_of, met_words, points_of

MOST_DISTANCES = 1 << 22  # that are held at a time
NEIGHBOURS = 32  # rows that a surface is laid through
SMOOTHING = 0.1  # in ln of a size: how far from rows it may pass
NEAREST, APART, NEAR = 6, 5.0, 0.1  # as of ``NearestKernels``, where no row has the same words


@dataclass(frozen=True)
class TableRows:
    """What ``TableInterpolation`` has learned.

    Args:
        points: [rows, sizes] ln of their sizes.
        words: [rows, words] numbers that stand for words.
        values: [rows] what is interpolated.
        neighbours, smoothing, sizes, word_columns, predicted: as of ``TableInterpolation``.
    """

    points: np.ndarray
    words: np.ndarray
    values: np.ndarray
    neighbours: int
    smoothing: float
    sizes: Sequence[int] | None
    word_columns: Sequence[int]
    predicted: int | None

    def predict(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """[asked] of [asked, features]."""
        points, words = points_of(X, self.sizes, self.word_columns), X[:, list(self.word_columns)]
        found = self._between(points, words)
        is_left = np.isnan(found)
        if self.predicted is not None:
            return np.where(is_left, 0.0, found - X[:, self.predicted])
        if is_left.any():
            found[is_left] = self._nearest(points[is_left], words[is_left])
        return found

    def _between(self, points: np.ndarray, words: np.ndarray) -> np.ndarray:
        """[asked] interpolated between rows with the same words; NaN where there are none."""
        met, known = self._cells
        cells = cells_of(words, met)
        found = np.full(len(points), np.nan)
        for cell in np.intersect1d(cells, known[known >= 0]):
            asked, own_rows = cells == cell, known == cell
            rows, values = distinct(self.points[own_rows], self.values[own_rows])
            own = surface(rows, values, points[asked], self.neighbours, self.smoothing)
            found[asked] = own if self.predicted is not None else np.clip(own, values.min(), values.max())
        return found

    @cached_property
    def _cells(self) -> tuple[list[np.ndarray], np.ndarray]:
        """The words that were met, and the cell of each row."""
        met = met_words(self.words)
        return met, cells_of(self.words, met)

    def _nearest(self, points: np.ndarray, words: np.ndarray) -> np.ndarray:
        """[asked] mean of the nearest rows, weighted by one over their distance, other words being far away."""
        found = np.empty(len(points))
        step = max(MOST_DISTANCES // len(self.values), 1)
        for first in range(0, len(points), step):
            some = slice(first, first + step)
            others = (words[some, None, :] != self.words[None, :, :]).sum(axis=2)
            distance = np.sqrt(squares(points[some], self.points) + APART**2 * others)
            place = np.argsort(distance, axis=1, kind="stable")[:, :NEAREST]
            weight = 1.0 / (np.take_along_axis(distance, place, axis=1) + NEAR)
            found[some] = (weight * self.values[place]).sum(axis=1) / weight.sum(axis=1)
        return found


def distinct(points: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[places, sizes] each place once, and [places] the mean of its values."""
    found, place = np.unique(points, axis=0, return_inverse=True)
    return found, np.bincount(place.ravel(), values) / np.bincount(place.ravel())


def surface(
    points: np.ndarray, values: np.ndarray, asked: np.ndarray, neighbours: int, smoothing: float = 0.0
) -> np.ndarray:
    """[asked] a surface through the nearest points: a constant and a sum of the distances from each.

    Between two points on a line it is the straight line. Time: O(asked * (points + neighbours^3)).
    Source: Hardy, "Multiquadric equations of topography and other irregular surfaces", Journal of Geophysical Research
    76(8), 1971; here with abs(r) as the function. Smoothing: Wahba, "Spline Models for Observational Data", SIAM 1990.

    Args:
        points: [points, axes] no two alike. values: [points]. asked: [asked, axes].
        smoothing: how far, in units of the axes, noise seems to move points: with 0 the surface goes through them.

    >>> points, values = np.array([[0.0], [1.0], [4.0]]), np.array([0.0, 2.0, 8.0])
    >>> surface(points, values, np.array([[0.5], [3.0]]), neighbours=3).round(6).tolist()
    [1.0, 6.0]
    """
    varies = (points != points[0]).any(axis=0) | (asked != points[0]).any(axis=0)
    points, asked = points[:, varies], asked[:, varies]
    count = min(neighbours, len(points))
    found = np.empty(len(asked))
    apart = np.sqrt(squares(points, points)) if len(points) ** 2 <= MOST_DISTANCES else None
    step = max(MOST_DISTANCES // max(len(points), (count + 1) ** 2), 1)
    for first in range(0, len(asked), step):
        some = asked[first : first + step]
        place = _nearest_places(some, points, count)
        around = points[place]  # [some, count, axes]
        between = (
            np.sqrt(((around[:, :, None, :] - around[:, None, :, :]) ** 2).sum(axis=3))
            if apart is None
            else apart[place[:, :, None], place[:, None, :]]
        )
        system = np.zeros((len(some), count + 1, count + 1))
        system[:, :count, :count] = between
        system[:, range(count), range(count)] = -smoothing
        system[:, count, :count] = system[:, :count, count] = 1.0
        right = np.concatenate([values[place], np.zeros((len(some), 1))], axis=1)
        weight = np.linalg.solve(system, right[:, :, None])[:, :, 0]
        distance = np.sqrt(((some[:, None, :] - around) ** 2).sum(axis=2))
        found[first : first + step] = (weight[:, :count] * distance).sum(axis=1) + weight[:, count]
    return found


def _nearest_places(asked: np.ndarray, points: np.ndarray, count: int) -> np.ndarray:
    """[asked, count] the places of the nearest points, in no order."""
    if count == len(points):
        return np.broadcast_to(np.arange(count), (len(asked), count))
    return np.argpartition(squares(asked, points), count, axis=1)[:, :count]


def squares(asked: np.ndarray, points: np.ndarray) -> np.ndarray:
    """[asked, points] of distances."""
    found = np.zeros((len(asked), len(points)))
    for own, others in zip(asked.T, points.T, strict=True):
        found += (own[:, None] - others[None, :]) ** 2
    return found
