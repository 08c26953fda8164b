"""Microcontrollers: two memories, and a model that is fitted to whole networks."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ircost
from ircost.backends import Target, TargetError, load_target, target_names
from ircost.backends.target_files import parse_target
from ircost.cli import run
from ircost.cost_models.microcontroller_constants import bundled_microcontroller_constants
from ircost.cost_models.microcontroller_fit import Runs, fit_factors, half_width, left_out
from ircost.datasets.tables import read_table
from ircost.ir.parser import parse_module
from ircost.report import Report

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "datasets/published/microcontrollers.csv"
SMALL = [name for name in target_names() if load_target(name).kind == "microcontroller"]
NETWORKS = ("mlperf_tiny_ad", "mlperf_tiny_ic", "mlperf_tiny_kws", "mlperf_tiny_vww")


def report_on(network: str, target: str | Target = "stm32l4r5", **options: Any) -> Report:
    return ircost.compile(ROOT / f"examples/{network}.yaml", target, **options)


# Published: parameters of the float models, of which folding leaves one of four that a batch norm has a channel, or
# none where the layer had a bias before: 269,992, 78,666, 24,908 and 221,794 (Keras, github mlcommons/tiny); of
# MobileNetV2 0.75 M, and 23.5 M MACs (github mit-han-lab/mcunet).
@pytest.mark.parametrize(
    ("network", "parameters", "macs"),
    [
        ("mlperf_tiny_ad", 269_992 - 4 * (8 * 128 + 8), 264_192),
        ("mlperf_tiny_ic", 78_666 - 4 * (3 * 16 + 2 * 32 + 2 * 64), 12_501_632),
        ("mlperf_tiny_kws", 24_908 - 4 * 9 * 64, 2_656_768),
        ("mlperf_tiny_vww", 221_794 - 3 * 3_648, 7_489_664),
        ("mobilenet_v2_tiny", 744_072, 23_499_152),
    ],
)
def test_networks_have_the_published_sizes(network: str, parameters: int, macs: int) -> None:
    report = report_on(network)
    assert report.dtype == "i8" and report.weights_bytes == parameters
    assert report.macs == macs


# ---- two memories


def test_weights_lie_in_flash_and_activations_in_sram() -> None:
    report = report_on("mlperf_tiny_vww")
    assert report.fits and report.flash_bytes == 2 * 2**20
    # The widest map, 48 x 48 of 8 channels, is made into one of 16; 54 KiB, X-CUBE-AI says 50 to 67.
    assert report.allocated_bytes == report.arena_bytes == report.peak_memory_bytes == 48 * 48 * (8 + 16)
    assert json.loads(report.to_json())["flash_bytes"] == report.flash_bytes
    elsewhere = report_on("mlperf_tiny_vww", "raspberry_pi_4")
    assert elsewhere.flash_bytes is None
    assert elsewhere.allocated_bytes == elsewhere.weights_bytes + elsewhere.arena_bytes


@pytest.mark.parametrize(
    ("memories", "fits", "word"),
    [
        ("memory: {sram: {capacity: 54 KiB}}", True, ""),
        ("memory: {sram: {capacity: 55295 B}}", False, "1 B more than the 54.0 KiB of small"),
        ("flash: {capacity: 200 KiB}", False, "weights are 5.91 KiB more than the 200 KiB flash of small"),
    ],
)
def test_either_memory_may_be_too_small(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, memories: str, fits: bool, word: str
) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(f"name: small\nextends: stm32l4r5\nsource: for this test\n{memories}\n")
    code = run(["compile", str(ROOT / "examples/mlperf_tiny_vww.yaml"), "--target", str(path)])
    text = capsys.readouterr().out
    assert code == (0 if fits else 1)
    assert ("does not fit" not in text) == fits and word in text
    assert fits or "would fit: on " in text


def test_a_limit_is_of_sram() -> None:
    whole = report_on("mobilenet_v2_tiny", "stm32f746")
    assert whole.fits and whole.weights_bytes > whole.memory_limit_bytes  # which would not fit together
    limited = report_on("mobilenet_v2_tiny", "stm32f746", memory_limit="200KiB")
    assert not limited.fits
    assert any("patches, 146 KiB" in remedy for remedy in limited.remedies)


def test_an_order_is_looked_for_by_activations_alone() -> None:
    """The limit is below the weights, and above what another order needs."""
    wide = "\n".join(f"  %w{i} = constant splat<{i + 1}> : 64x64xi8\n  %m{i} = matmul %x, %w{i}" for i in range(4))
    narrow = "\n".join(f"  %r{i} = reduce_max %m{i} {{axes = [1]}}" for i in range(4))
    module = parse_module(
        f"func @main(%x: 64x64xi8) -> 64xi8 {{\n{wide}\n{narrow}\n"
        "  %s0 = add %r0, %r1\n  %s1 = add %r2, %r3\n  %s = add %s0, %s1\n  return %s\n}"
    )
    report = ircost.compile(module, "stm32l4r5", memory_limit="10KiB")
    assert report.fits and report.weights_bytes > 10 * 1024
    assert any("another order of ops" in note for note in report.notes)


def test_a_place_of_an_input_is_used_again() -> None:
    module = parse_module(
        "func @main(%x: 64x64xi8) -> 64x64xi8 {\n  %w = constant splat<1> : 64x64xi8\n"
        "  %a = matmul %x, %w\n  %b = matmul %a, %w\n  return %b\n}"
    )
    small, large = (ircost.compile(module, name, pipeline="").arena_bytes for name in ("stm32l4r5", "raspberry_pi_4"))
    assert (small, large) == (2 * 64 * 64, 3 * 64 * 64)


# ---- the model


@pytest.mark.parametrize("name", SMALL)
def test_no_figure_is_below_the_data_sheet(name: str) -> None:
    target = load_target(name)
    for network in NETWORKS:
        report = report_on(network, target)
        assert report.model == "microcontroller"
        bound_s = 2 * report.macs / target.vector["i8"]
        assert bound_s * target.processors.count < report.latency_s  # of one core
        assert report.low_s is not None and report.high_s is not None
        assert 0 < report.lower_bound_s <= report.low_s < report.latency_s < report.high_s
        assert report.energy_j == pytest.approx(target.power.peak_w * report.latency_s)


def test_half_the_clock_is_half_as_fast() -> None:
    slow = parse_target(
        "name: slow\nextends: stm32l4r5\nsource: half the clock\nprocessors: {clock: 60 MHz}\n"
        "vector: {i8: 240 MOP/s, i16: 240 MOP/s, i32: 120 MOP/s, f32: 60 MFLOP/s}\n"
    )
    for network in NETWORKS:
        assert report_on(network, slow).latency_s == pytest.approx(2 * report_on(network).latency_s)


def test_published_runs_lie_in_their_intervals() -> None:
    columns = read_table(TABLE).columns
    inside = []
    for device, runtime, network, dims, latency_us in zip(
        *(columns[name] for name in ("device", "runtime", "network", "dims", "latency_us")), strict=True
    ):
        bound = {name: int(extent) for name, _, extent in (item.partition("=") for item in dims.split())}
        report = report_on(network, f"{device}+{runtime.replace(' ', '_')}", dims=bound)
        assert report.low_s is not None and report.high_s is not None
        assert report.lower_bound_s < latency_us * 1e-6, (device, network)
        inside.append(report.low_s <= latency_us * 1e-6 <= report.high_s)
    assert np.mean(inside) > 0.9


def test_constants_are_of_the_table_beside() -> None:
    constants = bundled_microcontroller_constants()
    columns = read_table(TABLE).columns
    assert constants.table == hashlib.sha256(TABLE.read_bytes()).hexdigest()
    assert constants.rows == len(columns["device"])
    assert {*constants.devices} == {*columns["device"]} and {*constants.runtimes} == {*columns["runtime"]}
    assert {*constants.powered} == {*columns["device"][columns["energy_uj"] > 0]}
    assert constants.half_width["known"] < constants.half_width["no runtime"] < constants.half_width["new core"]


def made_up_runs() -> Runs:
    """Of known factors: what a fit has to find again."""
    generator = np.random.default_rng(0)
    cores, runtimes, count = {"cortex_m4": 1.0, "cortex_m7": 0.5}, {"a": 0.5, "b": 2.0}, 24
    best_s = generator.uniform(0.1, 1.0, (count, 4))
    core = np.array([*cores])[np.arange(count) % 2]
    runtime = np.array([*runtimes])[np.arange(count) // 2 % 2]
    factors = np.array([cores[c] * runtimes[r] for c, r in zip(core, runtime, strict=True)])
    device = np.array([f"{c}{i % 3}" for i, c in enumerate(core)])
    network = np.array([f"n{i % 5}" for i in range(count)])
    measured_s = best_s @ np.array([5.0, 20.0, 7.0, 0.0]) * factors
    return Runs(best_s, measured_s, device, device, core, runtime, network)


def test_a_fit_finds_the_factors_again() -> None:
    runs = made_up_runs()
    factors = fit_factors(runs)
    assert factors.terms == pytest.approx([5.0, 20.0, 7.0, 0.0], rel=1e-4, abs=1e-4)
    assert factors.cores == pytest.approx({"cortex_m4": 1.0, "cortex_m7": 0.5}, rel=1e-4)
    assert factors.runtimes == pytest.approx({"a": 0.5, "b": 2.0}, rel=1e-4)


def test_what_is_left_out_is_not_fitted_to() -> None:
    """Of what no other run has, the error is that of a mean."""
    runs = made_up_runs()
    for one in left_out(runs, runs.machine):
        assert one.is_met.all() and np.abs(one.error).max() < 1e-3
        assert np.exp(np.abs(one.mean_error)) == pytest.approx(2.0, rel=1e-2)
    (first, second) = left_out(runs, runs.core)
    assert not first.is_core_met.any() and not second.is_core_met.any()
    assert first.error.min() == pytest.approx(np.log(0.5), rel=1e-2)


def test_nine_of_ten_errors_and_the_next_one_are_held() -> None:
    assert half_width([np.arange(1.0, 20.0)]) == 18.0  # the 18th of 19: (19 + 1) * 0.9
    assert half_width([np.array([-3.0, 1.0])]) == 3.0


# ---- what is not known is said


def notes_of(network: str, target: str | Target) -> str:
    return "\n".join(report_on(network, target).notes)


def interval_factor(report: Report) -> float:
    assert report.high_s is not None
    return report.high_s / report.latency_s


def test_notes_say_what_stands_in() -> None:
    known = notes_of("mlperf_tiny_ic", "stm32l4r5+x_cube_ai")
    assert "no run" not in known and "no runtime" not in known and "energy" not in known
    assert "no runtime is named: the mean of 7" in notes_of("mlperf_tiny_ic", "stm32l4r5")
    assert "no run on nrf52840 was published: those of other cortex_m4" in notes_of("mlperf_tiny_ic", "nrf52840")
    new = parse_target("name: new\nextends: stm32l4r5\nsource: test\narchitecture: cortex_m55\n")
    assert "no run on a cortex_m55 was published" in notes_of("mlperf_tiny_ic", new)
    wide, narrow = (interval_factor(report_on("mlperf_tiny_ic", target)) for target in (new, "stm32l4r5+x_cube_ai"))
    assert wide > narrow > 1
    assert "no network in f32 was measured" in notes_of("small_cnn", "stm32l4r5")


def test_runtimes_stay_among_their_machines() -> None:
    with pytest.raises(TargetError, match="no microcontroller, stm32l4r5 is"):
        load_target("stm32l4r5+vllm")
    with pytest.raises(TargetError, match="microcontrollers alone, h100_sxm is a gpu"):
        load_target("h100+tflite_micro")
    with pytest.raises(TargetError, match="of STMicroelectronics only"):
        load_target("nrf5340+x_cube_ai")


def test_the_model_is_for_microcontrollers_alone() -> None:
    with pytest.raises(TargetError, match="for microcontrollers; h100_sxm is a gpu"):
        report_on("mlperf_tiny_ic", "h100", cost_model="microcontroller")


def test_an_explanation_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", str(ROOT / "examples/mlperf_tiny_kws.yaml"), "--target", "stm32u575", "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    pending, kernels = [whole], 0
    while pending:
        node = pending.pop()
        for value in node.values() if isinstance(node, dict) else node:
            pending += [value] if isinstance(value, (dict, list)) else []
        if isinstance(node, dict) and [child["label"] for child in node.get("children", ())] == ["vector", "sram"]:
            assert not any(child.get("hidden") for child in node["children"])
            assert sum(child["value"] for child in node["children"]) == pytest.approx(node["value"])
            kernels += 1
    assert kernels == 5  # distinct ones with a product; the mean has none
