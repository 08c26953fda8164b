"""Points that fill a space evenly, however many of them are taken."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence


def points(dims: int, seed: str) -> Iterator[tuple[float, ...]]:
    """Points of the unit cube without end, the same for the same seed: an additive recurrence, shifted by the seed.

    Any run of them is spread more evenly than random points are: a table whose cases they draw may end anywhere.

    Source: Roberts, "The Unreasonable Effectiveness of Quasirandom Sequences", 2018 (the R sequence).
    """
    steps = [_golden(dims) ** -(place + 1) for place in range(dims)]
    start = [random.Random(f"{seed} {place}").random() for place in range(dims)]
    number = 0
    while True:
        number += 1
        yield tuple((first + number * step) % 1.0 for first, step in zip(start, steps, strict=True))


def _golden(dims: int) -> float:
    """The root of x^(d+1) = x + 1: 1.618... of one dim."""
    root = 2.0
    for _ in range(64):
        root = (1.0 + root) ** (1.0 / (dims + 1))
    return root


def log_uniform(at: float, least: int, most: int, multiple_of: int = 1) -> int:
    """A whole number between two: its logarithm is spread evenly.

    Args:
        at: 0 to 1, where between them.
        multiple_of: rounded to one; ``least`` and ``most`` are such.

    >>> [log_uniform(at, 64, 16384, 64) for at in (0.0, 0.25, 0.5, 1.0)]
    [64, 256, 1024, 16384]
    """
    size = least * math.exp(at * math.log(most / least))
    return min(max(round(size / multiple_of) * multiple_of, least), most)


def one_of(at: float, values: Sequence[int]) -> int:
    """The value at that place of a list, 0 to 1."""
    return values[min(int(at * len(values)), len(values) - 1)]
