"""Models by their configuration on the command line: phases, meshes, sweeps, mistakes."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from ircost.backends import load_target
from ircost.commands.compile import command
from ircost.cost_models.energy import static_w
from ircost.cost_models.gpu.table_work import devices_in_a_node
from ircost.frontends.config.workload import PHASES

Irc = Callable[..., Any]

SMALL = {
    "model_type": "llama",
    "vocab_size": 1024,
    "hidden_size": 512,
    "intermediate_size": 1536,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": 4096,
    "torch_dtype": "bfloat16",
}


def facts(irc: Irc, *words: str) -> dict[str, Any]:
    outcome = irc("compile", *words, "--json")
    assert outcome.code in (0, 1), outcome.err
    found: dict[str, Any] = json.loads(outcome.out)
    return found


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(SMALL))
    return str(path)


def test_a_folder_with_a_config_is_a_model(irc: Irc, config: str) -> None:
    words = ("--phase", "decode", "--context", "128")
    assert facts(irc, config, *words)["latency_s"] == facts(irc, str(Path(config).parent), *words)["latency_s"]


def test_ranks_share_weights_and_talk(irc: Irc, config: str) -> None:
    words = (config, "--phase", "decode", "--context", "1024", "--batch", "8")
    one, two = facts(irc, *words), facts(irc, *words, "--mesh", "tp=2")
    alone, shared = one["transformer"], two["transformer"]
    assert alone["communication_s"] == 0 < shared["communication_s"]
    assert shared["parameters"] == alone["parameters"]
    assert shared["cache_bytes"] == alone["cache_bytes"] / 2
    assert 0.5 < shared["weights_bytes"] / alone["weights_bytes"] < 0.51
    assert [kernel["count"] for kernel in two["kernels"] if kernel["op"] == "all_reduce"].count(4) == 2


def test_axes_of_a_mesh_may_be_given_one_by_one(irc: Irc, config: str) -> None:
    words = (config, "--phase", "decode", "--context", "1024", "--mesh")
    assert facts(irc, *words, "tp=2", "--mesh", "pp=2") == facts(irc, *words, "tp=2,pp=2")
    twice = irc("compile", *words, "tp=2", "--mesh", "tp=4")
    assert twice.code == 2 and "--mesh tp is given twice: 2 and 4" in twice.err


def test_stages_hold_a_part_each(irc: Irc, config: str) -> None:
    words = (config, "--phase", "decode", "--context", "1024", "--batch", "8")
    one, two = facts(irc, *words)["transformer"], facts(irc, *words, "--mesh", "pp=2")["transformer"]
    assert two["weights_bytes"] < one["weights_bytes"] and two["cache_bytes"] == one["cache_bytes"] / 2
    assert two["stage_s"] < one["stage_s"]


def test_memory_with_stages_is_that_of_the_fullest_device(irc: Irc) -> None:
    words = ("llama-3-70b", "--target", "h100", "--phase", "decode", "--context", "4096", "--batch", "32")
    outcome = irc("compile", *words, "--mesh", "pp=4", "--json")
    report = json.loads(outcome.out)
    held = report["transformer"]
    assert outcome.code == 0 and report["fits"] and not report["remedies"]
    assert report["weights_bytes"] == held["weights_bytes"] < 37e9  # a quarter of 141 GB, and more: the head
    assert report["arena_bytes"] == held["cache_bytes"] + held["activations_bytes"]
    assert not facts(irc, *words)["fits"]


def test_what_fits_in_stages_is_looked_for_in_stages(irc: Irc) -> None:
    words = ("llama-3-70b", "--target", "h100", "--phase", "decode", "--mesh", "pp=2", "--context", "4096")
    report = facts(irc, *words, "--batch", "32")
    largest = report["transformer"]["largest_batch"]
    assert f"--dim batch={largest} instead of 32, 79.5 GiB" in report["remedies"]
    assert facts(irc, *words, "--batch", str(largest))["fits"]


def test_a_mesh_and_a_format_that_would_fit_are_named(irc: Irc) -> None:
    words = ("llama-3-70b", "--phase", "decode", "--context", "4096", "--target")
    for target, formats in (("h100", ["f8e4m3"]), ("a100", [])):  # A100s multiply in no format of 8-bit floats
        remedies = facts(irc, *words, target)["remedies"]
        assert [
            format for format in ("f16", "f8e4m3") if any(f"--dtype {format} " in each for each in remedies)
        ] == formats
        assert "--mesh tp=2, 66.3 GiB of each device" in remedies
        assert facts(irc, *words, target, "--mesh", "tp=2")["fits"]
        assert all(facts(irc, *words, target, "--dtype", format)["fits"] for format in formats)


def test_a_format_that_the_model_has_already_is_not_said_to_be_another(irc: Irc, config: str) -> None:
    """What a checkpoint quantises stays so: no report calls it by the format that --dtype asks of all else."""
    words = (config, "--phase", "decode", "--context", "128", "--dtype", "bf16")
    told = "most arithmetic is in f8e4m3, not in bf16 (--dtype): integers and what the model itself quantises stay"
    wide = facts(irc, *words)
    assert wide["dtype"] == "bf16" and told not in wide["notes"]
    quantised = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
    Path(config).write_text(json.dumps({**SMALL, "quantization_config": quantised}))
    narrow = facts(irc, *words)
    assert narrow["dtype"] == "f8e4m3" and told in narrow["notes"]
    assert told in irc("compile", *words, "--sweep", "batch=1,2").out


def test_machines_that_would_fit_can_run_it(irc: Irc) -> None:
    """A Xeon multiplies in no floats of 8 bits, and eight boxes on Ethernet are no node of eight."""
    words = ("llama-3-70b", "--phase", "decode", "--context", "8192", "--batch", "64", "--dtype", "f8e4m3")
    for name in machines_named(facts(irc, *words, "--target", "h100")):
        assert facts(irc, *words, "--target", name)["fits"], name
    shared = facts(irc, "llama-3.1-405b", "--phase", "decode", "--mesh", "tp=8", "--target", "h100")
    assert all(devices_in_a_node(load_target(name)) >= 8 for name in machines_named(shared))


def machines_named(report: dict[str, Any]) -> list[str]:
    (named,) = (remedy for remedy in report["remedies"] if remedy.startswith("on "))
    return re.findall(r"(\w+) \(", named)


def test_ranks_beyond_a_node_are_told(irc: Irc) -> None:
    words = ("llama-3-70b", "--target", "h100", "--phase", "decode", "--context", "1024", "--mesh")
    within, beyond = (facts(irc, *words, mesh)["notes"] for mesh in ("tp=8", "tp=16"))
    assert any(note.startswith("16 ranks stand in nodes of 8") for note in beyond)
    assert not any("nodes of 8" in note for note in within)
    stages, inside = (facts(irc, *words, mesh)["notes"] for mesh in ("tp=8,pp=2", "tp=4,pp=2"))
    assert any(note.startswith("16 ranks stand in nodes of 8") for note in stages), (
        "the second stage is in another node"
    )
    assert not any("nodes of 8" in note for note in inside)


def test_a_network_that_the_target_does_not_name_is_told(irc: Irc) -> None:
    words = ("llama-3-70b", "--phase", "decode", "--context", "1024", "--mesh", "tp=16", "--target")
    named, unnamed = (facts(irc, *words, target)["notes"] for target in ("h100", "l40s"))
    assert (
        "l40s names no network between nodes: 12.5 GB/s of each device are taken ('links' in its file tell)" in unnamed
    )
    assert not any("names no network" in note for note in named)


def test_less_than_a_token_a_second_keeps_its_digits(irc: Irc) -> None:
    out = irc("compile", "llama-3-70b", "--target", "raspberry_pi_3", "--phase", "decode", "--context", "1024").out
    (line,) = [line for line in out.splitlines() if line.strip().startswith("decode")]
    assert 0 < float(line.split()[1].removesuffix("/s")) < 0.1


def test_few_tokens_a_joule_keep_their_digits(irc: Irc) -> None:
    words = ("compile", "llama-3-70b", "--target", "h100", "--phase", "decode", "--context", "1024", "--mesh", "tp=8")
    (line,) = [line for line in irc(*words, "--sweep", "batch=1").out.splitlines() if line.startswith("      1")]
    (point,) = facts(irc, *words[1:], "--sweep", "batch=1")["points"]
    assert f"{point['items_per_j']:.3g}" in line.split() and point["items_per_j"] < 0.1


def test_caches_of_all_batches_on_their_way_are_told(irc: Irc) -> None:
    words = ("llama-3-70b", "--target", "h100", "--phase", "decode", "--context", "4096", "--mesh")
    few, many = (facts(irc, *words, "pp=4", "--batch", batch)["notes"] for batch in ("32", "64"))
    assert any("4 batches of 32 in flight; their caches take 40 GiB" in note for note in few)
    assert any("take 80 GiB of the fullest device, and it has 45.8 GiB for them" in note for note in many)
    assert not any("on their way" in note for note in facts(irc, *words, "tp=4", "--batch", "32")["notes"])


@pytest.mark.parametrize(("batch", "held"), [(512, 4), (2048, 2), (4096, 1), (8192, 1)])
def test_rates_are_of_as_many_batches_as_memory_holds(irc: Irc, config: str, batch: int, held: int) -> None:
    """1 KiB of cache a token and stage; the last size does not fit even once."""
    words = (config, "--target", "l4", "--phase", "decode", "--context", "4096", "--mesh", "pp=4")
    report = facts(irc, *words, "--batch", str(batch), "--price-per-hour", "3.6")
    found, capacity = report["transformer"], report["memory_capacity_bytes"]
    assert found["batches_in_flight"] == held
    one, each = found["weights_bytes"] + found["activations_bytes"], found["cache_bytes"]
    assert report["fits"] == (one + each <= capacity)
    assert held == max(1, min(4, (capacity - one) // each))
    slack = 1 + 1e-9
    assert batch * found["tokens_per_s_per_sequence"] <= slack * found["tokens_per_s"]
    assert found["tokens_per_s"] <= slack * held * batch / report["latency_s"]
    assert found["tokens_per_s"] <= slack * batch / found["stage_s"]
    assert found["cost_per_million_tokens"] == pytest.approx(4 * 1e3 / found["tokens_per_s"])
    power_w = found["tokens_per_s"] / found["tokens_per_j"]
    assert 4 * load_target("l4").power.idle_w <= power_w <= 4 * load_target("l4").power.peak_w
    told = f"memory holds {held if report['fits'] else 'none'} of the 4 batches of {batch:,}"
    assert any(note.startswith(told) for note in report["notes"]) == (held < 4)
    (point,) = facts(irc, *words, "--sweep", f"batch={batch}")["points"]
    assert (point["batches_in_flight"], point["stages"]) == (held, 4)
    assert point["items_per_s"] == pytest.approx(found["tokens_per_s"], rel=1e-12)
    assert point["items_per_j"] == pytest.approx(found["tokens_per_j"], rel=1e-12)
    assert point["fits"] == report["fits"]


def test_a_sweep_says_where_stages_begin_to_wait(irc: Irc, config: str) -> None:
    words = (
        "compile",
        config,
        "--target",
        "l4",
        "--phase",
        "decode",
        "--context",
        "4096",
        "--sweep",
        "batch=512..4096",
    )
    out = irc(*words, "--mesh", "pp=4").out
    assert "in flight" in out and "4 of 4" in out and "1 of 4" in out
    assert out.count("stages begin to wait") == 1
    assert "stages begin to wait: memory holds 2 of 4 batches" in out
    assert "in flight" not in irc(*words).out


def test_no_batch_fits_more_often_than_the_largest_says(irc: Irc) -> None:
    """What is held in one batch is held in all in flight together, but for activations of fewer sequences."""
    words = ("llama-3-70b", "--target", "h100", "--phase", "decode", "--context", "2048", "--mesh", "pp=4", "--batch")
    largest = facts(irc, *words, "64")["transformer"]["largest_batch"]
    assert 4 * 72 <= largest < 4 * 74
    assert [facts(irc, *words, n)["transformer"]["batches_in_flight"] for n in ("72", "74", str(largest))] == [4, 3, 1]


def test_one_stage_is_as_before(irc: Irc, config: str) -> None:
    """To the last bit: nothing waits, and one batch is all."""
    report = facts(irc, config, "--seq", "64", "--batch", "4", "--mesh", "tp=2", "--output-tokens", "1")
    found = report["transformer"]
    assert found["batches_in_flight"] == 1
    assert found["tokens_per_s"] == 4 * 64 / report["latency_s"]
    assert found["tokens_per_j"] == 4 * 64 / (report["energy_j"] * 2)
    assert found["request"]["energy_j"] == report["energy_j"] * 2
    assert not any("in flight" in note for note in report["notes"])


def test_a_sweep_of_stages_says_what_a_report_says(irc: Irc, config: str) -> None:
    words = (config, "--phase", "decode", "--context", "64", "--mesh", "pp=2")
    (point,) = facts(irc, *words, "--sweep", "batch=8")["points"]
    report = facts(irc, *words, "--batch", "8")
    assert point["items_per_s"] == pytest.approx(report["transformer"]["tokens_per_s"], rel=1e-12)
    assert point["memory_bytes"] == report["weights_bytes"] + report["arena_bytes"]


def test_every_phase_can_be_asked_for() -> None:
    kind = next(option for option in command.params if option.name == "phase").type
    assert isinstance(kind, click.Choice)
    assert list(kind.choices) == list(PHASES)


def test_the_largest_batch_fits_and_one_more_does_not(irc: Irc) -> None:
    words = ("llama-3-8b", "--target", "l4", "--dtype", "f16", "--phase", "decode", "--context", "4096")
    largest = facts(irc, *words)["transformer"]["largest_batch"]
    assert largest > 1
    held = [
        sum(found[f"{part}_bytes"] for part in ("weights", "cache", "activations"))
        for batch in (largest, largest + 1)
        if (found := facts(irc, *words, "--batch", str(batch))["transformer"])
    ]
    capacity = facts(irc, *words)["memory_capacity_bytes"]
    assert held[0] <= capacity < held[1]


@pytest.mark.parametrize(
    ("words", "published"),
    [
        (("t5-11b", "--phase", "decode", "--context", "200", "--dim", "source=100"), 11_307_321_344),
        (("whisper-large-v3", "--phase", "decode", "--context", "100"), 1_543_490_560),
        (("gemma-3-27b", "--phase", "decode", "--context", "100"), 27_432_406_640),
        (("gemma-3-27b", "--phase", "encode"), 27_432_406_640),
        (("llama-3-70b", "--phase", "decode", "--context", "100", "--mesh", "tp=2,pp=2"), 70_553_706_496),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_parameters_are_of_the_whole_model(irc: Irc, words: tuple[str, ...], published: int) -> None:
    """An encoder that another phase runs included; the note says that its weights lie elsewhere."""
    report = facts(irc, *words, "--target", "h100")
    assert report["transformer"]["parameters"] == published
    assert any("as if" in note for note in report["notes"]) == (words[0] != "llama-3-70b")


def test_biases_by_distance_are_no_weights(irc: Irc) -> None:
    """Kernels of ALiBi make them of a slope for each head; attention reads queries, keys and values, no table."""
    report = facts(irc, "mpt-30b", "--target", "a100", "--seq", "8192", "--batch", "1")
    found, (heads, width, layers) = report["transformer"], (64, 112, 48)
    zeros_of_norms = 2 * heads * width
    assert found["weights_bytes"] == 2 * found["parameters"] + zeros_of_norms + 4 * heads
    assert report["fits"] and found["largest_batch"] == 2
    (attention,) = [kernel for kernel in report["kernels"] if kernel["op"] == "cached_attention"]
    assert attention["bytes"] == layers * (4 * 8192 * heads * width * 2 + 4 * heads)


@pytest.mark.parametrize("model", ["llama-3-8b", "deepseek-v2-lite"])
@pytest.mark.parametrize("phase", [("prefill", "--seq", "256"), ("chunk", "--seq", "64", "--context", "256")])
def test_new_rows_of_a_cache_are_in_its_format(irc: Irc, model: str, phase: tuple[str, ...]) -> None:
    """What a prompt leaves behind takes as much as what later passes find."""
    words = (model, "--phase", *phase, "--batch", "4", "--cache-dtype")
    wide, narrow = (facts(irc, *words, format)["transformer"] for format in ("bf16", "f8e4m3"))
    assert narrow["cache_bytes"] == 4 * 256 * narrow["kv_bytes_per_token"] == wide["cache_bytes"] / 2
    assert narrow["largest_batch"] > wide["largest_batch"]


@pytest.mark.parametrize("phase", [("decode", "--context", "256"), ("chunk", "--seq", "64", "--context", "256")])
def test_a_cache_in_four_bits_has_scales(irc: Irc, phase: tuple[str, ...]) -> None:
    """NVFP4: 8 bits for each 16 elements; what attention reads of them is in the bytes moved."""
    words = ("llama-3-8b", "--target", "b200", "--phase", *phase, "--batch", "64", "--cache-dtype")
    wide, narrow = (facts(irc, *words, format) for format in ("bf16", "f4e2m1"))
    held = narrow["transformer"]["cache_bytes"]
    assert held == 64 * 256 * narrow["transformer"]["kv_bytes_per_token"]
    assert held == wide["transformer"]["cache_bytes"] * 4.5 / 16

    def read(report: dict[str, Any]) -> float:
        return sum(kernel["bytes"] for kernel in report["kernels"] if kernel["op"] == "cached_attention")

    past = 255 if phase[0] == "decode" else 192
    saved = 64 * past * 2 * 8 * 128 * 32 * (16 - 4.5) / 8
    assert read(wide) - read(narrow) == pytest.approx(saved, rel=0.35 if phase[0] == "chunk" else 0.02)


def test_points_of_a_sweep_are_compilations(irc: Irc, config: str) -> None:
    words = (config, "--phase", "decode", "--context", "512")
    outcome = irc("compile", *words, "--sweep", "batch=1,4..16", "--csv")
    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    assert [row["batch"] for row in rows] == ["1", "4", "8", "16"]
    for row in rows:
        alone = facts(irc, *words, "--batch", row["batch"])
        assert float(row["latency_s"]) == pytest.approx(alone["latency_s"], rel=1e-12)
        assert float(row["items_per_j"]) == pytest.approx(alone["transformer"]["tokens_per_j"], rel=1e-12)


def test_meshes_of_a_sweep_are_compilations(irc: Irc, config: str) -> None:
    words = (config, "--phase", "decode", "--context", "512", "--batch", "8")
    points = facts(irc, *words, "--mesh", "tp=2", "--sweep", "tp=1,2", "--sweep", "pp=1,2")["points"]
    assert [(point["tp"], point["pp"], point["devices"]) for point in points] == [
        (1, 1, 1),
        (1, 2, 2),
        (2, 1, 2),
        (2, 2, 4),
    ]
    for point in points:
        alone = facts(irc, *words, "--mesh", f"tp={point['tp']},pp={point['pp']}")
        assert point["latency_s"] == pytest.approx(alone["latency_s"], rel=1e-12)
        assert point["items_per_s"] == pytest.approx(alone["transformer"]["tokens_per_s"], rel=1e-12)
        assert point["items_per_j"] == pytest.approx(alone["transformer"]["tokens_per_j"], rel=1e-12)
        assert point["batches_in_flight"] == alone["transformer"]["batches_in_flight"]
        assert point["memory_bytes"] == alone["weights_bytes"] + alone["arena_bytes"]


def test_a_sweep_of_meshes_leaves_out_what_none_is(irc: Irc) -> None:
    """Of eight ways to share sequences and experts four are meshes; the table has throughput of a device as well."""
    words = ("qwen3-30b-a3b", "--phase", "decode", "--context", "512", "--batch", "8")
    axes = ("--sweep", "dp=1,2", "--sweep", "ep=1..8")
    swept = facts(irc, *words, *axes)
    assert [(point["dp"], point["ep"]) for point in swept["points"]] == [(1, 1), (2, 1), (2, 2)]
    assert any(note.startswith("5 of 8 points are left out") and "at dp=1, ep=2" in note for note in swept["notes"])
    assert "tokens/s/device" in irc("compile", *words, *axes).out
    assert "tokens/s/device" not in irc("compile", *words, "--mesh", "dp=2,ep=2", "--sweep", "batch=2,4").out


def test_a_sweep_tells_what_all_its_points_are_told(irc: Irc, config: str) -> None:
    words = ("compile", config, "--target", "b200", "--phase", "decode")
    swept = json.loads(irc(*words, "--sweep", "context=64,128", "--json").out)["notes"]
    reports = [json.loads(irc(*words, "--context", n, "--json").out)["notes"] for n in ("64", "128")]
    assert any("is in no fit" in note for note in swept)
    assert {"batch 1 (--batch)", *swept} <= set.intersection(*map(set, reports))
    assert not any("--context" in note for note in swept)
    assert all(note in " ".join(irc(*words, "--sweep", "context=64,128").out.split()) for note in swept)


@pytest.mark.parametrize("option", ["--memory-limit=1KiB", "--exact", "--stats", "--all", "--print-ir-after=fuse"])
def test_a_sweep_refuses_what_is_of_one_size(irc: Irc, config: str, option: str) -> None:
    outcome = irc("compile", config, "--sweep", "batch=1,2", option)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"--sweep cannot be combined with {option.partition('=')[0]}" in outcome.err


def test_a_sweep_is_priced_as_its_compilations_are(irc: Irc, config: str) -> None:
    words = ("--seq", "64", "--mesh", "tp=2", "--price-per-hour", "2.5")
    points = json.loads(irc("compile", config, *words, "--sweep", "batch=1,4", "--json").out)["points"]
    for point in points:
        priced = facts(irc, config, *words, "--batch", str(point["batch"]))["transformer"]["cost_per_million_tokens"]
        assert point["cost_per_million"] == pytest.approx(priced)
    assert "a million tokens" in irc("compile", config, *words, "--sweep", "batch=1,4").out


def test_a_sweep_names_its_knees(irc: Irc) -> None:
    outcome = irc("compile", "llama-3-8b", "--phase", "decode", "--context", "4096", "--sweep", "batch=128..256")
    assert "batch 256: does not fit any more" in outcome.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--phase", "encode", "--seq", "8"), "no phase encode"),
        (("--phase", "decode", "--context", "5000"), "made for 4096"),
        (("--phase", "decode", "--context", "64", "--mesh", "tp=3"), "do not divide by tp=3"),
        (("--phase", "decode", "--context", "64", "--mesh", "xp=3"), "no axis 'xp'"),
        (("--phase", "decode", "--context", "64", "--mesh", "ep=2"), "cannot be spread over ep=2 of tp=1"),
        (("--phase", "decode", "--context", "64", "--mesh", "tp=2,ep=2"), "no experts to spread"),
        (("--phase", "decode", "--context", "64", "--mesh", "tp=2,dp=3,ep=3"), "ep=6 spreads them over all"),
        (
            ("--phase", "decode", "--context", "64", "--batch", "9", "--mesh", "dp=2"),
            "9 sequences do not divide by dp=2",
        ),
        (("--phase", "decode", "--context", "64", "--mesh", "tp=2,tp=4"), "tp is given twice: 2 and 4"),
        (("--phase", "decode", "--context", "64", "--cache-dtype", "fp8"), "it is f8e4m3 here"),
        (("--phase", "decode", "--context", "64", "--cache-dtype", "u4"), "needs scales of blocks"),
        (("--phase", "decode", "--context", "64", "--dtype", "NVFP4"), "it is f4e2m1 here"),
        (("--phase", "decode", "--context", "64", "--mesh", "pp=5"), "5 stages for 4 layers"),
        (("--phase", "decode", "--context", "64", "--seq", "3"), "--phase verify"),
        (("--phase", "chunk", "--context", "64"), "needs --seq"),
        (("--phase", "verify", "--seq", "9", "--context", "8"), "the context counts the new ones"),
        (("--dim", "sequence=4"), "no dim 'sequence'"),
        (("--sweep", "batch=4..1"), "backwards"),
        (("--sweep", "batch=x"), "is not a value"),
        (("--phase", "decode", "--context", "64", "--sweep", "tp=3,6"), "at tp=3: "),
        (("--phase", "decode", "--context", "64", "--sweep", "cp=2"), "no dim 'cp'"),
        (("--phase", "decode", "--sweep", "context=4096..8192"), "at context=8192"),
    ],
)
def test_mistakes_are_told_in_one_message(irc: Irc, config: str, words: tuple[str, ...], told: str) -> None:
    outcome = irc("compile", config, *words)
    assert outcome.code == 2
    assert told in outcome.err and outcome.err.count("error: ") == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"num_key_value_heads": 3}, "cannot share 3 heads"),
        ({"num_attention_heads": 7, "num_key_value_heads": 7}, "does not divide by 7 heads"),
        ({"hidden_size": "wide"}, "'hidden_size' is 'wide'"),
        ({"model_type": "lama"}, "did you mean llama"),
        ({"mixture_depth": 3}, "'mixture_depth' is 3"),
        ({"hidden_act": "sin"}, "activation 'sin'"),
        ({"num_hidden_layers": 10**6}, "4096 are the most"),
    ],
)
def test_a_wrong_config_is_told_in_one_message(irc: Irc, tmp_path: Path, change: dict[str, Any], told: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**SMALL, **change}))
    outcome = irc("compile", str(tmp_path), "--phase", "decode", "--context", "64")
    assert outcome.code == 2
    assert told in outcome.err and outcome.err.count("error: ") == 1


def test_a_request_is_its_prompt_and_its_steps(irc: Irc, config: str) -> None:
    """The sum over decode passes, each compiled alone, is the whole; between costed contexts it is a straight line."""
    prompt, answer = 256, 9
    figures = facts(irc, config, "--seq", str(prompt), "--batch", "4", "--output-tokens", str(answer))
    request = figures["transformer"]["request"]
    steps = [
        facts(irc, config, "--phase", "decode", "--batch", "4", "--context", str(context))["latency_s"]
        for context in range(prompt + 1, prompt + answer)
    ]
    assert request["time_to_first_token_s"] == figures["latency_s"] == figures["transformer"]["time_to_first_token_s"]
    assert request["total_s"] == pytest.approx(figures["latency_s"] + sum(steps), rel=1e-3)
    assert request["first_step_s"] == pytest.approx(steps[0]) and request["last_step_s"] == pytest.approx(steps[-1])
    assert request["tokens_per_s"] == pytest.approx(4 * answer / request["total_s"])


@pytest.mark.parametrize("mesh", ["pp=1", "pp=4", "tp=2,pp=2"])
def test_devices_that_wait_for_a_request_draw_idle_power(irc: Irc, config: str, mesh: str) -> None:
    words = (config, "--target", "h100", "--seq", "256", "--batch", "4", "--mesh", mesh)
    report = facts(irc, *words, "--output-tokens", "9")
    request, ranks = report["transformer"]["request"], {"pp=1": 1}.get(mesh, 4)
    assert request["energy_j"] >= load_target("h100").power.idle_w * ranks * request["total_s"]
    prompt = facts(irc, *words, "--output-tokens", "1")["transformer"]["request"]
    wide, stages = (2, 2) if mesh.startswith("tp") else (1, ranks)
    waiting_j = static_w(load_target("h100")) * (stages - 1) * report["latency_s"]
    assert prompt["energy_j"] == pytest.approx(wide * (report["energy_j"] + waiting_j))
    assert any(note.startswith("the request is alone in the") for note in report["notes"]) == (stages > 1)


def test_prices_say_how_many_batches_they_count(irc: Irc, config: str) -> None:
    words = ("compile", config, "--seq", "64", "--mesh", "pp=2", "--price-per-hour", "2")
    assert "a million tokens of prefill, 2 of 2 batches in flight" in irc(*words).out
    assert "prompts included, one batch alone in all stages" in irc(*words, "--output-tokens", "4").out


def test_a_request_has_an_interval_where_its_passes_have(irc: Irc, config: str) -> None:
    words = (config, "--target", "h100", "--seq", "256", "--output-tokens")
    told, alone = (facts(irc, *words, count) for count in ("9", "1"))
    request, first = told["transformer"]["request"], alone["transformer"]["request"]
    assert (first["low_s"], first["high_s"]) == (alone["low_s"], alone["high_s"])
    assert first["time_per_output_token_low_s"] == first["time_per_output_token_high_s"] == 0
    ends = request["time_per_output_token_low_s"], request["time_per_output_token_high_s"]
    assert ends[0] < request["time_per_output_token_s"] < ends[1]
    for name, end in zip(("low_s", "high_s"), ends, strict=True):
        assert request[name] == pytest.approx(told[name] + 8 * end)
    steps = [facts(irc, *words[:3], "--phase", "decode", "--context", str(n)) for n in range(257, 265)]
    assert ends[0] == pytest.approx(np.mean([step["low_s"] for step in steps]), rel=1e-3)
    assert "90 % of requests take" in irc("compile", *words, "9").out
    plain = facts(irc, *words, "9", "--model", "analytical")["transformer"]["request"]
    assert plain["low_s"] is plain["high_s"] is plain["time_per_output_token_low_s"] is None


def test_the_idealised_runtime_is_affine_in_output_tokens(irc: Irc) -> None:
    """Narayanan et al. 2023: R2 above 0.999 for lengths of an answer that are short of the context's growth."""
    lengths = np.array([1, 16, 64, 256, 1024])
    words = ("llama-3-8b", "--target", "a100", "--seq", "512", "--output-tokens")
    seconds = np.array([facts(irc, *words, str(n))["transformer"]["request"]["total_s"] for n in lengths])
    assert np.corrcoef(lengths, seconds)[0, 1] ** 2 > 0.999
    assert (np.diff(seconds) > 0).all()


