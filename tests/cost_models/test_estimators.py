"""Estimators besides the trees: scikit-learn's checks, what each promises, files, and names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import RBFInterpolator
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

from ircost.cost_models.learned.columns import SIZES
from ircost.cost_models.learned.estimators.boosted import BoostedResidual
from ircost.cost_models.learned.estimators.fitted_state import state_of, with_state
from ircost.cost_models.learned.estimators.interpolation import TableInterpolation
from ircost.cost_models.learned.estimators.isotonic import IsotonicCorrection
from ircost.cost_models.learned.estimators.layout import Layout
from ircost.cost_models.learned.estimators.linear import LinearCorrection
from ircost.cost_models.learned.estimators.monotone import MonotoneTrees
from ircost.cost_models.learned.estimators.nearest import NearestKernels
from ircost.cost_models.learned.estimators.registry import ESTIMATORS, estimator_named, estimator_names
from ircost.cost_models.learned.estimators.stacked import StackedEstimators
from ircost.cost_models.learned.estimators.table_rows import surface
from ircost.cost_models.learned.features import feature_names
from ircost.cost_models.learned.packing import packed
from ircost.cost_models.learned.storage import BUNDLED
from ircost.cost_models.learned.stored_estimator import StoredEstimator, text_of
from ircost.cost_models.learned.stored_trees import LearnedModelError
from ircost.ir.errors import UnknownNameError

SMALL = BoostedResidual(trees=10, leaves=7)
LAYOUT = Layout.of("collective", sees_machine=True)
NAMES = estimator_names()


@parametrize_with_checks(
    [
        *(NearestKernels(), TableInterpolation(), LinearCorrection(), IsotonicCorrection(), MonotoneTrees(trees=30)),
        *(StackedEstimators(), BoostedResidual(trees=50, quantile=0.5, refinements=0)),
    ]
)
def test_scikit_learns_conventions(estimator: Any, check: Any) -> None:
    check(estimator)


def rows(count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Features as of collectives, and corrections that depend on sizes and words."""
    draw = np.random.default_rng(0)
    X = draw.uniform(0.0, 8.0, (count, LAYOUT.features)).astype(np.float32)  # noqa: N806
    for place in LAYOUT.words:
        X[:, place] = draw.integers(0, 2, count)
    X[:, LAYOUT.predicted] = X[:, list(LAYOUT.work)].sum(axis=1)
    y = 0.05 * X[:, LAYOUT.sizes[1]] + 0.2 * X[:, LAYOUT.words[0]] + 0.02 * X[:, LAYOUT.predicted]
    return X, y.astype(float)


@pytest.fixture(scope="module", params=NAMES)
def fitted(request: pytest.FixtureRequest) -> tuple[str, Any]:
    """Each of ours, by its name."""
    return request.param, estimator_named(request.param, LAYOUT, clone(SMALL)).fit(*rows())


def test_each_learns_what_it_can_see(fitted: tuple[str, Any]) -> None:
    """Of those that learn times it is the times, of which corrections are a small part."""
    name, estimator = fitted
    X, y = rows(500)  # noqa: N806
    known = X[:, LAYOUT.predicted] if name in ("table", "monotone") else np.zeros(500)
    error = np.abs(estimator.predict(X[400:]) - y[400:]).mean()
    assert error < 0.8 * np.abs((known + y)[400:] - (known + y)[:400].mean()).mean()


def test_files_hold_all_that_predictions_need(fitted: tuple[str, Any], tmp_path: Path) -> None:
    name, estimator = fitted
    X, _ = rows(500)  # noqa: N806
    if name == "trees":
        found = with_state(clone(SMALL), state_of(estimator), LAYOUT.features)
    else:
        (tmp_path / "seen.json.xz").write_bytes(packed(text_of(estimator, name)))
        found = StoredEstimator(tmp_path / "seen.json.xz", name, LAYOUT)
        assert text_of(found, name) == text_of(estimator, name)
    np.testing.assert_allclose(found.predict(X), estimator.predict(X), atol=2e-5)


