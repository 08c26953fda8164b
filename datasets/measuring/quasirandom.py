"""Points that fill a space evenly, however many of them are taken."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence

# Their square roots have no good approximation by fractions, none by another's: points along each axis never bunch.
PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23)


def points(seed: str) -> Iterator[tuple[float, ...]]:
    """Points of the unit cube of nine dims without end, the same for the same seed: multiples of roots, shifted.

    Any run of them is spread more evenly than random points are: a table whose cases they draw may end anywhere.

    Source: Richtmyer, "The evaluation of definite integrals, and a quasi-Monte-Carlo method based on the properties of
    algebraic numbers", LA-1342, 1951.
    """
    steps = [math.sqrt(prime) for prime in PRIMES]
    shift = random.Random(seed)
    start = [shift.random() for _ in PRIMES]
    for number in itertools.count(1):
        yield tuple((first + number * step) % 1.0 for first, step in zip(start, steps, strict=True))


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
