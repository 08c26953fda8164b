"""Energy of GPUs: bounds and laws, the fit of its factors, which readings count, learned power, storage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import random_modules
from hypothesis import given, settings
from hypothesis import strategies as st

from ircost.backends import load_target
from ircost.backends.target_files import parse_target
from ircost.cost_models.analytical import Analytical, activity_of_parts
from ircost.cost_models.energy import gpu_factors, kernel_energy_j, notes_on_energy, static_w, sum_of_operations_j
from ircost.cost_models.evaluation import ROW_MODELS, predict_table
from ircost.cost_models.gpu.activity import Activity
from ircost.cost_models.gpu.constants import bundled_constants
from ircost.cost_models.gpu.power_constants import (
    FACTORS,
    PowerConstants,
    PowerConstantsError,
    PowerFactors,
    bundled_power_constants,
    power_differences,
    read_power_constants,
)
from ircost.cost_models.gpu.power_draw import board_budget_w, drawn, operation_j
from ircost.cost_models.gpu.power_fit import fit_power, power_samples
from ircost.cost_models.gpu.power_rows import USUAL_STEADY_S, power_rows
from ircost.cost_models.interface import COST_MODELS
from ircost.cost_models.kernel_table import kernel_table
from ircost.cost_models.learned.features import LOG_POWER
from ircost.cost_models.learned.hybrid import Hybrid
from ircost.cost_models.learned.power import analytical_power_w, made_power, power_table
from ircost.cost_models.learned.storage import (
    BUNDLED,
    POWER,
    bundled_power_models,
    read_models,
    write_model,
)
from ircost.cost_models.learned.stored_trees import LearnedModelError
from ircost.cost_models.learned.trained import digest_of, digest_of_power
from ircost.datasets.tables import read_table
from ircost.ir.graph import Module
from ircost.ir.parser import parse_module

GPUS = ("h100", "h200", "a100", "t4", "rtx_4090", "mi300x", "b200")
TRUE = PowerFactors(static=1.2, active=0.3, ports=0.9, operations=0.8)
BLEND = PowerConstants(TRUE, TRUE)
PRODUCTS = """
func @main(%x: 512x1024xbf16, %w: 1024x8192xbf16, %v: 8192x1024xbf16) -> (512x1024xbf16) {
  %y = matmul %x, %w
  %z = matmul %y, %v
  return %z
}
"""


def products(read_as: PowerFactors = TRUE) -> dict[str, np.ndarray]:
    """Products on an H200, as fast as the analytical model says, whose power is that of some factors.

    Every tenth reading is of what ran before.
    """
    m, n, k = (g.ravel() for g in np.meshgrid(*(2.0 ** np.arange(*ends) for ends in ((4, 13), (8, 17), (9, 16)))))
    count = len(m)
    columns: dict[str, np.ndarray] = {
        **{"m": m, "n": n, "k": k, "latency_us": np.ones(count), "power_w": np.ones(count)},
        **{"device": np.full(count, "h200_sxm", object), "framework": np.full(count, "vllm", object)},
        "dtype": np.full(count, "bfloat16", object),
    }
    constants = bundled_constants()
    found = predict_table(columns, "products", load_target, ROW_MODELS["analytical"], lambda name: constants)
    columns["latency_us"] = found.predicted_s * 1e6
    rows = power_rows(columns, "products", load_target, constants)
    assert rows is not None
    power_w = np.zeros(count)
    power_w[rows.place] = analytical_power_w(rows, PowerConstants(read_as, read_as))
    return {**columns, "power_w": np.where(np.arange(count) % 10 == 0, 150.0, power_w)}


def activities(rows: int = 4) -> st.SearchStrategy[Activity]:
    column = st.lists(st.floats(0, 1), min_size=rows, max_size=rows).map(np.array)
    return st.builds(lambda a, p, m: Activity(a, p * 1e9, m * 1e9), column, column, column)


# ---- bounds and laws


@settings(deadline=None, max_examples=60)
@given(random_modules.modules(), st.sampled_from(GPUS), st.sampled_from(("analytical", "roofline", "hybrid")))
def test_energy_lies_between_static_power_and_the_limit(module: Module, name: str, model: str) -> None:
    target, table = load_target(name), kernel_table(module)
    estimates = COST_MODELS.get(model).estimate(table, target)
    known = ~table.is_unknown
    assert (estimates.energy_j[known] <= target.power.peak_w * estimates.latency_s[known] * (1 + 1e-9)).all()
    assert (estimates.energy_j[known] >= target.power.idle_w * estimates.latency_s[known] * (1 - 1e-9)).all()


@settings(deadline=None, max_examples=60)
@given(random_modules.modules(), st.sampled_from(GPUS))
def test_energy_is_at_least_that_of_the_operations(module: Module, name: str) -> None:
    target, table = load_target(name), kernel_table(module)
    estimates = Analytical().estimate(table, target)
    least_j = static_w(target) * estimates.latency_s + gpu_factors().operations * sum_of_operations_j(table, target)
    least_j = np.minimum(least_j, target.power.peak_w * estimates.latency_s)
    assert (estimates.energy_j >= np.where(table.is_unknown, 0, least_j) * (1 - 1e-9)).all()


@given(activities(), activities(), st.sampled_from(GPUS))
def test_more_work_never_draws_less(less: Activity, more: Activity, name: str) -> None:
    target, latency_s, none = load_target(name), np.full(4, 1e-3), np.zeros(4)
    both = Activity(*(getattr(less, column) + getattr(more, column) for column in Activity.__slots__))
    energies = [drawn(own, none, latency_s, target).energy_j(gpu_factors()) for own in (less, both)]
    assert (energies[0] <= energies[1]).all()
    busier = drawn(less, none + 1e-3, latency_s, target).energy_j(gpu_factors())
    assert (busier >= energies[0]).all()


def test_the_limit_of_a_board_is_not_what_its_chip_draws() -> None:
    held = parse_target("name: held\nextends: h100_sxm\nsource: test\npower: {peak: 400 W, design: 700 W}")
    assert board_budget_w(held) == board_budget_w(load_target("h100_sxm")) == 600
    assert board_budget_w(parse_target("name: small\nextends: h100_sxm\nsource: test\npower: {peak: 400 W}")) == 300


def test_operations_are_published_ones_where_the_generation_is_known() -> None:
    h100, amd = load_target("h100"), load_target("mi300x")
    assert operation_j(h100, "bf16", "matrix") == 0.6e-12
    assert operation_j(h100, "f8e4m3", "matrix") == 0.3e-12
    assert operation_j(amd, "bf16", "matrix") == amd.energy_j_per_flop("bf16")


def test_other_kinds_of_machines_keep_published_energies() -> None:
    cpu = load_target("cpu")
    table = kernel_table(parse_module(PRODUCTS.replace("bf16", "f32")))
    latency_s = np.full(len(table), 1.0)
    dynamic_j = kernel_energy_j(table, cpu, latency_s) - cpu.power.idle_w
    per_flop = cpu.energy_j_per_flop("f32")
    main = cpu.main_memory.energy_j_per_byte
    assert main is not None
    np.testing.assert_allclose(dynamic_j, table.flops * per_flop + table.traffic_bytes * main, rtol=1e-6)


def test_what_own_energies_of_operations_leave_out_is_told() -> None:
    """Energies on chip are in what is derived from power, not beside energies that the file gives."""
    table = kernel_table(parse_module(PRODUCTS.replace("bf16", "f32")))
    latency_s = np.full(len(table), 1.0)
    head = "name: mine\nextends: cpu\nsource: test\nenergy: {matrix: {i8: 1 pJ/op}, vector: {f32:"
    modest, greedy = (parse_target(f"{head} {each}/op}}}}") for each in ("1 pJ", "1 J"))
    (note,) = notes_on_energy(table, modest, latency_s)
    assert note == "energy: operations, dram and idle power; what moves through l3 and l2 and l1 is not included"
    assert notes_on_energy(table, greedy, latency_s)[1].startswith(f"energy: {len(table)} of {len(table)} distinct")
    assert not notes_on_energy(table, load_target("cpu"), latency_s)
    starved = parse_target("name: starved\nextends: cpu\nsource: test\npower: {peak: 100 W}\n")
    (note,) = notes_on_energy(table, starved, latency_s)
    assert "counts as nothing" in note and "'design' of the board" in note


def test_a_product_keeps_its_operands_bytes_and_all_processors_busy() -> None:
    target = load_target("h100")
    table = kernel_table(parse_module(PRODUCTS))
    activity = activity_of_parts(Analytical().evaluated(table, target), len(table), target)
    weights = 1024 * 8192 * 2
    assert (activity.main_bytes >= weights).all()
    assert (activity.port_bytes >= weights).all()  # loaded once at least
    assert ((activity.active_share > 0) & (activity.active_share <= 1)).all()


# ---- the fit


def test_factors_are_found_again() -> None:
    rows = power_rows(products(), "products", load_target, bundled_constants())
    assert rows is not None
    # The least that was read stands for static power: of a kernel that does next to nothing.
    samples = [replace(sample, least_w=TRUE.static * 100) for sample in power_samples(rows)]
    found = fit_power(samples)
    np.testing.assert_allclose(found.factors.to_array(), TRUE.to_array(), rtol=0.1)  # a tenth of the readings is wrong
    assert found.rows == sum(len(sample.power_w) for sample in samples)
    assert found.median_error < 0.02


def test_static_power_is_the_least_that_was_read() -> None:
    rows = power_rows(products(), "products", load_target, bundled_constants())
    assert rows is not None
    assert fit_power(power_samples(rows)).factors.static == pytest.approx(rows.power_w.min() / 100, rel=0.02)


def test_kinds_are_judged_on_all_machines() -> None:
    rows = power_rows(products(), "products", load_target, bundled_constants())
    assert rows is not None
    one, other = (replace(power_samples(rows)[0], device=name) for name in ("one", "other"))
    doubled = replace(other, power_w=2 * other.power_w, limit_w=2 * other.limit_w)
    there, back = fit_power([one, doubled]), fit_power([doubled, one])
    assert there.kinds == pytest.approx(back.kinds) and there.kinds[one.kind] == pytest.approx(there.median_error)
    assert there.spread.to_array() == pytest.approx(0 * there.spread.to_array())  # of one kind nothing can be left out


def test_short_kernels_are_not_read_of() -> None:
    rows = power_rows(products(), "products", load_target, bundled_constants())
    assert rows is not None
    assert not rows.is_steady[rows.latency_s < USUAL_STEADY_S].any()
    assert 0 < rows.is_steady.sum() < len(rows)


def test_without_readings_there_is_nothing_to_fit() -> None:
    columns = products()
    assert (
        power_rows({**columns, "power_w": np.full(len(columns["m"]), np.nan)}, "none", load_target, bundled_constants())
        is None
    )
    del columns["power_w"]
    assert power_rows(columns, "none", load_target, bundled_constants()) is None
    with pytest.raises(ValueError, match="steady"):
        fit_power([])


def test_a_file_of_factors_is_read_back(tmp_path: Path) -> None:
    bundled = bundled_power_constants()
    path = tmp_path / "power.json"
    path.write_text(bundled.to_json())
    assert power_differences(read_power_constants(path), bundled) == []
    other = replace(bundled, factors=replace(bundled.factors, active=2.0), tables={})
    assert [line.partition(":")[0] for line in power_differences(other, bundled)][-1] == "active"


@pytest.mark.parametrize(
    "change",
    [
        *({"version": 9}, {"factors": {"static": 1}}, {"factors": dict.fromkeys(FACTORS, -1)}),
        *({"factors": dict.fromkeys(FACTORS, 10**400)}, {"about": {"rows": float("inf"), "devices": []}}),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, change: Mapping[str, object]) -> None:
    path = tmp_path / "power.json"
    path.write_text(json.dumps({**json.loads(bundled_power_constants().to_json()), **change}))
    with pytest.raises(PowerConstantsError):
        read_power_constants(path)
    path.write_text("[" * 100_000)
    with pytest.raises(PowerConstantsError, match="nested too deep"):
        read_power_constants(path)


# ---- learned power


@pytest.fixture(scope="module")
def learned() -> dict[str, np.ndarray]:
    """Readings a fifth above what the factors say, where k is large."""
    columns = products()
    return {**columns, "power_w": columns["power_w"] * np.where(columns["k"] > 2000, 1.2, 1.0)}


def test_learned_power_finds_what_the_factors_miss(learned: Mapping[str, np.ndarray], tmp_path: Path) -> None:
    constants = bundled_constants()
    few = {name: np.tile(column, 6) for name, column in learned.items()}
    few["m"] = few["m"] + np.repeat(np.arange(6), len(learned["m"]))
    table = power_table(few, "products", load_target, constants, BLEND)
    assert table is not None
    model = made_power(table, "products", "0" * 64, constants, BLEND)
    errors = model.about["errors"][0]  # type: ignore[index]
    assert errors["hybrid_median"] < errors["analytical_median"]
    assert model.extra == (LOG_POWER,) and list(model.machines) == ["h200_sxm"]
    write_model(model, tmp_path)
    (again,) = read_models(tmp_path).values()
    features = table.features[:50]
    np.testing.assert_array_equal(again.seen.correction(features), model.seen.correction(features))
    path = tmp_path / "gemm/model.json"
    path.write_text(path.read_text().replace(LOG_POWER, "log_weight"))
    with pytest.raises(LearnedModelError, match="features"):
        read_models(tmp_path)


def test_learned_power_is_believed_where_it_was_read_only() -> None:
    table = kernel_table(parse_module(PRODUCTS))
    with_power, without = Hybrid(), Hybrid(power_models={})
    for name, is_read in (("h200_sxm+vllm", True), ("h100_sxm+vllm", False), ("a100", False)):
        target = load_target(name)
        one, other = (model.estimate(table, target) for model in (with_power, without))
        np.testing.assert_array_equal(one.latency_s, other.latency_s)
        assert np.array_equal(one.energy_j, other.energy_j) != is_read
        assert (one.energy_j <= target.power.peak_w * one.latency_s * (1 + 1e-9)).all()


def test_bundled_models_of_power_are_of_the_bundled_constants() -> None:
    models = bundled_power_models()
    assert set(models) == {"gemm", "attention", "moe", "quantize", "recurrent"}
    for model in models.values():
        assert model.about["constants"] == digest_of(bundled_constants(), model.family), model.family
        assert model.about["power_constants"] == digest_of_power(bundled_power_constants()), model.family


def test_refitting_reproduces_what_comes_with_the_package(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """The factors, and the smallest of the models of power; docs/energy.md has the commands."""
    folder = pytestconfig.getoption("--measured")
    names = list(bundled_power_constants().tables)
    if folder is None or not all((Path(folder) / name).exists() for name in names):
        pytest.skip(f"no measurements: give the folder of {', '.join(names)} by --measured")
    pytest.importorskip("pyarrow", reason="reading Parquet needs pyarrow")
    constants, bundled, samples = bundled_constants(), bundled_power_constants(), []
    tables = {name: read_table(Path(folder) / name) for name in names}
    for name, found in tables.items():
        rows = power_rows(found.columns, name, load_target, constants)
        samples += power_samples(rows) if rows is not None else []
    fitted = fit_power(samples, {name: found.sha256 for name, found in tables.items()})
    assert power_differences(fitted, bundled) == []
    found = tables["quantize.parquet"]
    table = power_table(found.columns, found.path, load_target, constants, bundled)
    assert table is not None
    write_model(made_power(table, found.path, found.sha256, constants, bundled), tmp_path)
    for path in sorted((BUNDLED / POWER / "quantize").iterdir()):
        assert path.read_bytes() == (tmp_path / "quantize" / path.name).read_bytes(), path.name
