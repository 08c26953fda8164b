"""Learned models: features, estimators, novelty, intervals, storage, hybrid; by ``--measured DIR`` a bundled one."""

from __future__ import annotations

import json
import lzma
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.estimator_checks import parametrize_with_checks

from ircost.backends import Target, load_target
from ircost.cost_models.analytical import Analytical, Evaluated
from ircost.cost_models.evaluation import ROW_MODELS, predict_table
from ircost.cost_models.gpu.constants import bundled_constants
from ircost.cost_models.gpu.labels import GRAPH_REPLAY
from ircost.cost_models.gpu.machine import machine_of
from ircost.cost_models.kernel_table import kernel_table
from ircost.cost_models.learned import held_out, packing
from ircost.cost_models.learned.calibration import Held, calibrated
from ircost.cost_models.learned.columns import BUSY, FIXED, MOST_CACHES, SIZES, columns_of
from ircost.cost_models.learned.conformal import conformal_quantile
from ircost.cost_models.learned.estimators.boosted import BoostedResidual
from ircost.cost_models.learned.family_model import Asked, FamilyModel, Head
from ircost.cost_models.learned.features import feature_names, without_machine
from ircost.cost_models.learned.grades import Corrected
from ircost.cost_models.learned.held_out import corrections_of, trained_and_held_out
from ircost.cost_models.learned.hybrid import Hybrid
from ircost.cost_models.learned.judging import errors_of, outcome_of, outcome_of_machines
from ircost.cost_models.learned.machines_left_out import breeds_of, targets_to_leave_out
from ircost.cost_models.learned.made import about, made
from ircost.cost_models.learned.novelty import LEVELS, Novelty
from ircost.cost_models.learned.packing import packed, unpacked
from ircost.cost_models.learned.propagation import Spread, interval_of_sum
from ircost.cost_models.learned.recipes import Recipe
from ircost.cost_models.learned.rows import readable, rows_of, thinned
from ircost.cost_models.learned.splits import folds_of
from ircost.cost_models.learned.storage import BUNDLED, SUMS, read_models, write_model
from ircost.cost_models.learned.stored_trees import LearnedModelError
from ircost.cost_models.learned.trained import digest_of
from ircost.cost_models.learned.training import Trained, train
from ircost.cost_models.learned.tree_writing import compact_text, number_formats
from ircost.ir.parser import parse_module

DEVICES = ("h100_sxm", "h200_sxm", "a100_sxm_80gb", "l40s", "t4")
SMALL = Recipe(trees=60, leaves=7, unnamed_leaves=7, unseen_trees=40, unseen_leaves=7, kin_trees=40, kin_leaves=7)
PRODUCTS = """
func @main(%x: 512x1024xbf16, %w: 1024x2048xbf16, %v: 2048x1024xbf16) -> (512x1024xbf16) {
  %y = matmul %x, %w
  %z = matmul %y, %v
  return %z
}
"""


def text_of_trees(estimator: object) -> str:
    assert isinstance(estimator, BoostedResidual)
    return estimator.text_


def target_of(name: str) -> Any:
    return load_target(name)


def products(devices: Sequence[str] = DEVICES) -> dict[str, np.ndarray]:
    """Products on some machines, as fast as the analytical model says, but for what depends on k alone."""
    m, n, k = (g.ravel() for g in np.meshgrid(*(2.0 ** np.arange(low, 14, 2) for low in (0, 8, 7)), indexing="ij"))
    count = len(m)
    columns = {
        **{"m": np.tile(m, len(devices)), "n": np.tile(n, len(devices)), "k": np.tile(k, len(devices))},
        "device": np.repeat(np.array(devices, dtype=object), count),
        "framework": np.full(count * len(devices), "vllm", dtype=object),
        "dtype": np.full(count * len(devices), "float16", dtype=object),
        "latency_us": np.ones(count * len(devices)),
    }
    constants = bundled_constants()
    found = predict_table(columns, "products", target_of, ROW_MODELS["analytical"], lambda name: constants)
    return {**columns, "latency_us": found.predicted_s * 1e6 * np.where(columns["k"] > 1000, 1.4, 0.8)}