@pytest.mark.parametrize(("mesh", "words"), [("tp=1", "of cache a token;"), ("tp=2", "of cache a token on all ranks;")])
def test_a_cache_says_on_how_many_ranks_it_is_counted(irc: Irc, config: str, mesh: str, words: str) -> None:
    """A latent is on each of them."""
    assert words in irc("compile", config, "--phase", "decode", "--context", "64", "--mesh", mesh).out


def test_a_state_does_not_grow(irc: Irc) -> None:
    figures = facts(irc, "mamba-130m", "--seq", "64", "--output-tokens", "512")["transformer"]
    assert figures["request"]["growth_s_per_token"] == 0 and figures["kv_bytes_per_token"] == 0
    assert figures["state_bytes_per_sequence"] > 0


def test_parts_add_up_to_the_kernels(irc: Irc) -> None:
    report = facts(irc, "mixtral-8x7b", "--mesh", "tp=2", "--phase", "decode", "--context", "512")
    parts = report["transformer"]["parts"]
    for figure in ("latency_s", "energy_j", "flops", "bytes"):
        assert sum(part[figure] for part in parts) == pytest.approx(sum(kernel[figure] for kernel in report["kernels"]))
    named = {part["name"] for part in parts}
    assert named == {"attention", "experts", "router", "norms", "head", "embedding", "communication"}
    assert report["transformer"]["experts_touched"] == pytest.approx(2) and report["transformer"]["experts"] == 8


