"""The interval of a sum of kernels, from theirs and from how far their errors go together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Spread:
    """Times of distinct kernels, each for all of its runs: the runs of one kernel err alike.

    Args:
        seconds, low_s, high_s: [kernels]; ends of intervals of one coverage.
        shared: [kernels] part of the errors' variance that a kernel shares with all others on its machine.
    """

    seconds: np.ndarray
    low_s: np.ndarray
    high_s: np.ndarray
    shared: np.ndarray


def interval_of_sum(spread: Spread) -> tuple[float, float]:
    """Ends of the sum's interval, of the same coverage.

    What errors share adds up, what is each kernel's own adds up in squares:

        w^2 = (sum of sqrt(shared) * w_i)^2 + sum of (1 - shared) * w_i^2

    with w_i the distance from a kernel's time to one end. Between errors that all go together (ends add up) and errors
    that are independent.
    """
    total = float(spread.seconds.sum())
    below = _width(np.maximum(spread.seconds - spread.low_s, 0.0), spread.shared)
    above = _width(np.maximum(spread.high_s - spread.seconds, 0.0), spread.shared)
    return total - below, total + above


def _width(widths: np.ndarray, shared: np.ndarray) -> float:
    together = float((np.sqrt(shared) * widths).sum())
    return float(np.sqrt(together**2 + ((1.0 - shared) * widths**2).sum()))
