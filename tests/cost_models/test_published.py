"""Rows that others published: each has a source, tells of a kernel, and is no faster than physics allows."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import pytest
import yaml

from ircost.backends import load_target
from ircost.cost_models.gpu.table_work import Columns
from ircost.cost_models.learned.hybrid import Hybrid
from ircost.cost_models.row_estimates import estimate_rows
from ircost.datasets.tables import read_table

FOLDER = Path(__file__).resolve().parents[2] / "datasets/published"
SOURCES = yaml.safe_load((FOLDER / "sources.yaml").read_text())
FITTED = ("attention", "gemm", "mla", "moe", "vector")
target_of = lru_cache(maxsize=None)(load_target)


@cache
def rows(name: str) -> Columns:
    return read_table(FOLDER / f"{name}.csv").columns


@pytest.mark.parametrize("name", [*FITTED, "conv"])
def test_every_row_has_a_source_and_tells_of_a_kernel(name: str) -> None:
    columns = rows(name)
    assert set(columns["source"].tolist()) <= SOURCES.keys()
    found = estimate_rows(columns, name, target_of, "analytical")
    assert found.family == name and not found.failures


def test_every_source_is_used_and_says_how_it_was_timed() -> None:
    used = {source for name in (*FITTED, "conv", "microcontrollers") for source in rows(name)["source"].tolist()}
    used |= {row.rpartition(",")[2] for row in (FOLDER / "microcontroller_memory.csv").read_text().splitlines()[1:]}
    assert list(SOURCES) == sorted(used)
    assert all(about["at"] and about["how"] for about in SOURCES.values())


@pytest.mark.parametrize("name", [*FITTED, "conv"])
def test_none_is_faster_than_physics(name: str) -> None:
    """But for int8 on an L40, whose data sheet's rate seems to be half of what it does (423 of 362 TOP/s)."""
    columns = rows(name)
    measured_s = columns["latency_us"].astype(float) * 1e-6
    below = measured_s < estimate_rows(columns, name, target_of, "analytical").at_best_s * (1 - 1e-3)
    assert {(columns["device"][row], columns["dtype"][row]) for row in np.flatnonzero(below)} <= {("l40", "sq")}


@pytest.mark.parametrize("name", FITTED)
def test_fitted_rows_lie_in_their_intervals(name: str) -> None:
    columns = rows(name)
    found = estimate_rows(columns, name, target_of, "hybrid", Hybrid().models)
    measured_s = columns["latency_us"].astype(float) * 1e-6
    assert ((found.low_s <= measured_s) & (measured_s <= found.high_s)).mean() > 0.88
    assert np.median(np.abs(found.latency_s / measured_s - 1)) < 0.12