@pytest.fixture(scope="module")
def table() -> dict[str, np.ndarray]:
    return products()


def trained_on(columns: dict[str, np.ndarray]) -> Trained:
    """As if constants were the same whichever machines they never saw."""
    constants, own = bundled_constants(), readable(columns, "products", target_of)
    return train(own, constants, dict.fromkeys(targets_to_leave_out(breeds_of(own)), constants), SMALL)


@pytest.fixture(scope="module")
def trained(table: dict[str, np.ndarray]) -> Trained:
    return trained_on(table)


# ---- features


@pytest.mark.parametrize("family", SIZES)
def test_every_column_is_declared_once(family: str) -> None:
    names = feature_names(family, sees_machine=True)
    assert len(set(names)) == len(names)
    assert set(BUSY) == set(FIXED) == set(SIZES)
    assert all(column.meaning for column in columns_of(family))


def test_features_are_finite_and_fit_their_names(table: dict[str, np.ndarray]) -> None:
    own = readable(table, "products", target_of)
    rows = rows_of(own, lambda name: bundled_constants(), own.vocabulary())
    assert rows.features.shape == (len(table["m"]), len(feature_names("gemm", True)))
    assert np.isfinite(rows.features).all()
    assert without_machine("gemm", rows.features).shape[1] == len(feature_names("gemm", False))


def test_a_networks_kernel_has_the_features_of_a_measured_row() -> None:
    """Sizes and tiles of a product are the same whoever asks; times differ by what the caches hold."""
    module = parse_module(PRODUCTS)
    part = next(iter(Analytical().evaluated(kernel_table(module), load_target("h100_sxm"))))
    columns = {
        **{"m": np.array([512.0, 512.0]), "n": np.array([2048.0, 1024.0]), "k": np.array([1024.0, 2048.0])},
        **{"device": np.array(["h100_sxm"] * 2, dtype=object), "latency_us": np.ones(2)},
    }
    own = readable(columns, "two", target_of)
    rows = rows_of(own, lambda name: bundled_constants(), own.vocabulary())
    from ircost.cost_models.gpu.machine import machine_of
    from ircost.cost_models.learned.columns import Expressed
    from ircost.cost_models.learned.features import number_matrix

    x = Expressed("gemm", part.work, part.terms, machine_of(load_target("h100_sxm")), part.labels)
    names = feature_names("gemm", True)
    same = [i for i, name in enumerate(names) if name.startswith(("log_b", "log_m", "log_n", "log_k", "tail", "waves"))]
    assert len(same) > 8
    np.testing.assert_allclose(number_matrix(x)[:, same], rows.features[:, same], rtol=1e-6)


@pytest.mark.parametrize("device", ["h100_sxm", "l40s"])
def test_weights_of_a_network_are_as_cold_as_those_that_took_turns(device: str) -> None:
    """Where six sets of weights are more than four caches: what was learned of one holds for the other."""
    columns = {
        **{name: np.full(3, size) for name, size in (("m", 64.0), ("n", 8192.0), ("k", 8192.0))},
        **{"caches": np.array(["turning weights", "cold", "warm"], dtype=object)},
        **{"device": np.array([device] * 3, dtype=object), "latency_us": np.ones(3)},
    }
    own = readable(columns, "three", target_of)
    rows = rows_of(own, lambda name: bundled_constants(), own.vocabulary())
    place = feature_names("gemm", True).index("footprint_1")
    turning, cold, warm = rows.features[np.argsort(rows.place), place]
    assert turning == cold == np.float32(np.log(MOST_CACHES))
    assert warm < cold