def test_prices_and_bytes_count_as_they_are_given(irc: Irc, config: str) -> None:
    words = (config, "--phase", "decode", "--context", "512", "--mesh", "tp=2")
    figures = facts(irc, *words, "--price-per-hour", "3.6", "--intensity", "100")["transformer"]
    plain = facts(irc, *words)
    assert figures["cost_per_million_tokens"] == pytest.approx(2 * 3.6 / 3600 * 1e6 / figures["tokens_per_s"])
    assert plain["transformer"]["cost_per_million_tokens"] is None
    assert figures["eflops"] == plain["flops"] + 100 * plain["bytes"]
    own = plain["transformer"]
    assert own["eflops"] == pytest.approx(plain["flops"] + own["ridge_flops_per_byte"] * plain["bytes"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--phase", "decode", "--context", "64", "--output-tokens", "4"), "needs phase prefill, not decode"),
        (("--seq", "4000", "--output-tokens", "200"), "made for 4096"),
    ],
)
def test_requests_that_cannot_be(irc: Irc, config: str, words: tuple[str, ...], told: str) -> None:
    outcome = irc("compile", config, *words)
    assert outcome.code == 2 and told in outcome.err


def test_other_models_have_no_request(irc: Irc, mlp: Path) -> None:
    assert "from a configuration" in irc("compile", mlp, "--output-tokens", "4").err


