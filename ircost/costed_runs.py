"""The kernels of a module at the places that run them, and what each adds to the whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ircost.backends import Target
from ircost.cost_models.interface import Estimates
from ircost.cost_models.kernel_table import KernelRun, KernelTable
from ircost.launching import run_energies_j, run_seconds


@dataclass(frozen=True, slots=True)
class CostedRuns:
    """Args:
    estimates: of the table's distinct kernels.
    runs: places that run them, but for branches that are not taken.
    seconds, energies_j: [runs] that all repetitions of each add to the whole; see ``launching``.
    """

    table: KernelTable
    estimates: Estimates
    runs: Sequence[KernelRun]
    seconds: np.ndarray
    energies_j: np.ndarray

    @property
    def dtype(self) -> str:
        return main_dtype(self.table, self.runs)


def main_dtype(table: KernelTable, runs: Sequence[KernelRun]) -> str:
    """The number format of most contraction work; of most work if there is none."""
    counts = np.zeros(len(table))
    for run in runs:
        counts[run.row] += run.count
    totals = (table.work * counts[:, None]).sum(axis=0)
    ranked = sorted(
        zip(table.work_columns, totals, strict=True),
        key=lambda item: (item[0][0] == "matrix", item[1]),
        reverse=True,
    )
    return ranked[0][0][1].name if ranked else "f32"


def costed_runs(table: KernelTable, estimates: Estimates, target: Target) -> CostedRuns:
    """What the estimates of distinct kernels come to where they run.

    Args:
        estimates: of the table, on the target.
    """
    runs = branches_taken(table, estimates)
    seconds = run_seconds(runs, estimates)
    return CostedRuns(table, estimates, runs, seconds, run_energies_j(runs, seconds, estimates, target))


def branches_taken(table: KernelTable, estimates: Estimates) -> list[KernelRun]:
    """The runs without those in the cheaper branch of each `if`; inner ones are decided first."""
    # Of a side: its own runs, and of inner choices the side taken.
    cost: defaultdict[tuple[int, int], float] = defaultdict(float)
    around: dict[int, tuple[int, int]] = {}
    for run in table.runs:
        if run.branch:
            cost[run.branch[-1]] += float(estimates.latency_s[run.row]) * run.count
            around |= {inner: outer for outer, (inner, _) in pairwise(run.branch)}
    dropped = set()
    for choice in sorted({number for run in table.runs for number, _ in run.branch}, reverse=True):
        taken = int(cost[choice, 0] < cost[choice, 1])
        dropped.add((choice, 1 - taken))
        if choice in around:
            cost[around[choice]] += cost[choice, taken]
    return [run for run in table.runs if dropped.isdisjoint(run.branch)]