def test_a_machine_of_few_rows_is_heard_among_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The many are as the analytical model says, the few three times as slow; nothing but its name tells the few."""
    both = products(("h100_sxm", "a100_sxm_80gb"))
    is_few = (both["device"] == "a100_sxm_80gb") & (np.arange(len(both["m"])) % 7 == 0)
    kept = np.flatnonzero((both["device"] == "h100_sxm") | is_few)
    columns = {name: column[kept] for name, column in both.items()}
    own = readable(columns, "products", target_of)
    rows = rows_of(own, lambda name: bundled_constants(), own.vocabulary())
    few = rows.device == "a100_sxm_80gb"
    told = replace(rows, measured_s=rows.analytical_s * np.where(few, 3.0, 1.0))
    monkeypatch.setattr(held_out, "OF_MANY", 1)
    heard = corrections_of(told, SMALL)
    monkeypatch.setattr(held_out, "MOST_HEARD", 1)
    drowned = corrections_of(told, SMALL)
    error, before = (np.abs(model.predict(told.features) - told.residual) for model in (heard, drowned))
    assert error[few].mean() < 0.9 * before[few].mean()
    assert error[~few].mean() < 0.05


def test_a_machine_alone_is_heard_once(table: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    """However few its rows: leaves of as many rows as asked for are leaves of so many kernels."""
    alone = readable(products(DEVICES[:1]), "products", target_of)
    rows = rows_of(alone, lambda name: bundled_constants(), alone.vocabulary())
    found = corrections_of(rows, SMALL)
    monkeypatch.setattr(held_out, "MOST_HEARD", 1)
    assert text_of_trees(found) == text_of_trees(corrections_of(rows, SMALL))


def test_thinning_keeps_small_groups(table: dict[str, np.ndarray]) -> None:
    own = readable(table, "products", target_of)
    few = thinned(own, 100)
    sizes = [len(group.rows) for group in few.groups]
    assert sum(sizes) <= 100 and min(sizes) >= 20


@pytest.mark.parametrize("split", ["shape", "device"])
def test_folds_keep_groups_together(table: dict[str, np.ndarray], split: str) -> None:
    own = readable(table, "products", target_of)
    rows = rows_of(own, lambda name: bundled_constants(), own.vocabulary())
    folds = folds_of(rows, split)
    assert np.array_equal(np.sum(folds, axis=0), np.ones(len(rows)))
    for fold in folds:
        assert not set(rows.group(split)[fold]) & set(rows.group(split)[~fold])


# ---- estimators


@parametrize_with_checks([BoostedResidual(trees=20, least_rows=1)])
def test_the_estimator_keeps_to_the_conventions(estimator: Any, check: Any) -> None:
    check(estimator)


def test_compact_text_predicts_the_same() -> None:
    import lightgbm

    features = np.random.default_rng(0).normal(size=(2000, 5))
    target = np.sin(3 * features[:, 0]) + features[:, 1]
    whole = lightgbm.train({"verbose": -1, "num_threads": 1}, lightgbm.Dataset(features, target), 50)
    text = compact_text(whole.model_to_string(), number_formats(target))
    again = BoostedResidual.of_text(text, 5)
    assert len(text) < 0.5 * len(whole.model_to_string())
    np.testing.assert_allclose(again.predict(features), whole.predict(features), atol=2e-3)


@pytest.mark.parametrize("change", ["cut", "longer", "other", "bytes"])
def test_what_is_no_packed_text_is_told(change: str, tmp_path: Path) -> None:
    path, data = tmp_path / "seen.txt.xz", packed("tree\n" * 1000)
    path.write_bytes(data)
    assert unpacked(path) == "tree\n" * 1000
    damaged = {"cut": data[:-9], "longer": data + b"more", "other": b"tree", "bytes": lzma.compress(b"\xff\xfe")}
    path.write_bytes(damaged[change])
    with pytest.raises(ValueError, match=r"is cut short|not an xz file|can't decode"):
        unpacked(path)


def test_no_more_is_unpacked_than_any_model_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "seen.txt.xz"
    path.write_bytes(packed("0" * 5000))
    assert len(path.read_bytes()) < 1000
    monkeypatch.setattr(packing, "LARGEST_BYTES", 4999)
    with pytest.raises(ValueError, match="is larger than"):
        unpacked(path)


# ---- novelty


def test_novelty_grows_with_distance() -> None:
    novelty = Novelty.of(np.array([[10.5, 10.5]]))
    beside, near, far = np.array([[11.0, 11.0], [8.5, 9.0], [20.0, 10.0]])
    assert novelty.level(np.stack([beside, near, far])).tolist() == [0, 1, 2]


@given(st.lists(st.tuples(st.floats(-1, 40), st.floats(-1, 40)), min_size=1))
def test_nothing_is_novel_to_itself(points: list[tuple[float, float]]) -> None:
    octaves = np.array(points, dtype=np.float32)
    assert not Novelty.of(octaves).level(octaves).any()


# ---- trust and intervals


def held(correction: float, seed: int = 0) -> Held:
    """Rows of three groups whose residual is 0.3 and noise, and what some model says of it."""
    draw = np.random.default_rng(seed)
    count = 3000
    residual = 0.3 + draw.normal(scale=0.1, size=count)
    group = np.arange(count) % 3
    features = draw.normal(size=(count, 2))
    return Held(features, residual, np.full(count, correction), np.zeros(count, dtype=int), group, group)


def test_right_corrections_are_believed_and_wrong_ones_are_not() -> None:
    assert calibrated(held(0.3), by_group=False).trust[0] == 1.0
    assert calibrated(held(-0.5), by_group=False).trust == (0.0,) * LEVELS
    assert 0.4 <= calibrated(held(0.6), by_group=False).trust[0] <= 0.6


def test_no_group_loses_by_what_others_gain() -> None:
    """Two of three devices would gain by the correction; the third would lose more than is allowed."""
    own = held(0.3)
    residual = np.where(own.group == 2, own.residual - 0.3, own.residual)
    trust = calibrated(replace(own, residual=residual), by_group=True).trust[0]
    assert trust <= 0.3 < calibrated(replace(own, residual=residual), by_group=False).trust[0]


def test_intervals_cover_what_they_promise() -> None:
    calibration = calibrated(held(0.3), by_group=False)
    new = held(0.3, seed=1)
    inside = np.abs(new.residual - 0.3) <= calibration.half_width(new.features, new.level)
    assert 0.87 <= inside.mean() <= 0.97


@given(st.lists(st.floats(0, 100), min_size=20))
def test_the_quantile_covers_its_own_scores(scores: list[float]) -> None:
    assert (np.array(scores) <= conformal_quantile(np.array(scores))).mean() >= 0.9


@given(st.lists(st.tuples(st.floats(1e-6, 1), st.floats(0, 1), st.floats(0, 1)), min_size=1))
def test_an_interval_of_a_sum_lies_between_independence_and_added_ends(
    kernels: list[tuple[float, float, float]],
) -> None:
    seconds, width, shared = np.array(kernels).T
    low, high = interval_of_sum(Spread(seconds, seconds * (1 - width), seconds * (1 + width), shared))
    total, widths = seconds.sum(), seconds * width
    slack = 1e-9 * total
    assert total - widths.sum() - slack <= low <= total - np.sqrt((widths**2).sum()) + slack
    assert total + np.sqrt((widths**2).sum()) - slack <= high <= total + widths.sum() + slack


# ---- training


def test_what_was_left_out_is_learned(trained: Trained) -> None:
    assert trained.left_out is not None
    for outcome in (outcome_of(trained.by_shape, by_group=False), outcome_of_machines(trained.left_out)):
        errors = errors_of(outcome, "all")
        assert float(str(errors["analytical_median"])) > 19
        assert float(str(errors["hybrid_median"])) < 8


def test_who_asks_decides_which_head_answers(trained: Trained) -> None:
    model = trained.model
    assert model.unnamed is not None and model.unseen is not None and model.kin is not None
    wanted = {
        ("h100_sxm", "vllm"): (model.seen, None),
        ("h100_sxm", "nobody's"): (model.seen, None),
        ("h100_sxm", GRAPH_REPLAY): (model.unnamed, None),
        ("gh200", "vllm"): (Head(model.seen.residual, model.kin), "h200_sxm"),
        ("gh200", GRAPH_REPLAY): (Head(model.unnamed.residual, model.kin), "h200_sxm"),
        # The constants were fitted to some of its rows: what its kin have in common beside others is nothing to it.
        ("h100_pcie", "vllm"): (Head(None, model.kin), "h100_sxm"),
        ("arc_pro_b60", "vllm"): (model.unseen, None),
        **dict.fromkeys(
            [("gh200", "nobody's"), ("h20_sxm", "vllm"), ("b200", "vllm")], (Head(None, model.unseen.calibration), None)
        ),
    }
    for (device, runtime), (head, stand_in) in wanted.items():
        asked = asked_of(model, device, runtime)
        assert asked is not None
        assert (asked.head.residual, asked.head.calibration) == (head.residual, head.calibration), (device, runtime)
        assert asked.stand_in == stand_in
        assert asked.is_measured == (device == "h100_sxm")
    named = asked_of(replace(model, unnamed=None), "h100_sxm", GRAPH_REPLAY)
    assert named is not None and named.head is model.seen
    assert asked_of(replace(model, unseen=None), "b200", "vllm") is None


def asked_of(model: FamilyModel, device: str, runtime: str) -> Asked | None:
    machine = machine_of(load_target(device))
    labels = {"device": machine.name, "architecture": machine.architecture, "runtime": runtime}
    return model.asked(machine, labels, bundled_constants())


def test_a_cpu_is_corrected_where_it_was_measured() -> None:
    """ONNX Runtime's kernels are those of a network for which nobody names a runtime."""
    columns = products(("xeon_8480", "epyc_9654", "knl_7250"))
    model = trained_on({**columns, "framework": np.full(len(columns["m"]), "onnxruntime", dtype=object)}).model
    assert model.unnamed is not None
    table = kernel_table(parse_module(PRODUCTS.replace("bf16", "f16")))
    for name, is_known in (("xeon_8480", True), ("cpu", False)):
        plain, mixed = (own.estimate(table, load_target(name)) for own in (Analytical(), Hybrid({"gemm": model})))
        assert set(mixed.grades) == {"A" if is_known else "C"}
        assert (mixed.latency_s != plain.latency_s).all() == is_known


