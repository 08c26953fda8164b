"""Trust and intervals where a whole group is new: a machine, or an octave of sizes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ircost.cost_models.learned.calibration import MOST_HALF_WIDTH, Held, calibrated
from ircost.cost_models.learned.conformal import conformal_quantile, group_quantile, held_out_scores, spread_of
from ircost.cost_models.learned.novelty import LEVELS

EACH = 400  # rows of a group


def held(error: np.ndarray, correction: np.ndarray, level: int = 0) -> Held:
    """Groups of rows, one for each column of errors; features tell nothing but the group."""
    count, groups = error.shape
    group = np.repeat(np.arange(groups), count)
    noise = np.random.default_rng(7).normal(size=count * groups)
    features = np.column_stack([group, noise])
    levels = np.full(count * groups, level)
    return Held(features, error.T.ravel(), np.repeat(correction, count), levels, group, group)


def machines(seed: int, count: int) -> np.ndarray:
    """[rows, machines] errors whose size differs from machine to machine, by 1.5 for one standard deviation."""
    draw = np.random.default_rng(seed)
    return np.exp(draw.normal(scale=0.4, size=count)) * draw.normal(scale=0.1, size=(EACH, count))


def test_new_machines_lie_inside_of_what_others_need() -> None:
    inside = []
    for seed in range(12):
        error = machines(seed, 6)
        calibration = calibrated(held(error[:, 1:], np.zeros(5)), by_group=True)
        features = np.column_stack([np.full(EACH, 2.5), np.zeros(EACH)])
        width = calibration.half_width(features, np.zeros(EACH, dtype=int))
        inside.append((np.abs(error[:, 0]) <= width).mean())
    assert np.mean(inside) >= 0.85


def test_scores_are_of_trees_that_never_saw_the_group() -> None:
    """Trees that saw each group know how large its errors are; of a new group they do not."""
    size = np.repeat([0.03, 0.05, 0.1, 0.3], EACH)
    group = np.repeat(np.arange(4), EACH)
    features = np.column_stack([group, np.zeros(len(group))]).astype(float)
    seen = size / np.exp(spread_of(features, size).predict(features))
    assert conformal_quantile(seen) < 1.1
    assert conformal_quantile(held_out_scores(features, size, group)) > 2


def test_one_group_is_scored_by_itself() -> None:
    size = np.full(EACH, 0.1)
    scores = held_out_scores(np.zeros((EACH, 1)), size, np.zeros(EACH, dtype=int))
    assert scores == pytest.approx(np.ones(EACH), rel=0.01)


@given(st.floats(0.1, 10), st.integers(1, 8))
def test_few_alike_groups_still_leave_doubt(size: float, count: int) -> None:
    group = np.repeat(np.arange(count), 20)
    needed = group_quantile(np.full(len(group), size), group)
    assert size * 1.1 < needed < size * 2


def test_no_interval_is_wider_than_a_factor_of_five() -> None:
    calibration = calibrated(held(machines(0, 4) * 100, np.zeros(4)), by_group=True)
    assert calibration.half_width(np.zeros((3, 2)), np.arange(3)).max() == MOST_HALF_WIDTH


def test_no_interval_is_wider_than_what_the_worst_machine_needs() -> None:
    error = np.random.default_rng(0).normal(size=(EACH, 3)) * [0.1, 0.1, 0.3]
    own = held(error, np.zeros(3))
    own = replace(own, features=np.abs(own.residual)[:, None] ** [1, 2])  # by which trees foretell the errors
    calibration = calibrated(own, by_group=True)
    assert calibration.half_width(own.features, own.level).max() == calibration.widest
    assert calibration.widest == pytest.approx(np.quantile(np.abs(error[:, 2]), 0.9), rel=0.02)


def test_of_two_machines_the_worst_is_not_what_the_next_needs() -> None:
    error = np.random.default_rng(0).normal(size=(EACH, 2)) * [0.1, 0.12]
    widest = calibrated(held(error, np.zeros(2)), by_group=True).widest
    assert 1.2 < widest / np.quantile(np.abs(error[:, 1]), 0.9) < 1.6


def test_what_helps_some_and_harms_others_is_not_believed() -> None:
    """Two of four machines gain two points, none loses more than is allowed; a fifth may be of either kind."""
    error = np.full((EACH, 4), 0.1)
    assert calibrated(held(error, np.array([0.02, 0.02, -0.008, -0.008])), by_group=True).trust[0] == 0.0
    assert calibrated(held(error, np.array([0.02, 0.02, 0.01, 0.01])), by_group=True).trust[0] == 1.0


def test_a_level_of_one_machine_borrows() -> None:
    own = held(machines(1, 4) + 0.3, np.full(4, 0.3))
    level = np.where(own.group == 0, LEVELS - 1, 0)
    trust = calibrated(replace(own, level=level), by_group=True).trust
    assert trust == (1.0, 0.5, 0.25)


def test_what_is_farther_away_is_believed_no_more() -> None:
    """Corrections of the middle level are right by chance, those of the others half right."""
    rng = np.random.default_rng(0)
    correction = rng.normal(size=3000)
    level = np.arange(3000) % LEVELS
    share = np.where(level == 1, 1.0, 0.5)
    own = Held(np.zeros((3000, 2)), share * correction, correction, level, np.zeros(3000), np.zeros(3000))
    first, middle, last = calibrated(own, by_group=False).trust
    assert 0.5 <= first == middle <= 1.0 and last == 0.5
    falling = replace(own, residual=np.where(level == 2, 0.2, 0.8) * correction)
    assert calibrated(falling, by_group=False).trust == pytest.approx((0.8, 0.8, 0.2))
