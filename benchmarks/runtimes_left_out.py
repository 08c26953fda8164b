"""How well the mean of other runtimes stands in for one that was never measured.

    python -m benchmarks.runtimes_left_out DIR

DIR holds the measured tables as Parquet or CSV. Of each family models are trained without one runtime, and asked about
its kernels as if nobody had named it; prints how many are inside the interval, and inside a factor of two or five
either way. Some ten minutes.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

import numpy as np

from ircost.backends import load_target
from ircost.cost_models.gpu.constants import bundled_constants
from ircost.cost_models.gpu.table_work import Columns
from ircost.cost_models.learned.made import made
from ircost.cost_models.row_estimates import estimate_rows
from ircost.datasets.tables import read_table
from ircost.table import print_table

RUNTIMES = ("vllm", "sglang", "trtllm")
FAMILIES = ("gemm", "attention", "moe", "mla", "recurrent")
ROWS = 700  # of each device and runtime
FACTORS = (2.0, 5.0)
HEAD = ("family", "left out", "rows", "median error", "inside", *(f"within {factor:g} times" for factor in FACTORS))

target_of = lru_cache(maxsize=None)(load_target)


def main(folder: str) -> None:
    lines = [line for family in FAMILIES for line in lines_of(family, columns_of(folder, family))]
    print_table(HEAD, lines, right=range(2, len(HEAD)))


def columns_of(folder: str, family: str) -> Columns:
    """So many rows of each device and runtime, the same every time."""
    path = next(path for path in sorted(Path(folder).glob(f"{family}.*")) if path.suffix in (".parquet", ".csv"))
    columns = read_table(str(path)).columns
    groups = np.array(
        [f"{device} {name}" for device, name in zip(columns["device"], columns["framework"], strict=True)]
    )
    chosen = [
        np.random.default_rng(0).permutation(np.flatnonzero(groups == group))[:ROWS]
        for group in np.unique(groups)
        if group.rpartition(" ")[2] in RUNTIMES
    ]
    return {name: column[np.sort(np.concatenate(chosen))] for name, column in columns.items()}


def lines_of(family: str, columns: Columns) -> list[tuple[str, ...]]:
    return [line_of(family, columns, name) for name in RUNTIMES if (columns["framework"] == name).any()]


def line_of(family: str, columns: Columns, absent: str) -> tuple[str, ...]:
    """What models that never saw a runtime say of its kernels."""
    is_absent = columns["framework"] == absent
    others = {name: column[~is_absent] for name, column in columns.items()}
    model = made(others, family, "", target_of, bundled_constants())
    nobody = np.full(int(is_absent.sum()), "", dtype=object)
    asked = {name: column[is_absent] for name, column in columns.items() if name != "latency_us"}
    found = estimate_rows(
        {**asked, "framework": nobody, "kernel": nobody}, family, target_of, "hybrid", {family: model}
    )
    measured_s = columns["latency_us"][is_absent].astype(float) * 1e-6
    error = np.abs(np.log(found.latency_s / measured_s))[found.is_known]
    inside = ((measured_s >= found.low_s) & (measured_s <= found.high_s))[found.is_known]
    within = [np.mean(error <= np.log(factor)) for factor in FACTORS]
    shares = (f"{share:.0%}" for share in (inside.mean(), *within))
    return family, absent, f"{len(error):,}", f"{np.expm1(np.median(error)):.0%}", *shares


if __name__ == "__main__":
    main(sys.argv[1])