def test_what_was_left_out_is_judged_as_it_would_be_asked(trained: Trained) -> None:
    """Kin through each other, all others as strangers: without anything of their architecture."""
    found = trained.left_out
    assert found is not None and found.kin is not None and found.others is not None and found.strangers is not None
    assert set(found.kin.rows.device) == {"h100_sxm", "h200_sxm"}
    words = trained.model.vocabulary["device"]
    for device, other in (("h100_sxm", "h200_sxm"), ("h200_sxm", "h100_sxm")):
        rows = found.kin.rows.device == device
        assert set(found.kin.held.features[rows, -1]) == {words.index(other)}
    assert set(found.others.rows.device) == {"a100_sxm_80gb", "l40s", "t4"}
    assert set(found.strangers.group) == {"hopper", "ampere", "ada", "turing"}
    outcome = outcome_of_machines(found)
    assert not outcome.rows.is_replay.any()
    assert np.array_equal(np.sort(outcome.rows.place), np.sort(trained.by_shape.rows.place))


def test_one_architecture_says_nothing_of_others() -> None:
    found = trained_on(products(("h100_sxm", "h200_sxm", "h100_pcie")))
    assert found.left_out is not None and found.left_out.strangers is None
    assert found.model.unseen is None and found.model.kin is not None
    errors = errors_of(outcome_of_machines(found.left_out), "all")
    assert float(str(errors["hybrid_median"])) < 8 < 19 < float(str(errors["analytical_median"]))


