"""Rows of tables whose caches were cold: operands come from main memory, however small they are."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from ircost.backends import load_target
from ircost.cost_models.evaluation import predict_table
from ircost.cost_models.gpu.constants import bundled_constants
from ircost.cost_models.gpu.rows import analytical_rows
from ircost.cost_models.row_estimates import estimate_rows

target_of = lru_cache(maxsize=None)(load_target)
ROWS: dict[str, dict[str, object]] = {
    "gemm": {"batch": 1, "m": 16, "n": 4096, "k": 4096},
    "attention": {
        **{"phase": "decode", "batch": 4, "q_len": 1, "kv_len": 4096},
        **{"heads": 32, "kv_heads": 8, "head_dim": 128},
    },
    "mla": {"phase": "decode", "batch": 8, "q_len": 1, "kv_len": 4096, "heads": 16},
    "moe": {"tokens": 64, "hidden": 1024, "inter": 512, "experts": 16, "topk": 2},
    "vector": {"op": "mul", "rows": 1024, "cols": 4096},
}


def latencies_s(family: str, words: list[str], **more: object) -> np.ndarray:
    row = {"device": "b200", "dtype": "bfloat16", **ROWS[family], **more}
    columns = {name: np.array([value] * len(words), dtype=object) for name, value in row.items()}
    columns["caches"] = np.array(words, dtype=object)
    found: np.ndarray = estimate_rows(columns, family, target_of, "analytical").latency_s
    return found


@pytest.mark.parametrize("family", ROWS)
def test_cold_takes_longer(family: str) -> None:
    cold, warm, unsaid = latencies_s(family, ["cold", "warm", ""], framework="graph replay")
    assert cold > warm == unsaid


def test_nobodys_weights_take_turns_as_those_of_the_runtimes_that_they_stand_for() -> None:
    cold, turning, warm, unsaid = latencies_s("gemm", ["cold", "turning weights", "warm", ""])
    assert cold >= turning == unsaid > 1.2 * warm


def test_warm_is_warm_whatever_a_runtimes_benchmark_does() -> None:
    warm, unsaid = latencies_s("gemm", ["warm", ""], device="h100", framework="vllm")
    assert warm < unsaid


def test_another_word_fails_its_row() -> None:
    row = {"device": "b200", "dtype": "bfloat16", "latency_us": 1.0, "caches": "lukewarm", **ROWS["gemm"]}
    columns = {name: np.array([value], dtype=object) for name, value in row.items()}
    found = predict_table(columns, "rows", target_of, analytical_rows, lambda target: bundled_constants())
    assert list(found.failures) == ["caches 'lukewarm' is not known"]