def test_a_screen_names_what_users_ask(irc: Irc, config: str) -> None:
    out = irc("compile", config, "--seq", "128", "--output-tokens", "8", "--price-per-hour", "2", "--batch", "2").out
    for words in ("time to first token", "request", "7 more at", "price", "for each sequence", "spent in"):
        assert words in out
    assert "flops/B" not in out
    assert "flops/B" in irc("compile", config, "--seq", "128", "--all").out


def test_throughput_that_levels_off_is_a_knee(irc: Irc) -> None:
    """Where twice the batch brings less than 2 ** 0.5 times the tokens, and not a second time."""
    words = ("llama-3-8b", "--phase", "decode", "--context", "1024", "--sweep", "batch=1..512")
    points = json.loads(irc("compile", *words, "--json").out)["points"]
    gains = [b["items_per_s"] / a["items_per_s"] for a, b in itertools.pairwise(points)]
    first = next(number for number, gain in enumerate(gains) if gain < 2**0.5)
    assert ["levels off" in point["knee"] for point in points].index(True) == first + 1
    assert sum("levels off" in point["knee"] for point in points) == 1


def test_a_sweep_of_a_language_model_counts_tokens(irc: Irc, config: str) -> None:
    assert "tokens/s" in irc("compile", config, "--phase", "decode", "--context", "64", "--sweep", "batch=1,2").out


