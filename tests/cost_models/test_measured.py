"""Bounds and estimates against measured GEMMs. Needs ``--measured DIR``, and pandas with pyarrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ircost.backends import Target, load_target
from ircost.cost_models.main_memory import main_memory_floor_s
from ircost.ir.types import parse_dtype

DEVICES = ["h100_sxm", "h200_sxm", "a100_sxm", "l40s", "t4", "v100_sxm2"]
FORMATS = {"bfloat16": "bf16", "float16": "f16", "fp8": "f8e4m3", "float32": "f32"}


@pytest.fixture(scope="module")
def gemm(pytestconfig: pytest.Config) -> Any:
    folder = pytestconfig.getoption("--measured")
    if folder is None or not (Path(folder) / "gemm.parquet").exists():
        pytest.skip("no measurements: give the folder of gemm.parquet by --measured")
    pandas = pytest.importorskip("pandas", reason="reading measurements needs pandas and pyarrow")
    return pandas.read_parquet(Path(folder) / "gemm.parquet")


def floor_and_roofline_s(rows: Any, target: Target, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """The bound and the roofline of each measured product; results of narrow formats are 16 bits wide."""
    operand_bytes = parse_dtype(dtype).bits / 8
    flops = 2.0 * rows.batch * rows.m * rows.n * rows.k
    traffic = rows.batch * ((rows.m + rows.n) * rows.k * operand_bytes + rows.m * rows.n * max(operand_bytes, 2))
    arithmetic_s = np.asarray(flops / target.peak_flops_per_s(dtype))
    memory_s = np.asarray(traffic / target.main_memory.bandwidth_bytes_per_s)
    floor_s = np.maximum(arithmetic_s, main_memory_floor_s(np.asarray(traffic), target))
    return floor_s, np.maximum(np.maximum(arithmetic_s, memory_s), target.launch_overhead_s)


@pytest.mark.parametrize("device", DEVICES)
def test_no_measured_product_beats_its_bound(gemm: Any, device: str) -> None:
    target = load_target(device)
    for name, dtype in FORMATS.items():
        rows = gemm[(gemm.device == device) & (gemm.dtype == name)]
        if len(rows) == 0:
            continue
        floor_s, roofline_s = floor_and_roofline_s(rows, target, dtype)
        measured_s = rows.latency_us.to_numpy() * 1e-6
        error = np.abs(roofline_s / measured_s - 1)
        print(f"{device} {dtype}: {len(rows)} rows, roofline's median error {np.median(error):.0%}")
        assert (floor_s <= measured_s).all(), f"{device} {dtype}: {(floor_s > measured_s).sum()} of {len(rows)} rows"
