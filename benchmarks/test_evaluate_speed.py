"""The analytical model on measured rows, against the roofline model on the same rows, as a ratio in one run.

    python -m pytest benchmarks/test_evaluate_speed.py -s

The rows are products of many sizes on several devices, made up here; what was measured does not matter for the time.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from ircost.backends import load_target
from ircost.cost_models.evaluation import ROW_MODELS, predict_table, scores_of
from ircost.cost_models.gpu.constants import bundled_constants

ROWS = 100_000
DEVICES = ("h100_sxm", "h200_sxm", "a100_sxm", "l40s", "t4")
FORMATS = ("bfloat16", "float16")


@pytest.fixture(scope="module")
def columns() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    sizes = {name: 2 ** random.integers(4, 14, ROWS) + random.integers(0, 16, ROWS) for name in "mnk"}
    words = {"device": DEVICES, "dtype": FORMATS, "framework": ("vllm", "trtllm")}
    return {
        **{name: random.choice(np.array(choices, dtype=object), ROWS) for name, choices in words.items()},
        **{name: size.astype(float) for name, size in sizes.items()},
        "batch": np.ones(ROWS),
        "latency_us": random.uniform(1, 1000, ROWS),
    }


def evaluation_s(columns: dict[str, np.ndarray], model: str) -> float:
    """Wall time of predictions and scores."""
    target_of = lru_cache(maxsize=None)(load_target)
    constants = bundled_constants()
    start = time.perf_counter()
    prediction = predict_table(columns, "rows", target_of, ROW_MODELS[model], lambda target: constants)
    scores = scores_of(prediction, ("device", "dtype"))
    assert sum(score.rows for score in scores) == ROWS and not prediction.failures
    return time.perf_counter() - start


def test_a_million_rows_take_less_than_a_minute(columns: dict[str, np.ndarray], benchmark: Any) -> None:
    evaluation_s(columns, "roofline")  # reads the targets' files
    reference_s = min(evaluation_s(columns, "roofline") for _ in range(3))
    benchmark.pedantic(evaluation_s, (columns, "analytical"), rounds=3, warmup_rounds=1)
    own_s = benchmark.stats.stats.min
    benchmark.extra_info.update(ratio=own_s / reference_s, rows_per_s=ROWS / own_s)
    print(
        f"\n{ROWS:,} rows: analytical {own_s:.2f} s, roofline {reference_s:.2f} s, ratio {own_s / reference_s:.1f}",
        end="",
    )
    print(f"; a million rows take {own_s * 1e6 / ROWS:.1f} s")
    assert own_s * 1e6 / ROWS < 60