def test_what_ranks_tell_each_other_is_in_every_alternative(irc: Irc, config: str) -> None:
    """A pass that changes nothing leaves the latency as it is, collectives included."""
    words = ("compile", config, "--phase", "decode", "--context", "512", "--mesh", "tp=4", "--what-if", "--json")
    found = json.loads(irc(*words).out)
    changes = {each["name"]: each for each in found["what_if"]["alternatives"]}
    assert changes["fold-batch-norm"]["latency_s"] == pytest.approx(found["latency_s"])
    assert changes["fold-batch-norm"]["energy_j"] == pytest.approx(found["energy_j"])


def test_an_explanation_has_what_ranks_tell_each_other(irc: Irc, config: str) -> None:
    words = (config, "--phase", "decode", "--context", "512", "--mesh", "tp=4")
    out = irc("explain", *words).out
    assert "sum of the heads' parts" in out and "fitted to measured collectives" in out
    assert "up to the physical limit" not in out


@pytest.mark.parametrize(("dtype", "told"), [("tf32", "no format of weights"), ("i8", "need quantisation")])
def test_formats_that_no_model_is_kept_in(irc: Irc, config: str, dtype: str, told: str) -> None:
    outcome = irc("compile", config, "--dtype", dtype)
    assert outcome.code == 2 and told in outcome.err