DAMAGE = {
    "no JSON": lambda text: text[:-2],
    "no number": lambda text: text.replace('"numbers": [', '"numbers": ["x", ', 1),
    "no end": lambda text: text.replace('"numbers": [', '"numbers": [1e999, ', 1),
    "one number too many": lambda text: text.replace('"numbers": [', '"numbers": [0.5, ', 1),
    "a place unknown": lambda text: re.sub(r'"numbers": \[[^,]+,', '"numbers": [null,', text, count=1),
    "negative extent": lambda text: text.replace('"shape": [', '"shape": [-1, ', 1),
    "columns that there are not": lambda text: text.replace('"sizes": [', '"sizes": [4000, ', 1),
    "another estimator": lambda text: text.replace("points_", "others_"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["interpolation", "nearest"])
def test_damaged_files_are_told(name: str, damage: str, tmp_path: Path) -> None:
    text = text_of(estimator_named(name, LAYOUT, SMALL).fit(*rows()), name)
    changed = DAMAGE[damage](text)
    assert changed != text
    (tmp_path / "seen.json.xz").write_bytes(packed(changed))
    with pytest.raises(LearnedModelError, match=r"holds no learned model: seen\.json\.xz: "):
        StoredEstimator(tmp_path / "seen.json.xz", name, LAYOUT).predict(rows(1)[0])


def test_bundled_rows_are_asked_without_scikit_learn() -> None:
    """Its import takes longer than a report."""
    code = (
        "import sys, ircost; "
        "ircost.predict({'device': ['h100_sxm'], 'op': ['all_reduce'], 'world_size': [8], 'bytes': [1e6], "
        "'dtype': ['float16'], 'framework': ['nccl']}); "
        "assert not {'sklearn', 'lightgbm'} & {*sys.modules}, sorted(sys.modules)"
    )
    assert (BUNDLED / "collective/seen.json.xz").exists()
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_name_that_nobody_registered_is_told_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no estimator 'nearst'") as told:
        estimator_named("nearst", LAYOUT, SMALL)
    assert "nearest" in str(told.value.help)


def test_names_belong_to_one_estimator_each() -> None:
    assert NAMES == ["trees", "ensemble", "interpolation", "isotonic", "linear", "monotone", "nearest", "table"]
    assert {type(ESTIMATORS.get(name)(LAYOUT, SMALL)) for name in NAMES[1:]} == {
        *(StackedEstimators, TableInterpolation, IsotonicCorrection, LinearCorrection, MonotoneTrees, NearestKernels),
    }


@pytest.mark.parametrize("sees_machine", [True, False])
@pytest.mark.parametrize("family", SIZES)
def test_layouts_name_columns(family: str, sees_machine: bool) -> None:
    layout, names = Layout.of(family, sees_machine), feature_names(family, sees_machine)
    assert layout.features == len(names)
    assert names[layout.predicted] == "log_predicted"
    assert [names[at].removeprefix("log1p_").removeprefix("log_") for at in layout.sizes] == [*SIZES[family]]
    assert {*layout.work} < {*layout.sizes} or {*layout.work} == {*layout.sizes}
    assert [names[at] for at in layout.words] == ["runtime", "dtype", "kind", "kernel", *(["device"] * sees_machine)]
    assert len(layout.machine) == 6 * sees_machine


POINTS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=3, max_size=12, unique=True)


@given(POINTS, st.integers(0, 5))
def test_a_surface_without_smoothing_goes_through_its_points(places: list[tuple[int, int]], seed: int) -> None:
    points = np.array(places, dtype=float)
    values = np.random.default_rng(seed).normal(size=len(points))
    np.testing.assert_allclose(surface(points, values, points, len(points)), values, atol=1e-6)


@given(POINTS, st.integers(0, 5), st.floats(0.0, 1.0))
def test_surfaces_are_those_of_scipy(places: list[tuple[int, int]], seed: int, smoothing: float) -> None:
    points, draw = np.array(places, dtype=float), np.random.default_rng(seed)
    values, asked = draw.normal(size=len(points)), draw.uniform(0, 20, (5, 2))
    other = RBFInterpolator(points, values, kernel="linear", degree=0, smoothing=smoothing)(asked)
    np.testing.assert_allclose(surface(points, values, asked, len(points), smoothing), other, atol=1e-6)


def test_a_surface_over_many_points_takes_the_nearest() -> None:
    points = np.arange(1000.0)[:, None]
    values = np.where(points[:, 0] < 500, 0.0, points[:, 0])
    found = surface(points, values, np.array([[100.5], [800.5]]), neighbours=4)
    np.testing.assert_allclose(found, [0.0, 800.5], atol=1e-9)


def test_interpolation_keeps_to_rows_with_the_same_words() -> None:
    """A column of sizes, and one of words."""
    X = np.array([[0.0, 0], [2.0, 0], [0.0, 1], [2.0, 1]])  # noqa: N806
    found = TableInterpolation(smoothing=0.0, words=(1,)).fit(X, [0.0, 1.0, 10.0, 20.0])
    np.testing.assert_allclose(found.predict([[1.0, 0], [1.0, 1], [9.0, 1]]), [0.5, 15.0, 20.0])


def test_a_table_of_times_goes_on_and_knows_no_other_words() -> None:
    """Columns: a size, ln of the predicted time, a word. Measured time doubles where predicted time does not."""
    size = np.arange(4.0)
    X = np.column_stack([size, np.zeros(4), np.zeros(4)])  # noqa: N806
    found = TableInterpolation(smoothing=0.0, sizes=(0,), predicted=1, words=(2,)).fit(X, size)
    np.testing.assert_allclose(found.predict([[1.5, 0.0, 0], [1.5, 1.0, 0], [1.5, 0.0, 7]]), [1.5, 0.5, 0.0])


def test_equal_rows_count_as_their_mean() -> None:
    found = TableInterpolation(smoothing=0.0).fit([[1.0], [1.0], [3.0]], [0.0, 2.0, 5.0])
    np.testing.assert_allclose(found.predict([[1.0], [2.0]]), [1.0, 3.0])


