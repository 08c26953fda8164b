from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from ircost.backends import TargetError, load_target
from ircost.backends.figure import Figure
from ircost.backends.target_files import parse_target
from ircost.ir.types import DTYPES, f16

WITH_ENERGY = """
extends: h100
source: what if
energy: {matrix: {f16: 0.6 pJ/flop}}
"""


@pytest.mark.parametrize(
    ("name", "dtype", "engine", "unit"),
    [
        ("h100", "f16", "matrix", ("matrix", "f16")),
        ("h100", "f16", "vector", ("vector", "f16")),
        ("h100", "f32", "matrix", ("vector", "f32")),
        ("mi300x", "f32", "matrix", ("matrix", "f32")),
        ("mi355x", "tf32", "matrix", ("matrix", "f32")),
        ("v100", "tf32", "matrix", ("vector", "f32")),
        ("h100", "u8", "matrix", ("matrix", "i8")),
        ("h100", "i4", "matrix", ("matrix", "i8")),
        ("a100", "u4", "matrix", ("matrix", "i4")),
        ("h100", "i64", "matrix", ("vector", "i32")),
        ("v100", "i8", "matrix", ("vector", "i32")),
        ("v100", "u8", "matrix", ("vector", "i32")),
        ("gtx_1080_ti", "u8", "matrix", ("vector", "i8")),
        ("raspberry_pi_5", "u8", "matrix", ("vector", "i8")),
        ("raspberry_pi_5", "u4", "matrix", ("vector", "i8")),
        ("t4", "bf16", "matrix", ("vector", "f32")),
        ("t4", "f64", "matrix", ("vector", "f64")),
        ("cpu", "f16", "matrix", ("vector", "f32")),
        ("cpu", "bool", "vector", ("vector", "i32")),
        ("a100", "f8e4m3", "vector", ("vector", "f16")),
        ("cpu", "f8e4m3", "vector", ("vector", "f32")),
    ],
)
def test_unit_for(name: str, dtype: str, engine: Any, unit: tuple[str, str]) -> None:
    target = load_target(name)
    assert target.unit_for(dtype, engine) == unit
    peaks = target.matrix if unit[0] == "matrix" else target.vector
    assert target.peak_flops_per_s(dtype, engine) == peaks[unit[1]]


@pytest.mark.parametrize(("name", "dtype"), [("a100", "f8e4m3"), ("h100", "f4e2m1"), ("cpu", "f8e5m2")])
def test_format_that_the_machine_lacks(name: str, dtype: str) -> None:
    target = load_target(name)
    with pytest.raises(TargetError) as caught:
        target.peak_flops_per_s(dtype)
    assert caught.value.message == f"{target.name} has no matrix arithmetic in {dtype}"
    assert caught.value.help == f"it has matrix {', '.join(target.matrix)}; vector {', '.join(target.vector)}"


@pytest.mark.parametrize("dtype", DTYPES)
def test_vector_lanes_of_every_machine_take_every_format(dtype: str) -> None:
    for name in ("h100", "t4", "cpu", "mi300x"):
        assert load_target(name).peak_flops_per_s(dtype, "vector") > 0


def test_takes_dtypes_and_their_names() -> None:
    h100 = load_target("h100")
    assert h100.peak_flops_per_s(f16) == h100.peak_flops_per_s("f16") == 989.4e12


def test_energy_is_derived_where_the_file_is_silent() -> None:
    h100 = load_target("h100")
    energy = h100.energy_j_per_flop("f16")
    memory_w = 3.35e12 * 3.92e-12 * 8
    assert energy == pytest.approx((700 - 100 - memory_w) / 989.4e12)
    assert energy.source.startswith("derived")
    assert energy.guess


def test_a_lower_limit_of_power_makes_no_operation_cheaper() -> None:
    """A board that is held to less says what it was made for."""
    cpu = load_target("cpu")
    held = parse_target("name: held\nextends: cpu\nsource: test\npower: {peak: 150 W, design: 283 W}\n")
    assert held.energy_j_per_flop("f32", "vector") == cpu.energy_j_per_flop("f32", "vector")
    assert held.arithmetic_w == pytest.approx(283 - 80 - 204.8e9 * 20.3e-12 * 8)


def test_energy_of_a_format_is_that_of_the_unit_it_runs_on() -> None:
    h100 = load_target("h100")
    assert h100.energy_j_per_flop("f32", "matrix") == h100.energy_j_per_flop("f32", "vector")


def test_published_energy_wins() -> None:
    target = parse_target(WITH_ENERGY)
    assert target.energy_j_per_flop("f16") == 0.6e-12
    assert target.energy_j_per_flop("f16").source == "what if"
    assert target.energy_j_per_flop("bf16") == load_target("h100").energy_j_per_flop("bf16")


def test_sources_name_every_figure_once() -> None:
    sources = load_target("h100").sources()
    assert next(iter(sources)) == "matrix.f64"
    assert sources["links.nvlink.bandwidth_bytes_per_s"] == 450e9
    assert sources["power.idle_w"].guess
    assert all(isinstance(figure, Figure) for figure in sources.values())


def test_digest_is_of_the_content() -> None:
    h100 = load_target("h100")
    assert h100.digest() == load_target("h100_sxm").digest()
    assert len({load_target(name).digest() for name in ("h100", "h200", "t4")}) == 3
    assert parse_target(WITH_ENERGY.replace("0.6", "0.7")).digest() != parse_target(WITH_ENERGY).digest()


def test_digest_is_the_same_in_another_process() -> None:
    program = "from ircost.backends import load_target; print(load_target('h100').digest())"
    run = [sys.executable, "-c", program]
    outputs = {subprocess.run(run, capture_output=True, check=True, env=_seeded(seed)).stdout for seed in "12"}
    assert outputs == {f"{load_target('h100').digest()}\n".encode()}


def _seeded(seed: str) -> dict[str, str]:
    return {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}


def test_targets_are_values() -> None:
    h100 = load_target("h100")
    assert h100 == load_target("h100")
    assert {h100: 1}[load_target("h100_sxm")] == 1
    assert copy.deepcopy(h100).main_memory.capacity_bytes.source == h100.main_memory.capacity_bytes.source
    with pytest.raises(ValidationError):
        h100.name = "other"
    assert json.dumps(h100.power.peak_w) == "700.0"
