"""Scores against those worked out by hand; rows that fail; constants that never saw a device."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ircost.backends import load_target
from ircost.commands.measured_tables import hashes_of, read_tables, samples_of
from ircost.cost_models.evaluation import ROW_MODELS, Prediction, joined, predict_table, scores_of
from ircost.cost_models.gpu.calibrate import Measured, calibrate, calibrate_without_each, measured
from ircost.cost_models.gpu.constants import (
    BUNDLED,
    ConstantsError,
    ConstantsFile,
    FamilyFit,
    bundled_constants,
    differences,
    read_constants,
)
from ircost.cost_models.gpu.families import FAMILIES
from ircost.cost_models.gpu.fit import BASE
from ircost.cost_models.gpu.model_ops import kernels_of
from ircost.cost_models.gpu.table_work import VECTOR_OPS
from ircost.datasets.tables import read_table

TABLES = ("gemm", "attention", "mla", "moe", "recurrent", "conv", "vector", "quantize", "collective")
OF_CPUS = ("gemm", "attention", "conv", "vector")
Columns = dict[str, np.ndarray]
target_of = lru_cache(maxsize=None)(load_target)


def words(*values: str) -> np.ndarray:
    return np.array(values, dtype=object)


def predicted(columns: Columns, constants: ConstantsFile | None = None, model: str = "analytical") -> Prediction:
    own = constants or bundled_constants()
    return predict_table(columns, "rows", target_of, ROW_MODELS[model], lambda target: own)


def prediction(measured_s: list[float], predicted_s: list[float], **labels: np.ndarray) -> Prediction:
    bound_s = np.full(len(measured_s), 1.0)
    return Prediction("gemm", labels, np.array(measured_s), np.array(predicted_s), bound_s, {})


# ---- scores


def test_scores_are_those_worked_out_by_hand() -> None:
    rows = prediction([10.0, 10.0, 10.0, 10.0, 10.0], [11.0, 8.0, 10.5, 20.0, np.nan])
    (score,) = scores_of(rows)
    assert (score.rows, score.failed) == (5, 1)
    assert (score.mape, score.median_ape, score.bias) == (33.75, 15.0, 7.5)
    assert score.p90_ape == pytest.approx(20 + 0.7 * 80)
    assert score.kendall_tau is None  # all were measured alike


@pytest.mark.parametrize(
    ("guesses", "tau"), [([1.0, 2.0, 3.0, 4.0], 1.0), ([4.0, 3.0, 2.0, 1.0], -1.0), ([1.0, 3.0, 2.0, 4.0], 2 / 3)]
)
def test_kendall_tau(guesses: list[float], tau: float) -> None:
    (score,) = scores_of(prediction([10.0, 20.0, 30.0, 40.0], guesses))
    assert score.kendall_tau == pytest.approx(tau, abs=1e-4)


def test_predictions_below_their_bound_are_counted() -> None:
    (score,) = scores_of(prediction([10.0] * 4, [0.5, 1.0, 1.0 - 1e-12, 3.0]))
    assert score.below_bound == 25.0


def test_groups_by_the_order_of_their_names() -> None:
    rows = prediction([10.0, 10.0, 10.0], [11.0, 12.0, 13.0], device=words("b", "a", "b"))
    assert [(s.labels, s.rows, s.mape) for s in scores_of(rows, ("device", "dtype"))] == [
        ({"device": "a", "dtype": "bfloat16"}, 1, 20.0),
        ({"device": "b", "dtype": "bfloat16"}, 2, 20.0),
    ]


def test_joined_tables_number_their_failures_as_they_come() -> None:
    ones = np.ones(2)
    one = Prediction("gemm", {}, ones, ones, ones, {"odd": np.array([1])})
    both = joined([one, one])
    assert len(both) == 4
    assert both.failures["odd"].tolist() == [1, 3]


# ---- rows


GEMM: Columns = {
    "device": words("h100_sxm", "h100_sxm"),
    **{name: np.array([4096.0, 4096.0]) for name in "mnk"},
    "latency_us": np.array([200.0, 200.0]),
}
SMALL: dict[str, Columns] = {
    "gemm": {"m": np.array([8]), "n": np.array([64]), "k": np.array([32])},
    "attention": {
        **{name: np.array([8]) for name in ("batch", "kv_len", "heads", "kv_heads", "head_dim")},
        **{"q_len": np.array([1]), "phase": words("decode")},
    },
    "mla": {**{name: np.array([8]) for name in ("batch", "q_len", "kv_len", "heads")}, "phase": words("prefill")},
    "moe": {name: np.array([8]) for name in ("tokens", "hidden", "inter", "topk", "experts")},
    "recurrent": {
        **{name: np.array([8]) for name in ("batch", "seq_len", "num_k_heads", "head_k_dim", "num_v_heads")},
        **{name: np.array([-1]) for name in ("nheads", "n_groups", "d_state", "head_dim")},
        **{"head_v_dim": np.array([8]), "phase": words("context")},
    },
    "conv": {
        **{name: np.array([8]) for name in ("batch", "in_channels", "in_h", "in_w", "out_channels")},
        **{"kernel_h": np.array([3]), "kernel_w": np.array([3]), "op": words("conv2d")},
    },
    "vector": {"op": words("add"), "rows": np.array([8]), "cols": np.array([8])},
    "quantize": {"op": words("computescale"), "rows": np.array([8]), "cols": np.array([8])},
    "collective": {"op": words("all_reduce"), "world_size": np.array([8]), "bytes": np.array([1024])},
    "model_ops": {"op": words("ln"), "dims": words("[['VECln', (8, 64)]]"), "forward_us": np.array([9.0])},
}


@pytest.mark.parametrize("family", SMALL)
def test_columns_tell_the_family_and_may_leave_out_what_has_a_default(family: str) -> None:
    columns = {"device": words("h100_sxm"), "latency_us": np.array([9.0]), **SMALL[family]}
    for model in ROW_MODELS:
        rows = predicted(columns, model=model)
        assert (rows.family, rows.failures) == (family, {})
        assert (rows.predicted_s >= rows.bound_s * (1 - 1e-9)).all()


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("device", words("h100_sxm", "abacus"), "no target 'abacus'"),
        ("device", words("h100_sxm", ""), "device is missing"),
        ("dtype", words("bfloat16", "f17"), "number format 'f17' is not known"),
        ("dtype", words("bfloat16", ""), "dtype is missing"),
        ("m", np.array([1.0, np.nan]), "m is not a number"),
        ("m", words("1", "many"), "m is not a number"),
        ("m", np.array([1, 10**400], dtype=object), "m is not a number"),
        ("m", np.array([1.0, 2.5]), "m is not a whole number"),
        ("m", np.array([1, 0]), "m is not positive"),
        ("m", np.array([1, -7]), "m is not positive"),
        ("latency_us", np.array([1.0, 0.0]), "no positive latency was measured"),
        ("latency_us", np.array([1.0, np.nan]), "no positive latency was measured"),
        ("latency_us", np.array([1.0, np.inf]), "no positive latency was measured"),
    ],
)
def test_a_row_that_tells_of_no_kernel_fails_alone(name: str, values: np.ndarray, reason: str) -> None:
    rows = predicted({**GEMM, name: values})
    assert {why: where.tolist() for why, where in rows.failures.items()} == {reason: [1]}
    assert np.isfinite(rows.predicted_s).tolist() == [True, False]


@pytest.mark.parametrize(
    ("family", "name", "word"),
    [
        ("vector", "op", "frobnicate"),
        ("conv", "op", "conv9d"),
        ("collective", "op", "all_dance"),
        ("attention", "phase", "pause"),
        ("attention", "kv_dtype", "f17"),
        ("moe", "distribution", "zipf"),
        ("moe", "distribution", "power_law_steep"),
        ("moe", "distribution", "power_law_1e0"),
        ("moe", "distribution", "power_law_-1.2"),
        ("moe", "distribution", "power_law_1abc"),
    ],
)
def test_words_that_nobody_knows_fail(family: str, name: str, word: str) -> None:
    columns = {"device": words("h100_sxm"), "latency_us": np.array([9.0]), **SMALL[family], name: words(word)}
    assert list(predicted(columns).failures) == [f"{name} '{word}' is not known"]


@pytest.mark.parametrize(
    ("family", "name", "value", "reason"),
    [
        ("attention", "kv_heads", 5, "heads is not a multiple of kv_heads"),
        ("attention", "q_len", 1e6, "kv_len, which counts the new tokens too, is less than q_len"),
        ("moe", "topk", 1e6, "topk is more than experts"),
        ("moe", "experts", 1e12, "experts is more than 1,048,576"),
        ("conv", "kernel_h", 1e6, "kernel_h is more than in_h and its padding"),
        ("collective", "world_size", 1, "world_size is 1: nothing is sent"),
    ],
)
def test_sizes_that_no_kernel_has_together_fail(family: str, name: str, value: float, reason: str) -> None:
    columns = {"device": words("h100_sxm"), "latency_us": np.array([9.0]), **SMALL[family]}
    assert not predicted(columns).failures
    assert list(predicted({**columns, name: np.array([value])}).failures) == [reason]


def test_a_skew_of_1_is_a_power_law_like_others() -> None:
    laws = words("power_law_0.999", "power_law_1.0", "power_law_1.001")
    columns = {"device": words("h100_sxm"), "latency_us": np.array([9.0]), **SMALL["moe"]}
    alike = {name: np.repeat(column, 3) for name, column in columns.items()}
    rows = predicted({**alike, "distribution": laws})
    assert not rows.failures
    np.testing.assert_allclose(rows.predicted_s, rows.predicted_s[1], rtol=0.01)


@pytest.mark.parametrize(
    ("op", "dims", "shapes"),
    [
        ("zap", "[['ZAP', (8,)]]", "[]"),
        ("ln", "[[", "[]"),
        ("ln", "[]", "[]"),
        ("ln", "8", "[]"),
        ("Linear", "[[1, (8, 64, 32)]]", "[]"),
        ("Linear", "[[['Linear'], (8, 64, 32)]]", "[]"),
        ("Linear", "[['Linear', ('a', 'b', 'c')]]", "[]"),
        ("Linear", "[['Linear', 'abc']]", "[]"),
        ("Linear", "[['Linear', (True, 64, 32)]]", "[]"),
        ("Linear", "[['Linear', (-8, 64, 32)]]", "[]"),
        ("Linear", f"[['Linear', (1{'0' * 400}, 64, 32)]]", "[]"),
        ("Linear", f"[['BMM', ({'1000000000, ' * 40}8, 64, 32)]]", "[]"),
        ("where", "[['MEM', ((3, 'a'), (2, 2))]]", "[]"),
        ("ln", "-" * 50_000 + "1", "[]"),
        ("ln", "-" * 3000 + "1", "[]"),
        ("ln", "9" * 5000, "[]"),
        ("div", "[['VECdiv', (8, 64)]]", "[" * 300 + "]" * 300),
        ("div", "[['VECdiv', (8, 64)]]", "[[8, 64], [1000000000000, 'x']]"),
    ],
)
def test_an_operator_of_a_model_that_cannot_be_read_fails_alone(op: str, dims: str, shapes: str) -> None:
    columns = {
        "device": words("t4", "t4"),
        "op": words("ln", op),
        "dims": words("[['VECln', (8, 64)]]", dims),
        "input_shapes": words("[[8, 64]]", shapes),
        "forward_us": np.array([9.0, 9.0]),
    }
    rows = predicted(columns)
    assert np.isfinite(rows.predicted_s).tolist() == [True, False]
    (reason,) = rows.failures
    assert "is not known" in reason and len(reason) < 300


def test_rows_do_not_depend_on_their_neighbours() -> None:
    random = np.random.default_rng(0)
    columns = {
        "device": random.choice(words("h100_sxm", "t4", "abacus"), 60),
        **{name: random.integers(1, 5000, 60) for name in "mnk"},
        "latency_us": np.ones(60),
    }
    together = predicted(columns).predicted_s
    alone = [predicted({name: column[[row]] for name, column in columns.items()}).predicted_s[0] for row in range(60)]
    np.testing.assert_allclose(together, alone, rtol=1e-12)


# ---- operators of models


@pytest.mark.parametrize(
    ("op", "dims", "shapes", "is_trained", "kernels"),
    [
        ("Linear", "[['Linear', (8, 64, 32)]]", "[[8, 64]]", False, [("gemm", ("linear", 1, 8, 32, 64))]),
        ("BMM", "[['BMM', (4, 8, 64, 32)]]", "[]", False, [("gemm", ("bmm", 4, 8, 32, 64))]),
        ("div", "[['VECdiv', (8, 64)]]", "[[8, 64], [1]]", False, [("vector", ("div_scalar", 8, 64))]),
        ("add", "[['VECadd', (8, 64)]]", "[[8, 64], [8, 64]]", True, [("vector", ("add", 8, 64))]),
        ("cumsum", "[['MEM', ((2, 8), (2, 8))]]", "[[2, 8]]", False, [("vector", ("cumsum", 2, 8))]),
        ("where", "[['MEM', ((8,), (2, 8), (1,), (2, 8))]]", "[]", False, [("vector", ("copy", 2, 8))]),
        ("where", "[['MEM', ((2, 8), (2, 8), (1,), (2, 8))]]", "[]", False, [("vector", ("where", 2, 8))]),
        (
            *("gelu", "[['VECgelu', (8, 64)]]", "[[8, 64]]", True),
            [("vector", ("gelu", 8, 64)), ("vector", ("mul", 8, 64))],
        ),
    ],
)
def test_kernels_of_operators(op: str, dims: str, shapes: str, is_trained: bool, kernels: list[Any]) -> None:
    found = kernels_of(op, dims, shapes, is_trained)
    assert list(found) == kernels
    assert all(dims[0] in VECTOR_OPS for family, dims in found if family == "vector")


# ---- constants


def made_up(devices: tuple[str, ...], constants: ConstantsFile, rows: int = 120) -> Columns:
    """Streams as the model times them with these constants, on each device."""
    random = np.random.default_rng(1)
    count = rows * len(devices)
    columns = {
        "device": np.repeat(words(*devices), rows),
        **{"framework": np.full(count, "vllm", object), "dtype": np.full(count, "float16", object)},
        "op": np.full(count, "add", object),
        "rows": 2 ** random.integers(0, 14, count),
        "cols": 2 ** random.integers(4, 13, count),
        "latency_us": np.ones(count),
    }
    return {**columns, "latency_us": predicted(columns, constants).predicted_s * 1e6}


def constants_with(**effects: dict[str, float]) -> ConstantsFile:
    """Of vector kernels; an effect of the architecture by its name, ``base`` that of all."""
    keys = {name: (BASE, "") if name == "base" else ("architecture", name) for name in effects}
    return ConstantsFile({}, {"vector": FamilyFit({keys[name]: own for name, own in effects.items()})})


@pytest.fixture(scope="module")
def known() -> ConstantsFile:
    return constants_with(base={"launch": 0.7, "main": -0.8, "host": -3.0})


@pytest.fixture(scope="module")
def refitted(known: ConstantsFile) -> Measured:
    return measured(made_up(("h100_sxm", "a100_sxm", "t4"), known), "made up", target_of)


def test_known_constants_are_found_again(known: ConstantsFile, refitted: Measured) -> None:
    found = calibrate([refitted])
    own = made_up(("h100_sxm", "a100_sxm", "t4", "l40s"), known)
    (score,) = scores_of(predicted(own, found))
    assert found.fits["vector"].rows == 360
    assert found.fits["vector"].devices == ("a100_sxm_80gb", "h100_sxm", "t4")
    assert found.fits["vector"].median_error < 0.02
    assert score.median_ape is not None and score.median_ape < 3  # that of all devices, also of one never seen
    labels = refitted.samples[0].labels
    assert found.of("vector", labels)["launch"] == pytest.approx(known.of("vector", labels)["launch"], rel=0.1)


def test_a_device_left_out_gets_what_the_others_have_in_common() -> None:
    slow = constants_with(base={"launch": 0.3}, hopper={"launch": 1.2})
    data = measured(made_up(("h100_sxm", "h200_sxm", "a100_sxm", "t4", "l40s"), slow), "made up", target_of)
    found = calibrate_without_each([data])
    assert set(found) == {"", "a100_sxm_80gb", "h100_sxm", "h200_sxm", "l40s", "t4"}
    assert found["t4"].fits["vector"].devices == ("a100_sxm_80gb", "h100_sxm", "h200_sxm", "l40s")
    effects = found["t4"].fits["vector"].effects
    assert ("device", "t4") not in effects and ("architecture", "turing") not in effects
    t4 = next(sample.labels for sample, device in zip(data.samples, data.devices, strict=True) if device == "t4")
    launches = {name: found["t4"].of("vector", {**t4, "architecture": name})["launch"] for name in ("hopper", "ampere")}
    assert launches["ampere"] < found["t4"].of("vector", t4)["launch"] < launches["hopper"]


def test_rows_that_fail_are_not_fitted_to(known: ConstantsFile, refitted: Measured) -> None:
    columns = made_up(("h100_sxm", "a100_sxm", "t4"), known)
    bad = {name: np.r_[column, column[:3]] for name, column in columns.items()}
    bad["latency_us"][-3:] = (0.0, np.nan, -1.0)
    again = measured(bad, "made up", target_of)
    assert [len(sample.measured_s) for sample in again.samples] == [len(s.measured_s) for s in refitted.samples]


def test_differences_are_told() -> None:
    one, other = constants_with(base={"launch": 0.3}), constants_with(base={"launch": 0.31, "main": 0.001})
    assert differences(one, one) == []
    assert differences(one, other) == ["vector all, launch: 0.3000, 0.3100"]
    assert differences(one, ConstantsFile({"a.csv": "12"})) == [
        "table a.csv: none, 12",
        "vector: fitted in one of them only",
    ]


def test_a_file_of_constants_reads_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "constants.json").write_text(bundled_constants().to_json())
    assert read_constants(tmp_path / "constants.json") == bundled_constants()
    assert bundled_constants().to_json() == BUNDLED.read_text()
    assert set(bundled_constants().fits) == set(FAMILIES)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"rows": 1', '"rows": Infinity, "was": 1'),
        ('"launch": ', '"launch": NaN, "was": '),
        ('"launch": ', '"launch": Infinity, "was": '),
        ('"launch": ', '"launch": 800, "was": '),
        ('"launch": ', f'"launch": 1{"0" * 400}, "was": '),
        ('"median_error": ', '"median_error": NaN, "was": '),
        ('{"version"', "[" * 100_000 + '{"version"'),
        ('"rows": 1', '"rows": ' + "9" * 5000),
    ],
)
def test_a_file_of_other_constants_is_refused(tmp_path: Path, old: str, new: str) -> None:
    own = constants_with(base={"launch": 0.3})
    text = replace(own, fits={"vector": replace(own.fits["vector"], rows=1)}).to_json()
    assert old in text
    (tmp_path / "constants.json").write_text(text.replace(old, new, 1))
    with pytest.raises(ConstantsError, match="irc calibrate"):
        read_constants(tmp_path / "constants.json")


# ---- against what was measured


@pytest.fixture(scope="module")
def folder(pytestconfig: pytest.Config) -> Path:
    given = pytestconfig.getoption("--measured")
    if given is None or not (Path(given) / "gemm.parquet").exists():
        pytest.skip("no measurements: give the folder of gemm.parquet by --measured")
    pytest.importorskip("pyarrow", reason="reading Parquet needs pyarrow")
    return Path(given)


@pytest.mark.parametrize("name", [*TABLES, "model_ops"])
@pytest.mark.parametrize("model", ROW_MODELS)
def test_every_measured_row_is_expressed_and_none_beats_physics(folder: Path, name: str, model: str) -> None:
    table = read_table(folder / f"{name}.parquet")
    rows = predicted(dict(table.columns), model=model)
    (score,) = scores_of(rows)
    assert (score.family, score.rows, score.failed) == (name, len(table), 0)
    assert rows.failures == {}
    assert score.below_bound == 0.0


def test_refitting_reproduces_the_bundled_constants(folder: Path) -> None:
    """As docs/cost-models.md has it. On another kind of CPU the search for tiles takes other turns: errors agree."""
    own = files("ircost.datasets") / "measured"
    paths = [*(folder / f"{name}.parquet" for name in TABLES), *(own / f"cpu_{name}.csv" for name in OF_CPUS)]
    tables, bundled = read_tables(map(str, paths)), bundled_constants().base
    found = calibrate(samples_of(tables, target_of), hashes_of(tables))
    assert found.tables == bundled.tables
    assert found.fits.keys() == bundled.fits.keys()
    for name, fit in found.fits.items():
        assert (fit.rows, fit.devices) == (bundled.fits[name].rows, bundled.fits[name].devices)
        assert fit.median_error == pytest.approx(bundled.fits[name].median_error, abs=0.003), name
