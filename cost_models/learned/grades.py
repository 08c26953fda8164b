"""How well a kernel is known, and what a learned model says of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GRADES = ("A", "B", "C")
GRADE_MEANINGS = {
    "A": "learned on this machine, kernels like it measured",
    "B": "learned, but the machine or the neighbourhood is new",
    "C": "the analytical model alone",
}
UNCORRECTED = GRADES.index("C")
# Where no model of the family gives an interval: a factor of two either way. On machines that the analytical model
# never saw, nine tenths of the kernels of most families lie within it (docs/cost-models.md, p90).
UNKNOWN_HALF_WIDTH = float(np.log(2.0))
# Half the width of an interval around kernels of a runtime that was never measured, where the mean of others stands
# in: a factor of two either way holds 78 to 95 % of those of a runtime that was left out, the median 86 %. Of families
# whose runtimes have little in common a factor of five, the widest of intervals, which holds 54 to 76 %.
# Source: benchmarks/runtimes_left_out.py.
FAR_APART = {"mla": float(np.log(5.0)), "recurrent": float(np.log(5.0))}


def half_width_of_stand_ins(family: str) -> float:
    """Half the width of the narrowest interval, in ln of the latency, where other runtimes stand in for one."""
    return FAR_APART.get(family, UNKNOWN_HALF_WIDTH)


@dataclass(frozen=True, slots=True)
class Corrected:
    """What the learned model says of kernels; all arrays are [rows].

    Args:
        correction: ln of measured over analytical, as predicted; believed: how much of it the hybrid takes.
        half_width: of the interval of 90 % around the hybrid's ln of the latency; NaN where nobody knows.
        grade: place in ``GRADES``.
        shared: part of the errors' variance that all kernels of the machine share.
        stand_in: the measured machine whose kernels they were taken for; None where that is their own, or none.
    """

    correction: np.ndarray
    believed: np.ndarray
    half_width: np.ndarray
    grade: np.ndarray
    shared: float
    stand_in: str | None = None

    @staticmethod
    def none(count: int) -> Corrected:
        """Of kernels that nothing was learned about."""
        nothing = np.zeros(count)
        return Corrected(nothing, nothing, np.full(count, np.nan), np.full(count, UNCORRECTED), 1.0)
