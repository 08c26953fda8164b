"""Tiles against lower bounds: never below, and near to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ircost.cost_models.traffic_bounds import (
    attention_bound,
    best_attention_tiling,
    best_product_tiling,
    product_bound,
)

SIDES = st.integers(1, 600)


@given(m=SIDES, n=SIDES, k=SIDES, memory=st.integers(3, 40_000), multiple=st.sampled_from([1, 1, 8]))
def test_no_product_is_below_its_bound(m: int, n: int, k: int, memory: int, multiple: int) -> None:
    try:
        tiling = best_product_tiling(m, n, k, memory, multiple=multiple)
    except ValueError:
        assert multiple > 1
        return
    assert tiling.traffic >= product_bound(m, n, k, memory) * (1 - 1e-12)
    assert tiling.traffic >= m * k + k * n + m * n


@pytest.mark.parametrize("memory", [100, 1_000, 10_000, 100_000])
def test_large_products_come_near_to_the_bound(memory: int) -> None:
    assert best_product_tiling(4096, 4096, 4096, memory).ratio < 1.25


@given(rows=SIDES, width=st.integers(1, 128), memory=st.integers(8, 60_000))
def test_no_attention_is_below_its_bound(rows: int, width: int, memory: int) -> None:
    tiling = best_attention_tiling(rows, width, memory)
    assert tiling.traffic >= attention_bound(rows, width, memory) * (1 - 1e-12)


@given(memory=st.integers(8, 30_000), more=st.integers(1, 30_000))
def test_more_memory_never_moves_more(memory: int, more: int) -> None:
    products = [best_product_tiling(512, 512, 64, m) for m in (memory, memory + more)]
    attentions = [best_attention_tiling(512, 64, m) for m in (memory, memory + more)]
    for less, greater in (products, attentions):
        assert greater.traffic <= less.traffic


def test_two_stages_need_more_room() -> None:
    once, twice = (best_attention_tiling(4096, 64, 8192, stages=stages) for stages in (1, 2))
    assert twice.traffic >= once.traffic


def test_small_products_are_read_once() -> None:
    tiling = best_product_tiling(8, 8, 8, 1_000)
    assert tiling.traffic == tiling.bound == 3 * 64


def test_nothing_fits() -> None:
    with pytest.raises(ValueError, match="no tile fits in a memory of 4 elements"):
        best_product_tiling(64, 64, 64, 4, multiple=8)
