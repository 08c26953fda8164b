"""How long a launch takes: samples until their median is known."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CONFIDENT = 1.96  # standard deviations: in 95 of 100 runs the median lies between the ranks


@dataclass(frozen=True, slots=True)
class Effort:
    """When enough samples were taken.

    Args:
        tolerance: to which share of itself the median should be known, with 95 % confidence.
        least, most: samples at any rate.
        most_s: no more are begun after so long, once there are three.
    """

    tolerance: float = 0.01
    least: int = 9
    most: int = 200
    most_s: float = 0.5


USUAL_EFFORT = Effort()


@dataclass(frozen=True, slots=True)
class Timing:
    """Args:
    median_s: of the samples. quartiles_s: between the first and the third of them lies half of the samples.
    samples: how many.
    """

    median_s: float
    quartiles_s: float
    samples: int


FEWEST = 3


def timed(sample: Callable[[], float], effort: Effort, clock: Callable[[], float] = time.perf_counter) -> Timing:
    """The median of samples, as many as it takes to know it.

    Args:
        sample: seconds of one launch, measured anew by each call.
    """
    end = clock() + effort.most_s
    found: list[float] = []
    while len(found) < effort.most:
        found.append(sample())
        if len(found) >= FEWEST and clock() >= end:
            break
        if len(found) >= effort.least and median_error(found) <= effort.tolerance:
            break
    ordered = sorted(found)
    return Timing(at(ordered, 0.5), at(ordered, 0.75) - at(ordered, 0.25), len(found))


def median_error(samples: Sequence[float]) -> float:
    """Half the width of the interval that the median lies in, as a share of it; without end of too few samples.

    Nothing is assumed of how they are spread: the interval is between two of them in their order.

    Source: Conover, "Practical Nonparametric Statistics", 1999, section 3.2.

    >>> median_error([1.0] * 20), median_error([1.0, 2.0])
    (0.0, inf)
    """
    count, ordered = len(samples), sorted(samples)
    aside = CONFIDENT * math.sqrt(count) / 2
    low, high = math.floor(count / 2 - aside) - 1, math.ceil(count / 2 + aside)
    if low < 0 or high >= count:
        return math.inf
    return (ordered[high] - ordered[low]) / 2 / at(ordered, 0.5)


def at(ordered: Sequence[float], share: float) -> float:
    """The quantile of ordered samples, between two of them where it falls there.

    >>> at([1.0, 2.0, 4.0], 0.5), at([1.0, 2.0, 4.0], 0.75)
    (2.0, 3.0)
    """
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
