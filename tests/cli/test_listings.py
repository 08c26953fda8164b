"""`irc targets`, `irc models`, `irc passes`, `irc ops`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ircost.backends import load_target, target_names
from ircost.datasets.model_configs import model_names
from ircost.ir.definition import OPS
from ircost.passes import KINDS, PASSES, parse_pipeline


def first_words(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines()[1:]]


def test_all_targets(irc) -> None:
    text = irc("targets").out
    assert first_words(text) == target_names()
    assert "3.35 TB/s    700 W  H100 SXM5 80 GB" in text
    assert "480 MB/s  44.8 mW  STM32L4R5" in text


def test_one_target_shows_every_figure_with_its_source(irc) -> None:
    text = irc("targets", "h100").out
    for path, figure in load_target("h100").sources().items():
        line = next(line for line in text.splitlines() if line.startswith(f"{path} "))
        assert line.endswith(figure.source)
        assert ("  guess  " in line) is figure.guess
    assert "runtime" not in text.splitlines()[0]


def test_a_target_says_whose_kernels_run_on_it(irc) -> None:
    assert (
        irc("targets", "jetson_nano")
        .out.splitlines()[0]
        .endswith("; runtime tensorrt (NVIDIA TensorRT, engines of whole networks)")
    )
    assert json.loads(irc("targets", "jetson_nano", "--json").out)[0]["runtime"] == "tensorrt"


def test_units_of_figures(irc) -> None:
    text = " ".join(irc("targets", "h100").out.split())
    for shown in (
        "matrix.f16 989 Top/s",
        "memory.hbm.bandwidth_bytes_per_s 3.35 TB/s",
        "memory.hbm.energy_j_per_byte 31.4 pJ/B",
        "launch_overhead_s 2.30 us",
        "processors.count 132",
        "processors.clock_hz 1.98 GHz",
        "power.peak_w 700 W",
    ):
        assert shown in text
    small = " ".join(irc("targets", "stm32l4r5").out.split())
    assert "power.idle_w 10.0 uW" in small and "power.peak_w 44.8 mW" in small


@pytest.mark.parametrize("name", target_names())
def test_every_target_can_be_shown(irc, name: str) -> None:
    assert irc("targets", name).code == 0


def test_targets_as_json(irc) -> None:
    (h100,) = json.loads(irc("targets", "h100", "--json").out)
    assert h100["aliases"] == ["h100"]
    assert h100["figures"]["memory.hbm.bandwidth_bytes_per_s"]["value"] == 3.35e12
    assert [target["name"] for target in json.loads(irc("targets", "--json").out)] == target_names()


def test_target_without_floats_is_listed(irc, tmp_path: Path) -> None:
    (tmp_path / "npu.yaml").write_text(
        "name: npu\nkind: microcontroller\nsource: test\nvector: {i8: 1 GOP/s}\n"
        "memory: {sram: {capacity: 1 MiB, bandwidth: 1 GB/s, energy: 1 pJ/byte}}\nlaunch_overhead: 1 us\n"
        "processors: {count: 1, clock: 200 MHz}\npower: {idle: 1 mW, peak: 1 W}\n"
    )
    text = irc("targets", "--targets", tmp_path).out
    assert next(line for line in text.splitlines() if line.startswith("npu ")).split()[1:3] == ["-", "-"]


def test_a_broken_target_does_not_hide_the_others(irc, tmp_path: Path) -> None:
    (tmp_path / "npu.yaml").write_text("name: npu\nkind: gpu\n")
    result = irc("targets", "--targets", tmp_path, "--json")
    assert result.code == 2 and "npu.yaml:1" in result.err
    assert [target["name"] for target in json.loads(result.out)] == target_names()


def test_all_passes(irc) -> None:
    text = irc("passes").out
    assert first_words(text) == PASSES.names()
    assert "{max_ops=16" in text and "{to=...}" in text


@pytest.mark.parametrize("name", PASSES.names())
def test_one_pass(irc, name: str) -> None:
    text = irc("passes", name).out
    assert text.startswith(name)
    assert (PASSES.get(name).__doc__ or "").split("\n")[0] in text


def test_a_pass_lists_its_patterns(irc) -> None:
    assert "  MultiplyByOne                x * 1  ->  x\n" in irc("passes", "algebra").out


def test_levels_are_pipelines_that_run(irc) -> None:
    text = irc("passes", "--levels").out
    rows = json.loads(irc("passes", "--levels", "--json").out)
    assert [row["opt"] for row in rows] == [0, 1, 2, 3]
    for row in rows:
        for kind in KINDS:
            parse_pipeline(row[kind])
            assert f"--passes '{row[kind]}'" in text


def test_passes_as_json(irc) -> None:
    options = {item["name"]: item["options"] for item in json.loads(irc("passes", "--json").out)}
    assert options["fuse"]["max_ops"] == {"type": "int", "default": "16"}
    assert options["convert-dtype"]["to"]["default"] is None


def test_all_ops(irc) -> None:
    text = irc("ops").out
    assert first_words(text) == OPS.names()
    assert "... m k, ... k n -> ... m n" in text


@pytest.mark.parametrize("name", OPS.names())
def test_one_op(irc, name: str) -> None:
    outcome = irc("ops", name)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"{name}(")


def test_one_op_tells_all_that_is_declared(irc) -> None:
    text = " ".join(irc("ops", "matmul").out.split())
    assert "index notation ... m k, ... k n -> ... m n" in text
    assert "reduced by sum" in text and "work per point 1 multiply-add" in text
    assert "attribute out: DType | None = none" in text


def test_ops_as_json(irc) -> None:
    facts = {op["name"]: op for op in json.loads(irc("ops", "--json").out)}
    assert facts["softmax"]["kind"] == "composite"
    assert facts["matmul"]["notation"] == "... m k, ... k n -> ... m n"
    assert facts["transpose"]["attributes"]["perm"] == {"type": "Ints", "default": None}


def test_all_models(irc) -> None:
    text = irc("models").out
    assert first_words(text) == model_names()
    line = next(line for line in text.splitlines() if line.startswith("llama-3-70b "))
    assert line.split()[3:9] == ["70.6", "G", "80", "8192", "8192", "bfloat16"]


def test_models_by_a_text(irc) -> None:
    assert first_words(irc("models", "Mixtral").out) == ["mixtral-8x22b", "mixtral-8x22b-instruct", "mixtral-8x7b"]
    assert irc("models", "no such model").code == 2


@pytest.mark.parametrize("name", ["llama-3-70b", "meta-llama/Meta-Llama-3-70B"])
def test_one_model(irc, name: str) -> None:
    text = irc("models", name).out
    assert text.startswith("llama-3-70b (also ") and "70,553,706,496  Hugging Face" in text
    assert '\n  "intermediate_size": 28672,\n' in text


def test_what_was_counted_is_told(irc) -> None:
    assert "parameters of BertModel  109,482,240  keras-hub" in irc("models", "bert-base-uncased").out
    assert "KV bytes per token           70,272  DeepSeek-AI" in irc("models", "deepseek-v3").out


def test_models_as_json(irc) -> None:
    (found,) = json.loads(irc("models", "gpt2", "--json").out)
    assert (found["name"], found["parameters"], found["config"]["n_layer"]) == ("gpt2", 124439808, 12)
    assert len(json.loads(irc("models", "--json").out)) == len(model_names())


def test_a_pass_is_told_in_one_sentence(irc) -> None:
    for facts in json.loads(irc("passes", "--json").out):
        assert facts["summary"].endswith("."), facts["name"]
