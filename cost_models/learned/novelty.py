"""How far a kernel lies from those that a model was trained on: a score that costs a hash and a search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Cells of the space of sizes, in octaves a side, from fine to coarse: a kernel is as novel as the finest kind of cell
# that it shares with a kernel of the training rows.
WIDTHS = (2.0, 4.0)
LEVELS = len(WIDTHS) + 1  # the last one: in no cell that was met
_PRIME, _MODULUS = 1_000_003, 2**32


@dataclass(frozen=True, slots=True)
class Novelty:
    """Where training rows lie.

    Args:
        cells: for each width, hashes of the cells that were met, ascending.
    """

    cells: tuple[np.ndarray, ...]

    @staticmethod
    def of(octaves: np.ndarray) -> Novelty:
        """Args:
        octaves: [rows, sizes] binary logarithms of sizes.
        """
        return Novelty(tuple(np.unique(_hashes(octaves, width)) for width in WIDTHS))

    def level(self, octaves: np.ndarray) -> np.ndarray:
        """[rows] 0 beside training rows, 1 in their neighbourhood, 2 beyond."""
        found = np.full(len(octaves), len(WIDTHS))
        for level in reversed(range(len(WIDTHS))):
            found[_among(_hashes(octaves, WIDTHS[level]), self.cells[level])] = level
        return found


def _hashes(octaves: np.ndarray, width: float) -> np.ndarray:
    """[rows] one number below 2^32 for each cell; two cells share one by a chance of some millionths."""
    found = np.zeros(len(octaves), dtype=np.int64)
    for column in octaves.T:
        found *= _PRIME
        found += np.floor(column / width).astype(np.int64) + 64
        found &= _MODULUS - 1  # a power of two
    return found


def _among(numbers: np.ndarray, known: np.ndarray) -> np.ndarray:
    """[rows] whether each is one of these, which ascend."""
    if not len(known):
        return np.zeros(len(numbers), dtype=bool)
    place = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
    found: np.ndarray = known[place] == numbers
    return found
