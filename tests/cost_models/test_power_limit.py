"""Arithmetic that the board's power holds back: no slower than power says, whatever share of the peak is reached."""

from __future__ import annotations

import numpy as np
import pytest
from fit_slopes import checked_slopes

import ircost
from ircost.backends import load_target
from ircost.cost_models.gpu.constants import bundled_constants
from ircost.cost_models.gpu.demand import RESIDENT, SHARPNESS, busy_s, times
from ircost.cost_models.gpu.families import FAMILIES
from ircost.cost_models.gpu.fit import Sample, _Errors, start_of, value_of
from ircost.cost_models.gpu.power_limit import product_flops_per_s, sustained_flops_per_s
from ircost.cost_models.gpu.rows import groups_of
from ircost.cost_models.gpu.table_schema import completed
from ircost.explaining import explain_report
from ircost.ir.parser import parse_module

PRODUCT = """
func @main(%x: 8192x8192xf16, %w: 8192x8192xf16) -> (8192x8192xf16) {
  %y = matmul %x, %w
  return %y
}
"""


def sample(device: str, dtype: str, sizes: tuple[tuple[int, int, int], ...]) -> Sample:
    """Products as a table has them, measured at a microsecond each."""
    m, n, k = (np.array(column) for column in zip(*sizes, strict=True))
    words = {"device": device, "dtype": dtype, "framework": "vendor library"}
    columns = {name: np.full(len(m), word, dtype=object) for name, word in words.items()}
    family = FAMILIES["gemm"]
    whole = completed(family, {**columns, "m": m, "n": n, "k": k, "latency_us": np.ones(len(m))})
    group = next(iter(groups_of(family, whole, load_target)))
    assert group.setting is not None
    return Sample(group.labels, family.demand(whole, group.setting), np.full(len(m), 1e-6))


def test_a_board_of_70_watts_sets_the_pace_of_large_products() -> None:
    """Measured, DeepBench: a T4 sustains 39 to 43 TFLOP/s in f16, of a peak of 65."""
    target = load_target("t4")
    report = ircost.compile(parse_module(PRODUCT), target="t4")
    rate = report.flops / report.latency_s
    assert 0.8 * sustained_flops_per_s(target, "f16") < rate <= sustained_flops_per_s(target, "f16")
    leaves = [node.source for node in explain_report(report, target, "analytical", most=None).walk()]
    assert any("70 W sustain" in source for source in leaves)


def test_the_limit_holds_whatever_share_of_the_peak_is_reached() -> None:
    demand = sample("t4", "float16", ((8192, 8192, 8192),)).demand
    constants = bundled_constants().of("gemm", {})
    fast, slow = (busy_s(demand, {**constants, "matrix": share})["matrix"] for share in (1.0, 1e-3))
    assert (fast >= demand.least["matrix"]).all()
    assert (slow > fast).all()


def test_boards_whose_energy_nobody_knows_have_no_limit() -> None:
    assert np.isinf(sustained_flops_per_s(load_target("mi300x"), "f16"))
    assert sustained_flops_per_s(load_target("v100_pcie"), "f16") > load_target("v100_pcie").peak_flops_per_s("f16")


@pytest.mark.parametrize(
    ("name", "dtype", "in_f32"),
    [
        ("p100_pcie", "f16", True),
        ("v100_pcie", "f16", False),
        ("gtx_1660_ti", "f16", True),
        ("jetson_nano", "f16", False),
        ("jetson_nano+pytorch", "f16", True),
        ("p100_pcie+tensorrt", "f16", False),
    ],
)
def test_lanes_without_mixed_instructions_multiply_in_f32(name: str, dtype: str, in_f32: bool) -> None:
    """Measured, DeepBench: a P100 reaches 9.0 TFLOP/s in f16 and in f32, of peaks of 18.7 and 9.3."""
    target = load_target(name)
    found, f32 = product_flops_per_s(target, dtype), float(target.peak_flops_per_s("f32"))
    assert (found == f32) is in_f32
    assert found <= target.peak_flops_per_s(dtype)


def test_a_runtime_that_adds_up_in_16_bits_is_faster_than_f32() -> None:
    """Measured, NVIDIA-AI-IOT/torch2trt: a Jetson Nano takes 29.2 ms for a ResNet-50 in f16 by TensorRT."""
    seconds = {
        name: ircost.compile("datasets/models/resnet50.onnx", target=name, dtype="f16")
        for name in ("jetson_nano", "jetson_nano+pytorch")
    }
    assert seconds["jetson_nano"].latency_s == pytest.approx(29.2e-3, rel=0.15)
    assert not any("add up in f32" in note for note in seconds["jetson_nano"].notes)
    assert any("f16 products add up in f32" in note for note in seconds["jetson_nano+pytorch"].notes)


def test_slopes_are_those_of_the_errors_on_both_sides_of_the_limit() -> None:
    """By differences; a product that power holds back does not change with the share of the peak."""
    parameters = FAMILIES["gemm"].parameters
    own = sample("t4", "float16", ((8192, 8192, 8192), (64, 512, 512), (32, 4096, 4096)))
    chosen = own.demand.chosen(np.zeros(3, dtype=int))
    errors = _Errors(parameters, [chosen], [own.measured_s])
    assert checked_slopes(errors, parameters)["matrix"][0] == 0.0


def test_errors_are_those_of_the_estimates() -> None:
    parameters = FAMILIES["gemm"].parameters
    own = sample("t4", "float16", ((8192, 8192, 8192), (64, 512, 512)))
    constants = {name: float(value_of(p, start_of(p))) for name, p in parameters.items()}
    terms = times(own.demand, constants)
    errors = _Errors(parameters, [terms.demand], [own.measured_s])
    found, _ = errors.of(np.array([[start_of(parameter) for parameter in parameters.values()]]))
    assert found == pytest.approx(np.log(terms.latency_s / own.measured_s), rel=1e-9)


def test_a_fit_leaves_what_a_cache_keeps_where_it_is() -> None:
    """What is hardware is no outlet for errors: one constant for all, at its default."""
    for family in ("gemm", "attention", "moe"):
        constants = bundled_constants()
        found = [constants.of(family, {"architecture": name})[RESIDENT] for name in ("ada", "hopper", "pascal")]
        assert found == pytest.approx([FAMILIES[family].parameters[RESIDENT].default] * 3, rel=0.05)
        assert constants.of(family, {"architecture": "ada"})[SHARPNESS] > 0
