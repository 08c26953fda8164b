"""Trees asked about many rows together say what LightGBM says of each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ircost.cost_models.learned import forest as forests
from ircost.cost_models.learned.boxes import boxes
from ircost.cost_models.learned.estimators.boosted import BoostedResidual
from ircost.cost_models.learned.family_model import FamilyModel
from ircost.cost_models.learned.forest import Forest, rounded_down
from ircost.cost_models.learned.storage import bundled_models
from ircost.cost_models.learned.stored_estimator import TREES
from ircost.cost_models.learned.stored_trees import StoredTrees

CLOSE = 1e-12  # of logarithms
ZERO = 1e-34  # LightGBM takes what is smaller for zero, before any tree sees it


def rows_like(rng: np.random.Generator, count: int, features: int, lacking: float = 0.0) -> np.ndarray:
    """Steps and numbers that are all different; some are not known."""
    found = rng.normal(size=(count, features)).astype(np.float32)
    found[:, ::2] = np.round(found[:, ::2] * 4)
    found[rng.random(found.shape) < lacking] = np.nan
    return found


def assert_same(model: BoostedResidual | StoredTrees, rows: np.ndarray) -> None:
    """Of rows that are asked in boxes, and of rows that are led through the trees one by one."""
    import lightgbm

    assert rows.dtype == np.float32
    expected = lightgbm.Booster(model_str=model.text_).predict(rows, num_threads=1)
    np.testing.assert_allclose(model.forest_.boxed(rows), expected, rtol=0, atol=CLOSE)
    np.testing.assert_allclose(model.forest_.walked(rows), expected, rtol=0, atol=CLOSE)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    leaves=st.integers(2, 40),
    trees=st.integers(1, 30),
    lacking=st.sampled_from([(0.0, 0.0), (0.2, 0.2), (0.0, 0.2), (0.2, 0.0)]),
    count=st.integers(1, 700),
)
def test_the_sums_are_those_of_lightgbm(
    seed: int, leaves: int, trees: int, lacking: tuple[float, float], count: int
) -> None:
    rng = np.random.default_rng(seed)
    known = rows_like(rng, 400, 6, lacking[0])
    aim = np.nan_to_num(known[:, 0]) * np.nan_to_num(known[:, 1]) + rng.normal(size=len(known))
    model = BoostedResidual(trees=trees, leaves=leaves, least_rows=3).fit(known, aim)
    assert_same(model, rows_like(rng, count, 6, lacking[1]))


def test_rows_on_a_threshold_and_beside_it() -> None:
    rng = np.random.default_rng(0)
    known = rng.normal(size=(500, 3)).astype(np.float32)
    model = BoostedResidual(trees=20, leaves=15, least_rows=3).fit(known, known[:, 0] * known[:, 1])
    edges = model.forest_.questions.threshold[:300]
    around = [edges, np.nextafter(edges, np.float32(np.inf)), np.nextafter(edges, np.float32(-np.inf))]
    values = np.concatenate(around)
    assert_same(model, np.stack([values, np.roll(values, 7), np.roll(values, 13)], axis=1))


@given(st.floats(allow_nan=False))
def test_rounding_down_parts_the_same_numbers(threshold: float) -> None:
    with np.errstate(over="ignore"):
        near = rounded_down(np.array([threshold]))[0]
        beyond = np.nextafter(near, np.float32(np.inf))
    assert near.dtype == np.float32
    assert float(near) <= threshold
    assert float(beyond) > threshold or near == np.float32(np.inf)


def test_where_there_is_nothing_to_learn_trees_are_one_leaf() -> None:
    rows = rows_like(np.random.default_rng(0), 700, 4)
    model = BoostedResidual(trees=3).fit(rows, np.full(len(rows), 0.25))
    assert not len(model.forest_.question)
    assert_same(model, rows)


def test_many_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forests, "ROWS", 100)
    rng = np.random.default_rng(1)
    known = rows_like(rng, 3000, 5, 0.02)
    model = BoostedResidual(trees=40, leaves=31).fit(known, np.nan_to_num(known).prod(axis=1))
    assert_same(model, known[:1111])


def test_sums_are_the_same_whatever_rows_are_asked_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit, in boxes of any rows, in any order of adding."""
    rng = np.random.default_rng(3)
    known = rows_like(rng, 2000, 5, 0.1)
    forest = BoostedResidual(trees=60, leaves=31).fit(known, np.nan_to_num(known[:, 0] * known[:, 1])).forest_
    alone = forest.walked(known)
    for most in (70, 300, 1500):
        monkeypatch.setattr(forests, "ROWS", most)
        order = rng.permutation(len(known))
        np.testing.assert_array_equal(forest.boxed(known[order]), alone[order])
    monkeypatch.setattr(forests, "WHOLE_F32", 0.0)
    np.testing.assert_array_equal(forest.boxed(known), alone)


