"""Batches in flight: no faster than memory and the slowest stage allow, and no device below what it draws at rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ircost.backends import load_target
from ircost.cost_models.energy import static_w
from ircost.rank_memory import RankMemory, batches_held
from ircost.stages import in_flight

SECONDS = st.floats(1e-6, 1.0)
H100 = load_target("h100")
CAPACITY_BYTES = int(H100.main_memory.capacity_bytes)


@given(st.lists(SECONDS, min_size=1, max_size=8), st.integers(0, 2 * CAPACITY_BYTES))
def test_batches_follow_each_other_no_faster_than_they_can(stages_s: list[float], cache_bytes: int) -> None:
    memory, latency_s, slack = RankMemory(10**10, cache_bytes, 10**9), sum(stages_s), 1 + 1e-9
    found = in_flight(len(stages_s), latency_s, max(stages_s), memory, H100)
    assert 1 <= found.batches <= len(stages_s)
    held_bytes = memory.weights_bytes + memory.activations_bytes + found.batches * cache_bytes
    assert found.batches == 1 or held_bytes <= CAPACITY_BYTES
    assert found.pace_s * slack >= max(max(stages_s), latency_s / found.batches)
    busy_j = static_w(H100) * latency_s
    assert (busy_j + found.waiting_j) * slack >= H100.power.idle_w * len(stages_s) * found.pace_s


@given(SECONDS, st.integers(0, 2 * CAPACITY_BYTES))
def test_one_stage_never_waits(latency_s: float, cache_bytes: int) -> None:
    found = in_flight(1, latency_s, latency_s, RankMemory(10**10, cache_bytes, 10**9), H100)
    assert (found.batches, found.pace_s, found.waiting_j) == (1, latency_s, 0.0)


@pytest.mark.parametrize(
    ("cache_bytes", "capacity_bytes", "held"),
    [(10, 45, 1), (10, 55, 2), (10, 75, 4), (10, 74, 3), (10, 1000, 4), (10, 20, 1), (0, 20, 4)],
)
def test_batches_that_memory_holds(cache_bytes: int, capacity_bytes: int, held: int) -> None:
    assert batches_held(RankMemory(30, cache_bytes, 5), 4, float(capacity_bytes)) == held