def test_kernels_of_no_named_runtime_lie_between_those_of_named_ones(table: dict[str, np.ndarray]) -> None:
    """Two runtimes of which one takes twice as long: its own head tells which, the other foretells neither."""
    other = {**table, "framework": np.full(len(table["m"]), "trtllm", dtype=object)}
    both = {name: np.concatenate([table[name], other[name]]) for name in table}
    both["latency_us"] = both["latency_us"] * np.where(both["framework"] == "vllm", 1.0, 2.0)
    found = trained_on(both)
    assert found.unnamed is not None
    named, unnamed = (outcome_of(judged, by_group=False) for judged in (found.by_shape, found.unnamed))
    assert not named.rows.is_replay.any() and unnamed.rows.is_replay.all()
    assert len(unnamed.rows) == len(named.rows)
    ratio = [np.log(outcome.learned_s / outcome.rows.measured_s) for outcome in (named, unnamed)]
    assert np.median(np.abs(ratio[0])) < 0.1 < np.median(np.abs(ratio[1])) < np.log(2)
    is_fast = unnamed.rows.framework == "vllm"
    assert -0.1 < np.median(ratio[1][~is_fast]) + np.log(2) < np.log(2) + 0.1
    width = [np.median(np.log(outcome.high_s / outcome.low_s)) for outcome in (named, unnamed)]
    assert width[0] < width[1]


