"""`irc diff`: two targets, formats, pipelines or reports; sums that add up, and a gate."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import random_modules
from hypothesis import given, settings
from onnx import TensorProto, helper, save

import ircost
from ircost.ir import Module
from ircost.ir.clone import clone_module

RESNET = Path(__file__).resolve().parents[2] / "datasets/models/resnet50.onnx"
SIDES: dict[str, tuple[str, ...]] = {
    "targets": ("--target", "h100", "--target-b", "a100"),
    "formats": ("--dtype-b", "f16"),
    "mixed precision": ("--autocast", "f16", "--dtype-b", "f16"),
    "pipelines": ("--passes-b", "canonicalize"),
    "levels": ("--opt", "0", "--opt-b", "3"),
    "cost models": ("--model-b", "roofline"),
    "kinds of machine": ("--target-b", "cpu"),
}


def save_report(path: Path, **options: Any) -> Path:
    path.write_text(ircost.compile(RESNET, **options).to_json())
    return path


@pytest.mark.parametrize("options", SIDES.values(), ids=SIDES)
def test_changes_add_up_to_the_difference(irc, options: tuple[str, ...]) -> None:
    outcome = irc("diff", RESNET, *options, "--json")
    answer = json.loads(outcome.out)
    assert (outcome.code, outcome.err) == (0, "")
    total_s = answer["b"]["latency_s"] - answer["a"]["latency_s"]
    assert answer["delta"]["latency_s"] == total_s
    slack = 1e-12 * (answer["a"]["latency_s"] + answer["b"]["latency_s"])
    assert math.fsum(change["delta_s"] for change in answer["changes"]) == pytest.approx(total_s, abs=slack)
    sizes = [abs(change["delta_s"]) for change in answer["changes"]]
    assert sizes == sorted(sizes, reverse=True)


@settings(deadline=None, max_examples=30)
@given(random_modules.modules())
def test_changes_of_any_module_add_up(module: Module) -> None:
    a = ircost.compile(clone_module(module), target="h100", opt=0)
    b = ircost.compile(module, target="l40s", opt=3)
    comparison = ircost.diff(a, b)
    total_s = math.fsum(change.delta_s for change in comparison.changes)
    assert total_s == pytest.approx(b.latency_s - a.latency_s, abs=1e-9 * (a.latency_s + b.latency_s))
    for side, report in (("a", a), ("b", b)):
        assert sum(len(getattr(change, side)) for change in comparison.changes) == len(report.kernels)


def test_the_screen(irc) -> None:
    lines = irc("diff", RESNET, *SIDES["targets"]).out.splitlines()
    assert lines[0] == f"A  {RESNET}  ->  h100_sxm · f32 · hybrid"
    assert lines[1] == f"B  {RESNET}  ->  a100_sxm_80gb · f32 · hybrid"
    words = " ".join(" ".join(lines).split())
    assert re.search(r"latency \d+ us [12]\.\d\d ms \+\d+\.\d%", words)
    for shown in (
        "vector units, as before",
        "/conv2/Conv and 4 alike",
        "more (--all)",
    ):
        assert shown in words, shown


def test_fused_kernels_are_aligned_by_their_nodes(irc) -> None:
    answer = json.loads(irc("diff", RESNET, *SIDES["pipelines"], "--json").out)
    change = next(
        change for change in answer["changes"] if change["name"] == "/layer3/layer3.0/downsample/downsample.0/Conv"
    )
    assert change["a"]["ops"] == ["conv+add+add+relu"]
    assert change["b"]["ops"] == ["conv", "add", "add", "relu"]
    assert change["why"][0] == "1 kernel split into 4"
    back = json.loads(irc("diff", RESNET, "--passes", "canonicalize", "--opt-b", "2", "--json").out)
    assert any(change["why"][:1] == ["4 kernels fused into 1"] for change in back["changes"])


def test_layers_that_became_one_function_are_aligned(irc, tmp_path: Path) -> None:
    """A function stands for the nodes of every layer that calls it."""
    nodes = []
    for layer in range(6):
        source = f"r{layer - 1}" if layer else "x"
        nodes += [
            helper.make_node("Exp", [source], [f"e{layer}"], name=f"layer{layer}/exp"),
            helper.make_node("Softmax", [f"e{layer}"], [f"s{layer}"], name=f"layer{layer}/softmax"),
            helper.make_node("Tanh", [f"s{layer}"], [f"t{layer}"], name=f"layer{layer}/tanh"),
            helper.make_node("Softmax", [f"t{layer}"], [f"u{layer}"], name=f"layer{layer}/again"),
            helper.make_node("Add", [f"u{layer}", source], [f"r{layer}"], name=f"layer{layer}/add"),
        ]
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [64, 512]) for name in ("x", "r5")]
    graph = helper.make_graph(nodes, "layers", tensors[:1], tensors[1:])
    path = tmp_path / "layers.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    answer = json.loads(
        irc("diff", path, "--passes", "canonicalize", "--passes-b", "canonicalize,outline", "--json").out
    )
    assert len(answer["changes"]) == 5
    assert all(change["a"]["runs"] == change["b"]["runs"] == 6 for change in answer["changes"])


def test_what_is_new_and_what_is_gone(irc, mlp: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.irc"
    other.write_text(mlp.read_text().replace("%z", "%e").replace("relu", "exp"))
    reasons = [c["why"] for c in json.loads(irc("diff", mlp, other, "--opt", "0", "--json").out)["changes"]]
    assert ["new"] in reasons and ["dropped"] in reasons


def test_another_op_under_the_same_name(irc, mlp: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.irc"
    other.write_text(mlp.read_text().replace("relu", "exp"))
    changes = json.loads(irc("diff", mlp, other, "--opt", "0", "--json").out)["changes"]
    assert {c["name"]: c["why"] for c in changes} == {"%y": [], "%z": ["relu -> exp"]}


def test_reports_compare_as_their_models_do(irc, tmp_path: Path) -> None:
    a = save_report(tmp_path / "a.json", target="h100")
    b = save_report(tmp_path / "b.json", target="a100")
    assert irc("diff", a, b).out == irc("diff", RESNET, *SIDES["targets"]).out
    assert irc("diff", a, RESNET, "--target-b", "a100").out == irc("diff", a, b).out


def test_a_report_against_itself_is_unchanged(irc, tmp_path: Path) -> None:
    a = save_report(tmp_path / "a.json")
    answer = json.loads(irc("diff", a, a, "--json").out)
    assert not any(answer["delta"].values())
    assert not any(change["delta_s"] or change["why"] for change in answer["changes"])
    assert irc("diff", a, a, "--fail-above", "0").code == 0


@pytest.mark.parametrize(("above", "code"), [(0.1, 0), (-0.1, 1)])
def test_the_gate(irc, above: float, code: int) -> None:
    answer = json.loads(irc("diff", RESNET, *SIDES["targets"], "--json").out)
    percent = 100 * answer["delta"]["latency_s"] / answer["a"]["latency_s"]
    outcome = irc("diff", RESNET, *SIDES["targets"], "--fail-above", f"{percent + above}")
    assert outcome.code == code
    assert (f"B's latency is {percent:.1f}% above A's" in outcome.err) is bool(code)


def test_the_gate_by_other_metrics(irc) -> None:
    assert irc("diff", RESNET, *SIDES["formats"], "--fail-above", "-45", "--metric", "memory").code == 0
    assert irc("diff", RESNET, *SIDES["formats"], "--fail-above", "-55", "--metric", "bytes").code == 1
    assert irc("diff", RESNET, *SIDES["targets"], "--fail-above", "50", "--metric", "energy").code == 1


def test_meshes_are_compared_by_what_all_devices_take(irc, tmp_path: Path) -> None:
    """Twice the devices need less energy each, and more together."""
    for tp in (4, 8):
        report = ircost.compile("llama-3-8b", "h100", phase="decode", dims={"context": 4096}, mesh=f"tp={tp}")
        (tmp_path / f"{tp}.json").write_text(report.to_json())
    outcome = irc("diff", tmp_path / "4.json", tmp_path / "8.json", "--metric", "energy", "--fail-above", "0")
    assert outcome.code == 1
    assert "tp=4" in outcome.out and "tp=8" in outcome.out
    change = {line.split("  ")[1]: line.split()[-1] for line in outcome.out.splitlines()[3:11]}
    assert change["energy of a device"].startswith("-") and change["tokens/J"].startswith("-")


def test_the_waterfall_is_drawn(irc, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a.svg", "b.svg", "c.png"):
        assert irc("diff", RESNET, *SIDES["formats"], "--plot", tmp_path / name).code == 0
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_extra_is_named(irc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    outcome = irc("diff", RESNET, *SIDES["formats"], "--plot", tmp_path / "a.png")
    assert outcome.code == 2
    assert "pip install 'ircost[plot]'" in outcome.err


def test_json_keys_are_on_the_page(irc) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/command-line.md").read_text()
    answer = json.loads(irc("diff", RESNET, *SIDES["formats"], "--json").out)
    keys = [*answer, *answer["changes"][0], *answer["changes"][0]["a"]]
    assert [key for key in keys if f"`{key}`" not in page] == []