def test_an_export_without_weights_says_so(irc: Irc, config: str, tmp_path: Path) -> None:
    outcome = irc("compile", config, "--seq", "64", "-o", tmp_path / "x.onnx")
    assert outcome.code == 2 and "no values" in outcome.err


def test_a_request_has_to_fit_up_to_its_last_token(irc: Irc) -> None:
    words = ("compile", "llama-3-8b", "--seq", "2048", "--output-tokens", "6000")
    outcome = irc(*words, "--batch", "121")
    assert outcome.code == 1
    assert "does not fit at the last token" in outcome.out
    remedy = re.search(r"would fit: --dim batch=(\d+), ", outcome.out)
    assert remedy is not None
    most = int(remedy[1])
    assert [irc(*words, "--batch", str(batch)).code for batch in (most, most + 1)] == [0, 1]


def test_a_limit_of_memory_bounds_the_batch(irc: Irc) -> None:
    words = ("llama-3-8b", "--phase", "decode", "--context", "4096", "--memory-limit", "60GiB", "--batch")
    largest = facts(irc, *words, "1")["transformer"]["largest_batch"]
    assert [irc("compile", *words, str(batch)).code for batch in (largest, largest + 1)] == [0, 1]


def test_where_no_node_is_enough_stages_are_named(irc: Irc) -> None:
    words = ("compile", "llama-3.1-405b", "--phase", "decode", "--context", "4096", "--batch", "8")
    remedy = re.search(r"would fit: --mesh (tp=8,pp=\d+), .* (\d+) devices", irc(*words).out)
    assert remedy is not None
    assert irc(*words, "--mesh", remedy[1]).code == 0
