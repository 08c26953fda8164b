"""Leaves fitted all together fit no worse with each pass, and foretell rows that were held out better."""

from __future__ import annotations

from itertools import pairwise

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ircost.cost_models.learned.estimators.boosted import BoostedResidual
from ircost.cost_models.learned.estimators.leaf_refinement import leaves_of, refine_leaves, refined

QUIET = {"verbose": -1, "num_threads": 1, "deterministic": True, "force_row_wise": True}


def sums(leaf: np.ndarray, values: list[np.ndarray]) -> np.ndarray:
    return np.sum([own[at] for own, at in zip(values, leaf, strict=True)], axis=0)


def huber(error: np.ndarray, most: float) -> float:
    size = np.abs(error)
    return float(np.where(size <= most, size**2 / 2, most * (size - most / 2)).sum())


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 400),
    leaves=st.lists(st.integers(1, 9), min_size=1, max_size=6),
)
def test_no_pass_fits_the_rows_worse(seed: int, rows: int, leaves: list[int]) -> None:
    rng = np.random.default_rng(seed)
    leaf = np.array([rng.integers(0, count, rows) for count in leaves], dtype=np.uint16)
    values, y = [rng.normal(size=count) for count in leaves], rng.normal(size=rows)
    errors = [y - sums(leaf, refined(leaf, values, y, passes)) for passes in range(4)]
    most = float(np.median(np.abs(errors[0])))
    losses = [huber(error, most) for error in errors]
    assert all(after <= before + 1e-9 for before, after in pairwise(losses))


def test_a_tree_learns_what_those_after_it_took() -> None:
    """Two trees that part the same rows in two ways: boosting gave the first what belongs to the second."""
    rng = np.random.default_rng(0)
    leaf = np.array([rng.integers(0, 2, 20_000), np.zeros(20_000)], dtype=np.uint16)
    leaf[1] = np.where(rng.random(20_000) < 0.8, leaf[0], 1 - leaf[0])  # alike, but not the same
    y = np.array([0.0, 1.0])[leaf[1]]
    boosted = [np.array([0.2, 0.8]), np.array([0.0, 0.0])]
    found = refined(leaf, boosted, y, 200)
    assert np.ptp(found[0]) == pytest.approx(0.0, abs=0.1)
    assert np.ptp(found[1]) == pytest.approx(1.0, abs=0.1)


def test_rows_held_out_are_foretold_better() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(12_000, 5))
    y = np.sin(3 * x[:, 0]) + x[:, 1] * x[:, 2] + np.abs(x[:, 3]) + 0.05 * rng.standard_t(2, size=len(x))
    known, others = slice(0, 8_000), slice(8_000, None)
    errors = [
        np.abs(BoostedResidual(80, 31, refinements=passes).fit(x[known], y[known]).predict(x[others]) - y[others])
        for passes in (0, 6)
    ]
    assert errors[1].mean() < 0.97 * errors[0].mean()
    assert np.median(errors[1]) < 0.97 * np.median(errors[0])


def test_the_booster_says_the_sums_of_its_new_leaves() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(900, 3))
    y = x[:, 0] * x[:, 1] + rng.normal(size=900)
    booster = lightgbm.train({**QUIET, "num_leaves": 7}, lightgbm.Dataset(x, y), 45)
    leaf = leaves_of(booster, x)
    values = [np.array([booster.get_leaf_output(tree, at) for at in range(7)]) for tree in range(45)]
    np.testing.assert_allclose(sums(leaf, values), booster.predict(x), rtol=1e-12, atol=1e-12)
    refine_leaves(booster, x, y, 3)
    read = lightgbm.Booster(model_str=booster.model_to_string())
    np.testing.assert_allclose(read.predict(x), sums(leaf, refined(leaf, values, y, 3)), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("y", [np.zeros(50), np.full(50, 3.5)])
def test_what_is_always_the_same_stays_so(y: np.ndarray) -> None:
    x = np.arange(50.0)[:, None]
    np.testing.assert_allclose(BoostedResidual(5, 4).fit(x, y).predict(x), y, atol=1e-4)