def test_training_is_repeatable(table: dict[str, np.ndarray], trained: Trained) -> None:
    again = trained_on(table)
    assert again.model.seen.residual is not None and trained.model.seen.residual is not None
    assert text_of_trees(again.model.seen.residual) == text_of_trees(trained.model.seen.residual)
    assert again.model.seen.calibration.trust == trained.model.seen.calibration.trust


def test_models_trained_side_by_side_are_the_same(
    table: dict[str, np.ndarray], trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int]] = []
    own = readable(table, "products", target_of)
    rows = rows_of(own, lambda name: bundled_constants(), own.vocabulary())
    monkeypatch.setattr(held_out, "WORTH_A_COPY", 1)
    monkeypatch.setattr(held_out, "processors", lambda: 2)
    model, judged = trained_and_held_out(rows, SMALL, "shape", lambda done, of: told.append((done, of)))
    assert text_of_trees(model) == text_of_trees(trained.model.seen.residual)
    np.testing.assert_array_equal(judged.held.correction, trained.by_shape.held.correction)
    assert told == sorted(told) and told[-1] == (5, 5)


def test_too_little_is_refused(table: dict[str, np.ndarray]) -> None:
    few = {name: column[:50] for name, column in table.items()}
    with pytest.raises(ValueError, match="50 rows"):
        made(few, "few", "", target_of, bundled_constants())


# ---- storage


@pytest.fixture
def folder(trained: Trained, tmp_path: Path) -> Path:
    write_model(replace(trained.model, about=about(trained, {"products.csv": "0" * 64})), tmp_path)
    return tmp_path


def test_a_model_reads_back_as_it_was(folder: Path, trained: Trained, tmp_path: Path) -> None:
    again = read_models(folder)["gemm"]
    rows = trained.by_shape.rows
    for device in ("h100_sxm", "h100_pcie", "b200"):
        ours, theirs = (
            model.correct(rows.features, rows.octaves, asked_of(model, device, "vllm"))
            for model in (trained.model, again)
        )
        np.testing.assert_array_equal(ours.correction, theirs.correction)
        np.testing.assert_allclose(ours.half_width, theirs.half_width, rtol=1e-3)
    write_model(again, tmp_path / "copy")
    for path in sorted((folder / "gemm").iterdir()):
        assert path.read_bytes() == (tmp_path / "copy/gemm" / path.name).read_bytes()


def edit(path: Path, old: str, new: str) -> None:
    text = unpacked(path)
    assert old in text
    path.write_bytes(packed(text.replace(old, new, 1)))


def lines(path: Path, key: str) -> str:
    text = unpacked(path)
    return next(line for line in text.splitlines() if line.startswith(f"{key}="))


