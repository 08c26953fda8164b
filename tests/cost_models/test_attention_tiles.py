"""What a tile of queries holds and walks over: heads beside each other where a library does so, keys past a window."""

from __future__ import annotations

import numpy as np
import pytest

from ircost.backends import load_target
from ircost.cost_models.gpu.attention import CHOICES, AttentionWork, attention_demand
from ircost.cost_models.gpu.demand import Demand
from ircost.cost_models.gpu.machine import machine_of
from ircost.cost_models.gpu.rows import setting_of
from ircost.cost_models.gpu.table_work import attention_work, packs_heads

PEAK = 1e15


def columns(phase: str, kernel: str, **sizes: float) -> dict[str, np.ndarray]:
    words = {"phase": phase, "kernel": kernel, "kv_dtype": "bfloat16"}
    numbers = {
        "batch": 64,
        "q_len": 16,
        "kv_len": 16,
        "heads": 32,
        "kv_heads": 2,
        "head_dim": 128,
        "window": 0,
        **sizes,
    }
    return {
        **{name: np.array([word], dtype=object) for name, word in words.items()},
        **{name: np.array([float(number)]) for name, number in numbers.items()},
    }


def most_shared(device: str, runtime: str, phase: str, kernel: str, **sizes: float) -> float:
    setting, _ = setting_of(device, runtime, "bfloat16", load_target)
    assert setting is not None
    return float(np.ravel(attention_work(columns(phase, kernel, **sizes), setting).most_shared)[0])


@pytest.mark.parametrize(
    ("runtime", "kernel", "architecture", "packs"),
    [
        *(("vllm", "vllm_flash_attn_fa3", "hopper", True), ("vllm", "vllm_flash_attn_fa2", "ada", False)),
        *(("vllm", "vllm_flash_attn", "hopper", True), ("vllm", "vllm_flash_attn", "ampere", False)),
        *(("vllm", "vllm_flashinfer_fiprefill", "ada", True), ("vllm", "", "ampere", False)),
        *(("sglang", "fa3", "hopper", True), ("sglang", "triton", "ada", False)),
        *(("trtllm", "torch_flow", "hopper", False), ("", "", "hopper", True)),
    ],
)
def test_libraries_hold_heads_beside_each_other_or_not(
    runtime: str, kernel: str, architecture: str, packs: bool
) -> None:
    assert packs_heads(runtime, kernel, architecture) is packs


def test_heads_of_prompts_are_by_themselves_where_the_library_has_them_so() -> None:
    assert most_shared("h200", "trtllm", "prefill", "torch_flow") == 1
    assert most_shared("h200", "trtllm", "decode", "torch_flow") == 32
    assert most_shared("h200", "vllm", "prefill", "vllm_flash_attn_fa3") == np.inf
    assert most_shared("l40s", "vllm", "prefill", "vllm_flash_attn_fa2") == 1
    assert most_shared("l40s", "vllm", "prefill", "vllm_flash_attn_fa2", q_len=1) == np.inf


def demand(most_shared: float = np.inf, **changed: float) -> Demand:
    sizes = {"batch": 1.0, "queries": 1024.0, "keys": 1024.0, "heads": 8.0, "kv_heads": 8.0, "window": 0.0}
    own = {name: np.array([number]) for name, number in {**sizes, **changed}.items()}
    work = AttentionWork(
        **own,
        key_width=128.0,
        value_width=128.0,
        kv_bytes=512.0,
        query_bytes=2.0,
        is_causal=np.ones(1),
        flops_per_s=PEAK,
        sets=1.0,
        most_shared=most_shared,
        fewest_queries=64.0,
    )
    return attention_demand(work, machine_of(load_target("h100")))


def walked(found: Demand, tile: int) -> float:
    """Seconds of the products, of the tile without splits."""
    return float(np.broadcast_to(found.busy["matrix"], (1, len(CHOICES)))[0, CHOICES.index(f"{tile} queries")])


def test_a_tile_sees_more_keys_than_the_window_of_one_query() -> None:
    """Each of 128 queries sees 64 keys, all of them 191: three tiles of keys, not one."""
    narrow, none = (walked(demand(window=window), 128) for window in (64.0, 0.0))
    step = 2 * 128 * 64 * 256 * 132 / PEAK
    assert narrow == pytest.approx(3 * step)
    assert none > 2 * narrow


@pytest.mark.parametrize("window", [1, 64, 1000, 1024, 5000])
@pytest.mark.parametrize("queries", [1, 100, 1024])
def test_who_sees_less_walks_no_further(window: float, queries: float) -> None:
    narrow, wide = demand(window=float(window), queries=float(queries)), demand(queries=float(queries))
    assert (narrow.busy["matrix"] <= wide.busy["matrix"]).all()


def test_a_group_of_heads_fills_a_tile_together_or_each_alone() -> None:
    few = {"queries": 16.0, "keys": 16.0, "batch": 64.0, "heads": 32.0}
    packed = walked(demand(**few, kv_heads=2.0), 64)
    alone = walked(demand(**few, kv_heads=2.0, most_shared=1.0), 64)
    assert alone == pytest.approx(walked(demand(**few, kv_heads=32.0), 64))
    assert alone > 3 * packed