def test_trees_that_are_fitted_anew_are_asked_anew() -> None:
    rows = rows_like(np.random.default_rng(0), 700, 4)
    model = BoostedResidual(trees=3).fit(rows, rows[:, 0])
    before = model.predict(rows)
    model.fit(rows, -rows[:, 0])
    assert_same(model, rows)
    np.testing.assert_allclose(model.predict(rows), model.booster_.predict(rows), rtol=0, atol=CLOSE)
    assert np.abs(model.predict(rows) - before).max() > 0.1


@pytest.mark.parametrize("family", sorted(bundled_models()))
def test_models_that_come_with_the_package(family: str) -> None:
    model: FamilyModel = bundled_models()[family]
    rng = np.random.default_rng(0)
    for head in (model.seen, model.unnamed, model.unseen):
        if head is None:
            assert head is model.unnamed  # no runtime that replays graphs was met
            continue
        assert head.residual is not None or not any(head.calibration.trust)
        residual = head.residual if head.estimator == TREES else None
        for trees in filter(None, (residual, head.calibration.spread)):
            assert isinstance(trees, StoredTrees)
            forest: Forest = trees.forest_
            # Numbers as its own thresholds have them, and next to each on both sides.
            asked = forest.questions
            rows = np.zeros((600, trees.features), dtype=np.float32)
            for feature in range(rows.shape[1]):
                own = asked.threshold[asked.feature == feature]
                if len(own):
                    here = rng.choice(own, len(rows))
                    toward = rng.choice([-np.inf, 0, np.inf], len(rows)).astype(np.float32)
                    rows[:, feature] = np.where(toward == 0, here, np.nextafter(here, toward))
            rows[np.abs(rows) < ZERO] = 0.0
            assert_same(trees, rows)


def test_what_rows_lack_is_left_to_whoever_asks() -> None:
    """Features that lie column by column are not copied, and not written to."""
    rng = np.random.default_rng(2)
    known = rows_like(rng, 400, 6)
    model = BoostedResidual(trees=5, leaves=7, least_rows=3).fit(known, known[:, 0])
    rows = np.asfortranarray(rows_like(rng, 700, 6, 0.3))
    before = rows.copy()
    assert_same(model, rows)
    np.testing.assert_array_equal(rows, before)


@given(st.integers(0, 2**32 - 1), st.integers(1, 500), st.integers(1, 60))
def test_boxes_hold_every_row_once(seed: int, count: int, most: int) -> None:
    columns = np.round(np.random.default_rng(seed).normal(size=(3, count)), 1)
    found = list(boxes(columns, np.array([3, 1, 2]), most))
    assert all(len(rows) <= most for rows in found)
    assert np.array_equal(np.sort(np.concatenate(found)), np.arange(count))


def test_rows_are_told_the_same_alone_and_among_others() -> None:
    rng = np.random.default_rng(3)
    known = rows_like(rng, 3000, 5)
    model = BoostedResidual(trees=60, leaves=31).fit(known, known.prod(axis=1)).forest_
    rows = rows_like(rng, 500, 5)
    np.testing.assert_array_equal(
        model.predict(rows), np.concatenate([model.predict(rows[i : i + 7]) for i in range(0, 500, 7)])
    )
