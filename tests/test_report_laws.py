"""What is asked of a model by its configuration: the report agrees with itself, with a sweep, and with the machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import ircost
from ircost.backends import load_target, target_names
from ircost.ir import IrcError
from ircost.report import Report
from ircost.sweep_points import Sweep

DENSE: dict[str, Any] = {
    **{"model_type": "llama", "torch_dtype": "bfloat16", "vocab_size": 32000, "max_position_embeddings": 8192},
    **{"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 16},
    **{"num_attention_heads": 16, "num_key_value_heads": 4},
}
SPARSE = {**DENSE, "model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2}
MACHINES = [name for name in target_names() if load_target(name).kind != "microcontroller"]
RUNTIMES = ("", "", "+vllm", "+sglang", "+pytorch", "+pytorch_compile", "+pytorch_graphs")
LEARNED = 0.02  # by which a correction, which is learned, may make of more work less time


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name, config in (("dense", DENSE), ("sparse", SPARSE)):
        (folder / f"{name}.json").write_text(json.dumps(config))
    return folder


@settings(max_examples=20)
@given(st.data())
def test_a_report_agrees_with_itself_a_sweep_and_the_machine(folder: Path, data: st.DataObject) -> None:
    model = folder / f"{data.draw(st.sampled_from(['dense', 'sparse']))}.json"
    target = data.draw(st.sampled_from(MACHINES))
    if load_target(target).kind == "gpu":
        target += data.draw(st.sampled_from(RUNTIMES))
    phase = data.draw(st.sampled_from(["prefill", "chunk", "decode"]))
    batch = 2 * data.draw(st.integers(1, 64))  # shared out by dp
    sizes = {"prefill": {"seq": 700}, "chunk": {"seq": 64, "context": 900}, "decode": {"context": 3000}}[phase]
    options: dict[str, Any] = {
        "phase": phase,
        "dtype": data.draw(st.sampled_from([None, "f16", "f32", "f8e4m3"])),
        "mesh": data.draw(st.sampled_from(["", "tp=2", "tp=4", "pp=2", "tp=2,pp=2", "dp=2", "tp=4,dp=2"])),
    }
    try:
        report = ircost.compile(model, target, dims={"batch": batch, **sizes}, **options)
    except IrcError:  # no arithmetic in the format, or no link to a second device
        assume(False)
    agrees_with_itself(report)
    agrees_with_the_machine(report)
    agrees_with_a_sweep(report, ircost.sweep(model, {"batch": [batch, 2 * batch]}, target, dims=sizes, **options))


def agrees_with_itself(report: Report) -> None:
    for total in ("latency_s", "energy_j", "flops", "macs", "bytes"):
        assert sum(getattr(kernel, total) for kernel in report.kernels) == pytest.approx(getattr(report, total)), total
    assert sum(report.bound_shares.values()) == pytest.approx(1)
    assert ircost.explain(report).latency_s == pytest.approx(report.latency_s)
    model = report.transformer
    assert model is not None
    assert sum(part.latency_s for part in model.parts) == pytest.approx(report.latency_s)
    assert model.weights_bytes + model.cache_bytes + model.activations_bytes == report.allocated_bytes


def agrees_with_the_machine(report: Report) -> None:
    power = load_target(report.target).power
    assert report.lower_bound_s <= report.latency_s
    assert power.idle_w * (1 - 1e-9) <= report.power_w <= power.peak_w * (1 + 1e-9)
    if report.low_s is not None and report.high_s is not None:
        assert report.lower_bound_s <= report.low_s <= report.latency_s <= report.high_s


def agrees_with_a_sweep(report: Report, sweep: Sweep) -> None:
    model, (same, larger) = report.transformer, sweep.points
    assert model is not None
    for own, swept in (
        (report.latency_s, same.latency_s),
        (report.lower_bound_s, same.lower_bound_s),
        (report.energy_j, same.energy_j),
        (model.tokens_per_s, same.items_per_s),
        (model.tokens_per_j, same.items_per_j),
    ):
        assert swept == pytest.approx(own)
    assert (same.memory_bytes, same.fits) == (report.allocated_bytes, report.fits)
    assert larger.latency_s > same.latency_s * (1 - LEARNED) and larger.memory_bytes > same.memory_bytes
    assert larger.lower_bound_s >= same.lower_bound_s
