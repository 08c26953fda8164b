"""How far learned corrections are believed, and how wide their intervals are: both from rows that were held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ircost.cost_models.learned.novelty import LEVELS
from ircost.cost_models.learned.stored_trees import Trees

SHARES = np.linspace(0.0, 1.0, 11)  # of a correction
FEWEST = 50  # rows of a level, below which it borrows from the level before
BORROWED = 0.5  # how much of the trust of the level before is left, where nothing was held out
WIDENED = 1.5  # and by how much its intervals are wider
FEWEST_GROUPS = 2  # machines of a level, below which it borrows likewise
MOST_WORSE = 0.01  # by how much the error of no held-out device may exceed the analytical model's
# Standard errors by which the mean gain over held-out devices is lowered, to what one more is likely to get. That
# errors of a chip are those of its kin is likely to begin with; of strangers it must be shown.
DOUBT, DOUBT_OF_KIN = 2.0, 1.0
LEAST_GAIN = 0.02  # as a share of the error; for less a new machine is not put at risk
TINY = 1e-9  # an error of nothing
MOST_HALF_WIDTH = float(np.log(5.0))  # beyond a factor of five either way an interval says as much as none


@dataclass(frozen=True, slots=True)
class Held:
    """Corrections of rows by models that never saw their group.

    Args:
        features: [rows, features] that the model was asked with.
        residual: [rows] ln of measured over analytical. correction: [rows] what was predicted of it.
        level: [rows] of novelty. group: [rows] the fold, or the device, that was left out.
        cell: [rows] equal for rows that may err together: of one machine, runtime and format.
    """

    features: np.ndarray
    residual: np.ndarray
    correction: np.ndarray
    level: np.ndarray
    group: np.ndarray
    cell: np.ndarray

    def at(self, rows: np.ndarray) -> Held:
        return Held(*(getattr(self, name)[rows] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Args:
    trust: share of a correction that is believed, by level of novelty.
    spread: ln of the size of errors, as a function of the features.
    quantile: by which the spread is multiplied, by level, so that intervals cover what they promise.
    shared: part of the errors' variance that kernels of one machine, runtime and format share.
    widest: half of the widest interval.
    """

    trust: tuple[float, ...]
    spread: Trees
    quantile: tuple[float, ...]
    shared: float
    widest: float = MOST_HALF_WIDTH

    def believed(self, correction: np.ndarray, level: np.ndarray) -> np.ndarray:
        """[rows] the corrections, shrunk."""
        found: np.ndarray = correction * np.asarray(self.trust)[level]
        return found

    def half_width(self, features: np.ndarray, level: np.ndarray) -> np.ndarray:
        """[rows] of the interval around ln of the latency."""
        needed = np.exp(self.spread.predict(features)) * np.asarray(self.quantile)[level]
        found: np.ndarray = np.minimum(needed, self.widest)
        return found


def calibrated(held: Held, by_group: bool, doubt: float = DOUBT) -> Calibration:
    """What held-out rows say.

    Args:
        by_group: a new group (a device) is to be foreseen: no group may lose by corrections, and intervals are as wide
            as groups need them, each by itself, but no wider than what suits the kernels of the worst one, or of
            the next to be expected.
        doubt: in standard errors, how sure the gain of a new group must be.
    """
    from ircost.cost_models.learned import conformal  # slow to import, and for fits only

    least = FEWEST_GROUPS if by_group else 1
    trust = _by_level(held, lambda rows: _trust(held.at(rows), by_group, doubt), BORROWED, least, may_rise=False)
    error = held.residual - held.correction * np.asarray(trust)[held.level]
    size = np.maximum(np.abs(error), conformal.FLOOR)
    scores = conformal.held_out_scores(held.features, size, held.group)

    def quantile(rows: np.ndarray) -> float:
        if by_group:
            return conformal.group_quantile(scores[rows], held.group[rows])
        return conformal.conformal_quantile(scores[rows])

    widened = _by_level(held, quantile, WIDENED, least)
    widest = min(conformal.worst_of_groups(size, held.group), MOST_HALF_WIDTH) if by_group else MOST_HALF_WIDTH
    return Calibration(trust, conformal.spread_of(held.features, size), widened, shared_part(error, held.cell), widest)


def _by_level(
    held: Held, of: Callable[[np.ndarray], float], borrowed: float, fewest_groups: int, may_rise: bool = True
) -> tuple[float, ...]:
    """A number for each level, from its rows; of one with few rows or groups a multiple of the level before.

    Args:
        may_rise: else levels between which it would rise are taken as one: what is farther from all that was measured
            is not known better, and that it looks so is chance. Source: pool adjacent violators, Barlow et al.,
            "Statistical inference under order restrictions", 1972.
    """
    pools: list[tuple[list[int], np.ndarray, float]] = []  # levels, their rows, their number
    for level in range(LEVELS):
        rows = np.flatnonzero(held.level == level)
        if len(rows) < FEWEST or len(np.unique(held.group[rows])) < fewest_groups:
            if level:
                continue
            rows = np.arange(len(held.level))
        levels, number = [level], of(rows)
        while pools and not may_rise and number > pools[-1][2]:
            before, others, _ = pools.pop()
            levels, rows = before + levels, np.concatenate([others, rows])
            number = of(rows)
        pools.append((levels, rows, number))
    known = {level: number for levels, _, number in pools for level in levels}
    found: list[float] = []
    for level in range(LEVELS):
        found.append(known[level] if level in known else found[-1] * borrowed)
    return tuple(found)


def _trust(held: Held, by_group: bool, doubt: float) -> float:
    """The share of corrections that errs least; of groups, each counts alike."""
    groups = [held.group == name for name in np.unique(held.group)] if by_group else [np.ones(len(held.group), bool)]
    errors = np.array([[_size_of_error(held.at(own), share) for own in groups] for share in SHARES])
    gain = _sure_gain(errors, doubt)
    return float(SHARES[gain.argmax()]) if not by_group or gain.max() >= LEAST_GAIN else 0.0


def _sure_gain(errors: np.ndarray, doubt: float) -> np.ndarray:
    """[shares] what a new group gains for sure, of its error: none that was held out may lose, and the mean stands out.

    Corrections that help some machines as much as they harm others are worth nothing to a new one.

    Args:
        errors: [shares, groups]; those of share zero first.
    """
    gain = 1.0 - errors / np.maximum(errors[0], TINY)
    count = gain.shape[1]
    standard_error = gain.std(axis=1, ddof=1) / np.sqrt(count) if count > 1 else 0.0
    no_loss = (errors <= errors[0] + MOST_WORSE).all(axis=1)
    found: np.ndarray = np.where(no_loss, gain.mean(axis=1) - doubt * standard_error, -np.inf)
    return found


def _size_of_error(held: Held, share: float) -> float:
    """Mean of the median and the mean of |error|: neither the bulk nor the tail decides alone."""
    size = np.abs(held.residual - share * held.correction)
    return float(np.median(size) + size.mean()) / 2


def shared_part(error: np.ndarray, cell: np.ndarray) -> float:
    """Part of the variance that lies between cells, 0 to 1: one-way analysis of variance, outliers clipped."""
    clipped = np.clip(error, *np.quantile(error, (0.01, 0.99)))
    _, codes = np.unique(cell, return_inverse=True)
    means = np.bincount(codes, clipped) / np.bincount(codes)
    total = float(clipped.var())
    return float(np.clip((means[codes] - clipped.mean()).var() / total, 0.0, 1.0)) if total > 0 else 0.0
