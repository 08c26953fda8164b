"""`irc compile --what-if`: more is never slower, passes change what they should, formats and batches."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import random_modules
from hypothesis import given, settings
from hypothesis import strategies as st

import ircost
from ircost.alternatives import WhatIf
from ircost.backends import load_target, target_names
from ircost.changed_target import resources
from ircost.ir import Module

RESNET = Path(__file__).resolve().parents[2] / "datasets/models/resnet50.onnx"
SLACK = 1 + 1e-9
ANALYTICAL: dict[str, Any] = {"target": "h100", "cost_model": "analytical"}  # what changes are told by


@pytest.fixture(scope="module")
def asked() -> WhatIf:
    return ircost.what_if(RESNET, target="h100")


def of(asked, what: str):
    return next(item for item in asked.alternatives if item.what == what)


@settings(deadline=None, max_examples=25)
@given(random_modules.modules(), st.sampled_from(["h100", "a100+pytorch", "t4", "cpu", "tpu_v4", "h100+vllm"]))
def test_more_of_anything_is_never_slower(module: Module, target: str) -> None:
    asked = ircost.what_if(module, target)
    free = [item for item in asked.alternatives if item.kind == "resource" or item.name == "launches"]
    assert free
    assert [item for item in free if item.latency_s > asked.report.latency_s * SLACK] == []


@pytest.mark.parametrize("target", target_names())
def test_every_machine_can_have_more(target: str) -> None:
    machine = load_target(target)
    for name, _, better in resources(machine):
        assert better.name == machine.name, "what was fitted to the device goes on to hold"
        assert better.digest() != machine.digest(), name


def test_a_microcontroller_has_no_power_limit_to_lift() -> None:
    assert [name for name, _, _ in resources(load_target("stm32h743"))] == ["sram", "vector"]


def test_links_are_widened_where_devices_share_a_model() -> None:
    alone, shared = (
        ircost.what_if("llama-3.2-1b", "l40s", phase="decode", dims={"batch": 32, "context": 200}, mesh=mesh)
        for mesh in ("", "tp=4")
    )
    assert of(shared, "pcie bandwidth x2").change < -0.1
    assert not any(item.name == "pcie" for item in alone.alternatives)


def test_the_report_is_that_of_compile(asked) -> None:
    assert asked.report.to_json() == ircost.compile(RESNET, **ANALYTICAL).to_json()


def test_ranked_by_what_helps(asked) -> None:
    changes = [item.change for item in asked.alternatives]
    assert changes == sorted(changes)
    for item in asked.alternatives:
        assert item.change == pytest.approx(item.latency_s / item.items / asked.report.latency_s - 1)


def test_passes_left_out_are_pipelines_without_them(asked) -> None:
    names = asked.report.pipeline.split(",")
    assert {item.name for item in asked.alternatives if item.kind == "pass"} == {n.partition("{")[0] for n in names}
    for name in names:
        rest = ",".join(other for other in names if other != name)
        expected = ircost.compile(RESNET, pipeline=rest, **ANALYTICAL)
        assert of(asked, f"without {name.partition('{')[0]}").latency_s == pytest.approx(expected.latency_s)
    assert of(asked, "without fuse").change > 0.1


@pytest.mark.parametrize("target", ["a100", "a100+pytorch", "h100+vllm"])
def test_launches_alone_change(target: str) -> None:
    """Kernels stay whose they are: one by one they are never faster, replayed never slower."""
    asked = ircost.what_if("gpt2", target, phase="decode", dims={"context": 200})
    (launched,) = (item for item in asked.alternatives if item.kind == "launch" and item.name != "launches")
    assert (launched.change > 0.05) == (launched.name == "eager") and launched.change != 0
    if launched.name == "graph":
        assert launched.change < -0.05
        kernels = sum(kernel.count for kernel in asked.report.kernels)
        assert asked.report.latency_s > kernels * 1e-5  # PyTorch's host takes more than 10 us for each


def test_formats_batch_and_launches_are_compilations(asked) -> None:
    f16 = ircost.compile(RESNET, dtype="f16", **ANALYTICAL)
    assert (of(asked, "f16").latency_s, of(asked, "f16").energy_j) == pytest.approx((f16.latency_s, f16.energy_j))
    batch = ircost.compile(RESNET, dims={"N": 2}, **ANALYTICAL)
    assert of(asked, "batch N=2").latency_s == pytest.approx(batch.latency_s)
    assert of(asked, "batch N=2").items == 2
    assert of(asked, "kernels launched one by one, by PyTorch").change > 1  # short ones wait for the host
    again = ircost.what_if(RESNET, "h100+pytorch")
    assert of(again, "kernels replayed (CUDA graphs)").change < -0.5


def test_a_bound_batch_is_doubled_from_there() -> None:
    assert of(ircost.what_if(RESNET, dims={"N": 4}), "batch N=8").items == 2


def test_what_cannot_be_costed_is_told(asked, mlp: Path) -> None:
    assert [item.name for item in asked.not_tried] == ["i8"]
    assert [item.kind for item in ircost.what_if(mlp).not_tried] == ["format", "batch"]


def test_energies_of_operations_stay_those_of_the_machine(asked) -> None:
    assert of(asked, "power limit x2").energy_j == pytest.approx(asked.report.energy_j)


def test_a_module_is_left_as_it_is(mlp: Path) -> None:
    from ircost.ir.parser import parse_module
    from ircost.ir.printer import print_module

    module = parse_module(mlp.read_text())
    before = print_module(module)
    assert ircost.what_if(module).alternatives
    assert print_module(module) == before


def test_the_block_below_the_report(irc) -> None:
    outcome = irc("compile", RESNET, "--what-if", "--target", "h100")
    plain = irc("compile", RESNET, "--target", "h100", "--model", "analytical").out
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(plain)
    block = outcome.out[len(plain) :]
    told = block.strip().splitlines()[0]
    assert told.startswith("what would help   ")
    assert re.search(r"f16 -\d\d%", told) and re.search(r"batch N=2: 1\.\d+x items/s", told)
    assert re.search(r"\+\d+\.\d%  1\.\d\d ms   \d+ mJ  pass      without fuse", block)
    assert "accurate enough" in block


def test_json_is_the_report_and_more(irc) -> None:
    answer = json.loads(irc("compile", RESNET, "--what-if", "--json").out)
    more = answer.pop("what_if")
    assert answer == json.loads(irc("compile", RESNET, "--model", "analytical", "--json").out)
    assert more["latency_s"] == answer["latency_s"]
    page = (Path(__file__).resolve().parents[2] / "docs/command-line.md").read_text()
    keys = ["what_if", *more, *more["alternatives"][0], *more["not_tried"][0]]
    assert [key for key in keys if f"`{key}`" not in page] == []


def test_the_tornado_is_drawn(irc, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a.svg", "b.svg", "c.png"):
        assert irc("compile", RESNET, "--what-if", "--plot", tmp_path / name).code == 0
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