@pytest.mark.parametrize(
    "damage",
    [
        *("shape", "feature", "leaf", "short", "no xz", "no text", "version", "trust", "words"),
        *("place", "negative place", "large place", "cells", "machine", "deep"),
        *("word of trust", "truth of trust", "word of truth", "word of words", "part of a place", "endless"),
    ],
)
def test_damaged_models_are_refused(folder: Path, damage: str) -> None:
    trees, model = folder / "gemm/seen.txt.xz", folder / "gemm/model.json"
    plain = json.loads(model.read_text())
    seen = plain["heads"]["seen"]
    (folder / "gemm" / SUMS).unlink()  # else whatever differs is refused
    if damage == "shape":
        edit(trees, lines(trees, "shape"), "shape=1100")
    elif damage == "feature":
        own = lines(trees, "feature")
        edit(trees, own, own.rpartition(" ")[0] + " 4000")
    elif damage == "leaf":
        own = lines(trees, "leaf_value")
        edit(trees, own, own.rpartition(" ")[0] + " nan")
    elif damage == "short":
        trees.write_bytes(trees.read_bytes()[:500])
    elif damage == "no xz":
        trees.write_bytes(b"tree")
    elif damage == "no text":
        trees.write_bytes(lzma.compress(b"\xff\xfe"))
    elif damage == "endless":
        model.unlink()
        model.symlink_to("/dev/zero")
    else:
        changed = {
            "version": ("version", 99),
            "trust": ("heads", {"seen": {"trust": [2]}}),
            "words": ("vocabulary", {}),
            "place": ("met", [[1000] * len(plain["met"][0])]),
            "negative place": ("met", [[-1] * len(plain["met"][0])]),
            "large place": ("met", [[10**30] * len(plain["met"][0])]),
            "cells": ("cells", {name: [float("inf")] for name in plain["cells"]}),
            "machine": ("machines", {name: {**own, "clock": 10**400} for name, own in plain["machines"].items()}),
            "deep": ("about", json.loads("[" * 500 + "]" * 500)),
            "word of trust": ("heads", {"seen": {**seen, "trust": "111"}}),
            "truth of trust": ("heads", {"seen": {**seen, "trust": [True, True, True]}}),
            "word of truth": ("heads", {"seen": {**seen, "is_corrected": "false"}}),
            "word of words": ("vocabulary", {**plain["vocabulary"], "runtime": "x" * 99}),
            "part of a place": ("met", [[0.5] * len(plain["met"][0])]),
        }
        name, value = changed[damage]
        model.write_text(json.dumps({**plain, name: value}))
    with pytest.raises(LearnedModelError, match="irc train"):
        read_models(folder)


@pytest.mark.parametrize("change", ["trees", "figures"])
def test_files_that_were_not_written_together_are_refused(folder: Path, change: str) -> None:
    """Each by itself is as good as any: a folder that was half copied, a trust that was raised by hand."""
    own = folder / "gemm"
    if change == "trees":
        (own / "seen_spread.txt.xz").replace(own / "unnamed_spread.txt.xz")
        (own / "seen_spread.txt.xz").write_bytes((own / "unnamed_spread.txt.xz").read_bytes())
    else:
        plain = json.loads((own / "model.json").read_text())
        plain["heads"]["seen"]["trust"] = [0.25, 0.25, 0.25]
        (own / "model.json").write_text(json.dumps(plain))
    with pytest.raises(LearnedModelError, match="another file than was written"):
        read_models(folder)
    (own / SUMS).unlink()
    assert list(read_models(folder)) == ["gemm"]


def test_a_folder_without_models_is_told(tmp_path: Path) -> None:
    with pytest.raises(LearnedModelError, match="holds no learned model"):
        read_models(tmp_path)


# ---- hybrid


