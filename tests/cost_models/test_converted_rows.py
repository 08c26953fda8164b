"""Activations that a kernel of its own converts first: a row is a block of threads, however short it is."""

from __future__ import annotations

import numpy as np
import pytest

from ircost.backends import load_target
from ircost.cost_models.gpu.gemm import gemm_demand
from ircost.cost_models.gpu.machine import machine_of
from ircost.cost_models.gpu.rows import setting_of
from ircost.cost_models.gpu.table_work import gemm_work


def rows_s(dtype: str, m: float, k: float) -> float:
    setting, _ = setting_of("h100", "vllm", dtype, load_target)
    assert setting is not None
    sizes = {"batch": 1.0, "m": m, "n": 64.0, "k": k}
    work = gemm_work({name: np.array([size]) for name, size in sizes.items()}, setting)
    return float(gemm_demand(work, machine_of(load_target("h100"))).fixed["row"].max())


def test_a_short_row_takes_as_long_as_a_whole_piece() -> None:
    assert rows_s("fp8", 8192, 32) == rows_s("fp8", 8192, 2048) < rows_s("fp8", 8192, 2049)


def test_rows_are_shared_out_over_the_processors() -> None:
    assert rows_s("fp8", 8192, 32) == pytest.approx(8 * rows_s("fp8", 1024, 32))


def test_what_needs_no_conversion_pays_nothing() -> None:
    assert rows_s("bfloat16", 8192, 4096) == rows_s("float16", 8192, 32) == 0