def test_the_nearest_are_those_with_the_same_words() -> None:
    X = np.array([[0.0, 0], [0.1, 0], [3.0, 1]])  # noqa: N806
    found = NearestKernels(neighbours=1, words=(1,)).fit(X, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(found.predict([[0.0, 1], [0.02, 0], [0.02, np.nan]]), [3.0, 1.0, 1.0])


def test_a_line_stays_within_what_was_seen() -> None:
    X = np.linspace(0, 1, 20)[:, None]  # noqa: N806
    found = LinearCorrection(ridge=1e-9).fit(X, 2 * X[:, 0])
    np.testing.assert_allclose(found.predict([[0.5], [9.0], [np.nan]]), [1.0, 2.0, 1.0], atol=1e-6)


def test_words_shift_a_line() -> None:
    X = np.array([[0.0, 0], [1.0, 0], [0.0, 1], [1.0, 1]])  # noqa: N806
    found = LinearCorrection(ridge=1e-9, words=(1,)).fit(X, [0.0, 1.0, 5.0, 6.0])
    np.testing.assert_allclose(found.predict([[0.5, 0], [0.5, 1]]), [0.5, 5.5], atol=1e-6)


@given(st.lists(st.floats(-3, 3), min_size=8, max_size=30), st.integers(0, 3))
def test_isotonic_corrections_keep_the_order_of_times(correction: list[float], seed: int) -> None:
    predicted = np.random.default_rng(seed).uniform(-5, 5, len(correction))
    found = IsotonicCorrection().fit(predicted[:, None], correction)
    asked = np.linspace(-8, 8, 200)
    assert (np.diff(asked + found.predict(asked[:, None])) >= -1e-9).all()


def test_isotonic_corrections_are_by_words() -> None:
    X = np.column_stack([np.tile(np.arange(30.0), 2), np.repeat([0.0, 1.0], 30)])  # noqa: N806
    found = IsotonicCorrection(words=(1,)).fit(X, np.repeat([1.0, -1.0], 30))
    np.testing.assert_allclose(found.predict([[7.5, 0], [7.5, 1], [99.0, 1]]), [1.0, -1.0, -1.0])


def test_monotone_trees_never_fall_with_work_nor_rise_with_rates() -> None:
    """However much noise there is: columns are work, a rate and a word."""
    draw = np.random.default_rng(0)
    X = np.column_stack([*draw.uniform(0, 5, (2, 600)), draw.integers(0, 3, 600)])  # noqa: N806
    y = X[:, 0] - X[:, 1] + np.sin(4 * X[:, 0]) + draw.normal(size=600)
    found = MonotoneTrees(rising=(0,), falling=(1,), free=(2,)).fit(X, y)
    assert np.corrcoef(found.predict(X), y)[0, 1] > 0.7
    sweep = np.linspace(0, 5, 300)
    for word in range(3):
        by_work = found.predict(np.column_stack([sweep, np.full(300, 2.0), np.full(300, word)]))
        by_rate = found.predict(np.column_stack([np.full(300, 2.0), sweep, np.full(300, word)]))
        assert (np.diff(by_work) >= 0).all() and np.ptp(by_work) > 1
        assert (np.diff(by_rate) <= 0).all() and np.ptp(by_rate) > 1


def test_a_constraint_needs_leaves_as_they_are() -> None:
    with pytest.raises(ValueError, match="refinements=0"):
        BoostedResidual(monotonic_cst=(1,)).fit([[0.0], [1.0]], [0.0, 1.0])


def test_quantiles_of_trees_are_quantiles() -> None:
    draw = np.random.default_rng(1)
    X = draw.uniform(0, 1, (4000, 1))  # noqa: N806
    y = draw.normal(size=4000) * (0.1 + X[:, 0])
    low, high = (BoostedResidual(100, 15, quantile=q, refinements=0).fit(X, y).predict(X) for q in (0.05, 0.95))
    assert 0.87 < ((low <= y) & (y <= high)).mean() < 0.93
    assert (high - low)[X[:, 0] > 0.9].mean() > 3 * (high - low)[X[:, 0] < 0.1].mean()


def test_an_ensemble_hears_who_is_right_about_groups_left_out() -> None:
    """Rows of a group are copies of one another: left out one by one, who remembers them looks right."""
    group = np.repeat(np.arange(40), 5)
    X = (group + np.tile([0.0, 0.01, 0.02, 0.03, 0.04], 40))[:, None]  # noqa: N806
    y = np.random.default_rng(0).normal(size=40)[group] + 0.1 * X[:, 0]
    ensemble = StackedEstimators([NearestKernels(neighbours=1), Ridge()])
    alone, together = clone(ensemble).fit(X, y).weights_, ensemble.fit(X, y, groups=group).weights_
    assert alone[0] > 0.9 > 0.5 > together[0]


def test_an_ensemble_of_one_group_takes_the_mean() -> None:
    found = StackedEstimators([Ridge(), Ridge()]).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0], groups=[0, 0, 0])
    np.testing.assert_array_equal(found.weights_, [0.5, 0.5])
