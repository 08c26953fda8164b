"""Routing: how many experts rows meet, and how full their tiles are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ircost.backends import load_target
from ircost.cost_models.gpu.experts import ROW_TILES, ExpertsWork, experts_demand, rank_load, tiles_expected
from ircost.cost_models.gpu.machine import machine_of
from ircost.cost_models.gpu.table_work import skew_of
from ircost.ir.ops.experts import experts_met, rows_of_busiest

ROUTINGS = st.integers(1, 64).flatmap(lambda k: st.tuples(st.just(k), st.integers(k, 512)))


@given(st.integers(0, 100_000), ROUTINGS)
def test_rows_meet_at_least_those_of_one_and_at_most_all_that_they_choose(rows: int, routing: tuple[int, int]) -> None:
    chosen, experts = routing
    met = experts_met(rows, chosen, experts)
    assert min(rows, 1) * chosen * (1 - 1e-12) <= met <= min(rows * chosen, experts) * (1 + 1e-12)


@given(st.integers(1, 20_000), ROUTINGS)
def test_tiles_hold_all_rows_and_waste_less_than_one_an_expert(rows: int, routing: tuple[int, int]) -> None:
    chosen, experts = routing
    tiles = tiles_expected(rows, chosen / experts)
    full = rows * chosen / experts / np.array(ROW_TILES)
    met = experts_met(rows, chosen, experts) / experts
    assert (tiles >= full * (1 - 1e-9)).all()
    assert (tiles <= full + met + 1e-9).all(), "each expert that is met has one tile that is not full, at most"


@pytest.mark.parametrize(("rows", "chosen", "experts"), [(32, 8, 256), (500, 2, 8), (4096, 8, 64)])
def test_expectations_are_those_of_a_draw(rows: int, chosen: int, experts: int) -> None:
    rng = np.random.default_rng(0)
    draws = 40
    loads = np.zeros((draws, experts))
    for draw in range(draws):
        picked = rng.random((rows, experts)).argpartition(chosen - 1, axis=1)[:, :chosen]
        loads[draw] = np.bincount(picked.ravel(), minlength=experts)
    got_rows, met, *tiles = rank_load(rows, chosen, experts, 1, 0.0, 1.0)
    assert got_rows == rows * chosen
    assert met == pytest.approx((loads > 0).sum(axis=1).mean(), rel=0.02)
    for tile, found in zip(ROW_TILES, tiles, strict=True):
        assert found == pytest.approx(np.ceil(loads / tile).sum(axis=1).mean(), rel=0.02)


@pytest.mark.parametrize("ranks", [1, 4])
def test_a_skew_of_1_lies_between_its_neighbours(ranks: int) -> None:
    """There the integral of the power law is a logarithm."""
    low, at, near, high = (rank_load(1000.0, 8.0, 128.0, ranks, s, 0.0) for s in (1 - 1e-4, 1.0, 1 + 1e-12, 1 + 1e-4))
    assert at == pytest.approx(near, rel=1e-9)
    assert at == pytest.approx(low, rel=1e-2) and at == pytest.approx(high, rel=1e-2)
    assert min(low[0], high[0]) <= at[0] <= max(low[0], high[0])


@pytest.mark.parametrize(
    ("word", "skew"),
    [
        *(("balanced", 0.0), ("power_law_1.2", 1.2), ("power_law_1.01", 1.01), ("power_law_1", 1.0)),
        *((word, None) for word in ("", "zipf", "power_law", "power_law_", "power_law_.", "power_law_steep")),
        *((f"power_law_{tail}", None) for tail in ("1e0", "-1.2", "1abc", "nan", "inf", "\u00b2", "9" * 400)),
    ],
)
def test_the_skew_of_a_distribution(word: str, skew: float | None) -> None:
    assert skew_of(word) == skew


def test_where_each_row_takes_all_nothing_is_drawn() -> None:
    assert rank_load(300, 4, 4, 1, 0.0, 1.0) == (1200.0, 4.0, *(4 * np.ceil(300 / np.array(ROW_TILES))))


@pytest.mark.parametrize("ranks", [1, 2, 8, 64])
def test_every_row_streams_on_some_terms_wherever_its_expert_is(ranks: int) -> None:
    """Balanced: a rank computes its part of the rows, and may stream the rest of them."""
    machine = machine_of(load_target("h100_sxm"))
    tokens, chosen, hidden, inner = 4096.0, 8.0, 2048.0, 768.0
    work = ExpertsWork(
        *(np.array([x]) for x in (tokens, hidden, inner, chosen, 128.0, float(ranks))),
        *(np.array([x]) for x in (3.0, 0.0, 2.0, 2.0, 0.0, 9e14, 1.0)),
    )
    fixed = experts_demand(work, machine).fixed
    whole_s = tokens * chosen * (hidden + inner) * 2 / machine.main_bytes_per_s
    own_s, others_s = (float(fixed[name][0, 0]) for name in ("rows", "others"))
    assert own_s == pytest.approx(whole_s / ranks) and own_s + others_s == pytest.approx(whole_s)


@pytest.mark.parametrize("ranks", [4, 16])
@pytest.mark.parametrize(("rows", "chosen", "experts"), [(1, 8, 256), (16, 8, 256), (300, 4, 64), (4096, 8, 128)])
def test_all_ranks_wait_for_the_busiest(rows: int, chosen: int, experts: int, ranks: int) -> None:
    """Rows that have one expert each there, whatever else they chose: as many, and as many experts."""
    rng = np.random.default_rng(1)
    most_rows, most_met = [], []
    for _ in range(200):
        picked = rng.random((rows, experts)).argpartition(chosen - 1, axis=1)[:, :chosen]
        loads = np.bincount(picked.ravel(), minlength=experts).reshape(ranks, -1)
        most_rows.append(loads.sum(axis=1).max())
        most_met.append((loads > 0).sum(axis=1).max())
    own = rows_of_busiest(rows, chosen, ranks)
    assert own == pytest.approx(np.mean(most_rows), rel=0.08)
    assert experts_met(own, 1, experts // ranks) == pytest.approx(np.mean(most_met), rel=0.12)


@given(st.integers(0, 5000), st.sampled_from([1, 2, 8]), st.sampled_from([1, 2, 8, 64]))
def test_the_busiest_rank_has_no_less_than_its_share_and_no_more_than_all(rows: int, chosen: int, ranks: int) -> None:
    own = rows_of_busiest(rows, chosen, ranks)
    assert rows * chosen / ranks * (1 - 1e-6) <= own <= rows * chosen * (1 + 1e-6)
