"""Bounds and estimates against measured GEMMs and convolutions. Needs ``--measured DIR``, and pandas with pyarrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ircost.backends import Target, load_target
from ircost.cost_models.main_memory import main_memory_floor_s
from ircost.ir import ops
from ircost.ir.types import TensorType, f32, parse_dtype

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


@pytest.fixture(scope="module")
def conv(pytestconfig: pytest.Config) -> Any:
    folder = pytestconfig.getoption("--measured")
    if folder is None or not (Path(folder) / "conv.parquet").exists():
        pytest.skip("no measurements: give the folder of conv.parquet by --measured")
    pandas = pytest.importorskip("pandas", reason="reading measurements needs pandas and pyarrow")
    return pandas.read_parquet(Path(folder) / "conv.parquet")


CONVOLUTIONS = [
    "gtx_1080_ti",
    "knl_7250",
    "p100_pcie",
    "p4",
    "t4",
    "titan_x_pascal",
    "v100_pcie",
    "v100_sxm2",
    "vega_fe",
]


@pytest.mark.parametrize("device", CONVOLUTIONS)
def test_no_measured_convolution_beats_the_fewest_products(conv: Any, device: str) -> None:
    """Thousands beat products counted the plain way, up to 2.5 times: libraries take Winograd's shortcut."""
    target = load_target(device)
    rows = conv[conv.device == device]
    for row in rows.itertuples():
        peak = target.peak_flops_per_s(FORMATS[row.dtype])
        assert 2.0 * fewest_products(row) / peak <= row.latency_us * 1e-6, row


def fewest_products(row: Any) -> int:
    image = TensorType((row.batch, row.in_channels, row.in_h, row.in_w), f32)
    filters = TensorType((row.out_channels, row.in_channels, row.kernel_h, row.kernel_w), f32)
    pads = ((row.pad_h, row.pad_h), (row.pad_w, row.pad_w))
    attrs = ops.conv.complete_attrs({"strides": (row.stride_h, row.stride_w), "pads": pads})
    return ops.conv.bind((image, filters), attrs).fewest_products