@pytest.mark.parametrize("target", ["h100_sxm", "h100_sxm+vllm", "gh200", "b200", "mi300x"])
def test_the_hybrid_corrects_within_its_interval(trained: Trained, target: str) -> None:
    table = kernel_table(parse_module(PRODUCTS))
    machine = load_target(target)
    plain, mixed = (model.estimate(table, machine) for model in (Analytical(), Hybrid({"gemm": trained.model})))
    assert mixed.low_s is not None and mixed.high_s is not None and mixed.learned_s is not None
    assert (mixed.latency_s >= mixed.lower_bound_s).all()
    assert (mixed.low_s <= mixed.latency_s).all() and (mixed.latency_s <= mixed.high_s).all()
    np.testing.assert_allclose(mixed.latency_s, np.maximum(plain.latency_s + mixed.learned_s, mixed.lower_bound_s))
    assert set(mixed.grades) <= ({"A"} if target.startswith("h100_sxm") else {"B", "C"})


def test_what_is_raised_to_its_limit_has_an_interval() -> None:
    """As rows of tables have: no run is surer for being at its limit."""

    class TooQuick(Hybrid):
        def corrected(self, part: Evaluated, target: Target) -> Corrected:
            count = len(part.rows)
            quick = np.full(count, -5.0)
            return Corrected(quick, quick, np.full(count, 0.1), np.zeros(count, dtype=int), 0.5)

    found = TooQuick({}).estimate(kernel_table(parse_module(PRODUCTS)), load_target("h100_sxm"))
    assert found.low_s is not None and found.high_s is not None
    np.testing.assert_array_equal(found.latency_s, found.lower_bound_s)
    np.testing.assert_array_equal(found.low_s, found.lower_bound_s)
    np.testing.assert_allclose(found.high_s, found.lower_bound_s * np.exp(0.1))


def test_the_hybrid_is_analytical_where_nothing_was_learned(trained: Trained) -> None:
    text = "func @main(%x: 512x1024xf32) -> (512x1024xf32) {\n  %y = relu %x\n  return %y\n}\n"
    table = kernel_table(parse_module(text))
    machine = load_target("h100_sxm")
    plain, mixed = (model.estimate(table, machine) for model in (Analytical(), Hybrid({"gemm": trained.model})))
    np.testing.assert_array_equal(mixed.latency_s, plain.latency_s)
    assert mixed.grades == ("C",)


# ---- the models that come with the package


def test_the_bundled_models_are_small_and_readable() -> None:
    assert sum(path.stat().st_size for path in BUNDLED.rglob("*") if path.is_file()) < 3 * 2**20
    for family, model in read_models(BUNDLED).items():
        assert (BUNDLED / family / "card.md").read_text().startswith(f"# Learned corrections of {family} kernels")
        assert model.about["rows"]


def test_of_other_machines_than_gpus_those_are_corrected_that_were_measured() -> None:
    """Not those of nine rows, and not those that no measured machine is like."""
    model = read_models(BUNDLED)["gemm"]
    known = asked_of(model, "knl_7250", "vendor library")
    assert known is not None and known.is_measured
    assert all(asked_of(model, name, "vendor library") is None for name in ("raspberry_pi_3", "xeon_8480", "tpu_v4"))


def test_the_bundled_models_correct_the_bundled_constants() -> None:
    """Who fits the constants anew trains the models anew: docs/learned-models.md has the command."""
    for model in read_models(BUNDLED).values():
        assert model.about["constants"] == digest_of(bundled_constants(), model.family), model.family


def test_refitting_reproduces_a_bundled_model(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """The smallest; `irc train` on all tables, as docs/learned-models.md says, makes all of them."""
    from ircost.datasets.tables import read_table

    folder = pytestconfig.getoption("--measured")
    if folder is None or not (Path(folder) / "quantize.parquet").exists():
        pytest.skip("no measurements: give the folder of quantize.parquet by --measured")
    pytest.importorskip("pyarrow", reason="reading Parquet needs pyarrow")
    found = read_table(Path(folder) / "quantize.parquet")
    model = made(found.columns, found.path, found.sha256, target_of, bundled_constants())
    write_model(model, tmp_path)
    for path in sorted((BUNDLED / "quantize").iterdir()):
        assert path.read_bytes() == (tmp_path / "quantize" / path.name).read_bytes(), path.name
