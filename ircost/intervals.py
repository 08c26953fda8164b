"""Intervals of a report's kernels and of their sum, where the cost model gives any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ircost.cost_models.interface import Estimates
from ircost.cost_models.learned.grades import GRADES, UNCORRECTED, UNKNOWN_HALF_WIDTH
from ircost.cost_models.learned.propagation import Spread, interval_of_sum
from ircost.costed_runs import CostedRuns
from ircost.report import KernelReport


def uncorrected(sent: Sequence[KernelReport], estimates: Estimates) -> list[KernelReport]:
    """What ranks send each other, beside kernels with intervals.

    Where the model gives none of it, it is as well known as a kernel that nothing was learned of.
    """
    if estimates.low_s is None:
        return [*sent]
    low, high = np.exp((-UNKNOWN_HALF_WIDTH, UNKNOWN_HALF_WIDTH)).tolist()
    return [
        kernel
        if kernel.latency_s is None or kernel.low_s is not None
        else replace(kernel, low_s=kernel.latency_s * low, high_s=kernel.latency_s * high, grade=GRADES[UNCORRECTED])
        for kernel in sent
    ]


def interval_of_runs(
    costed: CostedRuns, sent: Sequence[KernelReport], latency_s: float, at_least_s: float
) -> tuple[float | None, float | None]:
    """Ends of the interval of 90 % around a model's latency; None of cost models that give none.

    Runs of one kernel err alike, and so does all that ranks send each other.

    Args:
        sent: what ranks send each other. latency_s: of all. at_least_s: no run is shorter.
    """
    estimates = costed.estimates
    if estimates.low_s is None or estimates.high_s is None or estimates.shared is None:
        return None, None
    of_row: dict[int, float] = {}  # in the order of the runs, so that sums are the same whatever else is in the table
    for run, own_s in zip(costed.runs, costed.seconds.tolist(), strict=True):
        of_row[run.row] = of_row.get(run.row, 0.0) + own_s
    rows, own = np.array([*of_row], dtype=int), np.array([*of_row.values()])
    alone_s = estimates.latency_s[rows]
    repeats = np.divide(own, alone_s, out=np.zeros(len(rows)), where=alone_s > 0)
    middles, lows, highs = (
        np.append(repeats * column[rows], sum(getattr(kernel, name) or 0.0 for kernel in sent))
        for name, column in (
            ("latency_s", estimates.latency_s),
            ("low_s", estimates.low_s),
            ("high_s", estimates.high_s),
        )
    )
    low_s, high_s = interval_of_sum(Spread(middles, lows, highs, np.append(estimates.shared[rows], 1.0)))
    return min(max(low_s, at_least_s), latency_s), max(high_s, latency_s)
