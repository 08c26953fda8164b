"""The hybrid on rows of products, against the analytical model on the same rows; its trees, against LightGBM's walk.

    python -m pytest benchmarks/test_learned_speed.py -s

Printed: kernels for each second of a processor's time, and by the clock on all processors, features included. Rows are
made up: some layers at many batches, on several machines.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import lightgbm
import numpy as np
import pytest
from test_evaluate_speed import DEVICES, FORMATS, ROWS

from ircost.backends import load_target
from ircost.cost_models.evaluation import ROW_MODELS
from ircost.cost_models.gpu.constants import bundled_constants
from ircost.cost_models.learned.rows import Readable, readable, rows_of
from ircost.cost_models.learned.storage import bundled_models

LEAST_PER_S = 40_000  # of a processor's time; far below what is usual, for machines that others use too


@pytest.fixture(scope="module")
def table() -> Readable:
    """Each of a few layers at many batches, as sweeps have them."""
    random = np.random.default_rng(0)
    layers = 2 ** random.integers(7, 14, (100, 2)) + 64 * random.integers(0, 8, (100, 2))
    n, k = layers[random.integers(0, len(layers), ROWS)].T
    words = {"device": DEVICES, "dtype": FORMATS[:1], "framework": ("vllm", "trtllm")}
    columns = {
        **{name: random.choice(np.array(choices, dtype=object), ROWS) for name, choices in words.items()},
        **{"m": random.integers(1, 8192, ROWS).astype(float), "n": n.astype(float), "k": k.astype(float)},
        **{"batch": np.ones(ROWS), "latency_us": np.ones(ROWS)},
    }
    return readable(columns, "rows", lru_cache(maxsize=None)(load_target))


def seconds(of: Callable[[], object]) -> tuple[float, float]:
    """Of processors' time, and by the clock."""
    processor_s, clock_s = time.process_time(), time.perf_counter()
    of()
    return time.process_time() - processor_s, time.perf_counter() - clock_s


def test_the_hybrid_beside_the_analytical_model(table: Readable, benchmark: Any) -> None:
    def evaluate(model: str) -> Callable[[], np.ndarray]:
        return lambda: ROW_MODELS[model](table.family, table.columns, table.groups, bundled_constants())

    assert np.isfinite(evaluate("hybrid")()).all()  # reads its files
    reference_s = min(seconds(evaluate("analytical"))[0] for _ in range(3))
    spent = []
    benchmark.pedantic(lambda: spent.append(seconds(evaluate("hybrid"))), rounds=3, warmup_rounds=1)
    own_s, clock_s = (min(column) for column in zip(*spent, strict=True))
    benchmark.extra_info.update(ratio=own_s / reference_s, per_s=ROWS / own_s, clock_per_s=ROWS / clock_s)
    print(f"\nhybrid {ROWS / own_s:,.0f} kernels/s of a processor, analytical {ROWS / reference_s:,.0f}", end="")
    print(f"; hybrid by the clock, {os.cpu_count()} processors: {ROWS / clock_s:,.0f}")
    assert ROWS / own_s > LEAST_PER_S


def test_trees_asked_together_beside_lightgbm(table: Readable, benchmark: Any) -> None:
    model = bundled_models()["gemm"]
    rows = rows_of(table, lambda target: bundled_constants(), model.vocabulary)
    few = rows.at(np.flatnonzero(rows.device == rows.device[0])[:16_000]).features
    trees = model.seen.residual
    assert trees is not None
    booster = lightgbm.Booster(model_str=trees.text_)
    reference_s = min(seconds(lambda: booster.predict(few, num_threads=1))[0] for _ in range(3))
    benchmark.pedantic(trees.predict, (few,), rounds=3, warmup_rounds=1)
    own_s = min(seconds(lambda: trees.predict(few))[0] for _ in range(3))
    benchmark.extra_info.update(ratio=own_s / reference_s, rows_per_s=len(few) / own_s)
    print(
        f"\n{len(few):,} rows: {1e6 * own_s / len(few):.1f} us each, LightGBM {1e6 * reference_s / len(few):.1f}",
        end="",
    )
    print(f", ratio {own_s / reference_s:.2f}")
    assert own_s < reference_s
