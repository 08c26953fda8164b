"""Targets of one chip get one chip's constants and corrections; a machine that is nowhere worse is not slower."""

from __future__ import annotations

from pathlib import Path

import pytest

import ircost
from ircost.backends import load_target
from ircost.cost_models.gpu.machine import machine_of
from ircost.cost_models.learned.storage import bundled_models
from ircost.report import Report


def own_target(folder: Path, said: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(f"name: mine\nsource: this test\n{said}\n")
    return path


def compiled(target: str | Path, model: str = "llama-3.2-1b") -> Report:
    return ircost.compile(model, target, phase="decode", dtype="f16", dims={"batch": 1, "context": 1024})


@pytest.mark.parametrize("base", ["h100_sxm", "rtx_4060_ti", "h100_sxm+vllm"])
def test_another_capacity_changes_no_time(base: str, tmp_path: Path) -> None:
    name, _, runtime = base.partition("+")
    path = own_target(
        tmp_path, f"extends: {name}\nmemory: {{{load_target(name).main_memory.name}: {{capacity: 40 GB}}}}"
    )
    mine, theirs = compiled(f"{path}+{runtime}" if runtime else path), compiled(base)
    assert (mine.latency_s, mine.low_s, mine.high_s) == (theirs.latency_s, theirs.low_s, theirs.high_s)
    assert mine.energy_j == theirs.energy_j
    assert any(f"mine has the chip of {name}" in note for note in mine.notes)
    assert not any("has the chip of" in note for note in theirs.notes)


def test_other_rates_get_shares_of_them_and_no_grade_of_a_measured_machine(tmp_path: Path) -> None:
    """Constants are shares of rates, so they hold; corrections were learned at the rates that were measured."""
    machine = machine_of(load_target(own_target(tmp_path, "extends: h100_sxm\nmemory: {hbm: {bandwidth: 2.0 TB/s}}")))
    model = bundled_models()["gemm"]
    assert machine.chip == "h100_sxm"
    assert not model.is_measured(machine, machine.chip)
    assert model.is_measured(machine_of(load_target("h100_sxm")), "h100_sxm")


def test_a_chip_of_its_own_has_no_constants(tmp_path: Path) -> None:
    mine = compiled(own_target(tmp_path, "extends: rtx_4060_ti\nchip: mine"))
    assert mine.latency_s != compiled("rtx_4060_ti").latency_s


def test_explanations_say_whose_constants_they_are(tmp_path: Path) -> None:
    path = own_target(tmp_path, "extends: rtx_4060_ti")
    assert "device rtx_4060_ti, whose chip mine has" in str(ircost.explain(compiled(path), target=path).tree)
    assert "whose chip" not in str(ircost.explain(compiled("rtx_4060_ti")).tree)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("rtx_5080", "rtx_5070_ti"),
        ("jetson_orin_nano_super", "jetson_orin_nx_8gb"),
        ("jetson_orin_nano_super", "jetson_orin_nano"),
        ("mi355x", "mi350x"),
        ("rtx_pro_6000_server", "rtx_pro_5000"),
        ("rtx_4060_ti_16gb", "rtx_4060_ti"),
    ],
)
@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_a_machine_that_is_nowhere_worse_is_not_slower(better: str, worse: str, phase: str) -> None:
    dims = {"batch": 1, "context": 1024} if phase == "decode" else {"batch": 1, "seq": 1024}
    one, other = (
        ircost.compile("llama-3.2-1b", name, phase=phase, dtype="f16", dims=dims).latency_s for name in (better, worse)
    )
    assert one <= 1.03 * other
