"""Phases of a model in a slow engine: what is fitted, to what, and what the claim then says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from ircost.backends import load_target
from ircost.datasets.claim_yaml import read_file
from ircost.datasets.claims import read_claim
from ircost.datasets.model_configs import find_model
from ircost.frontends.config import architecture_of
from ircost.frontends.config.config_file import Config
from ircost.predictors.engine_phases import MEASURED, MeasuredEngine, fit_overhead, phase_times

TINY = {
    "model_type": "llama",
    "vocab_size": 512,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "max_position_embeddings": 64,
}


def test_the_claim_has_the_overhead_that_the_command_fits() -> None:
    claimed = read_claim("C25").claim.configuration["overhead_s_per_layer"]
    assert float(claimed) == pytest.approx(fit_overhead().s_per_layer, rel=0.005)


def test_nothing_of_the_claim_is_fitted_to() -> None:
    assert read_file(MEASURED).read(MeasuredEngine).model != read_claim("C25").claim.configuration["model"]


def test_a_known_overhead_is_found_again(tmp_path: Path) -> None:
    """Medians made of predictions and 100 us a layer give 100 us."""
    content = yaml.safe_load(MEASURED.read_text())
    content |= {"model": "llama-2-7b", "tp": 2, "targets": {"a100": "a100_sxm_80gb"}}
    sizes = ["128x1", "128x4", "512x1"]
    architecture = architecture_of(Config(find_model("llama-2-7b").config, "llama-2-7b.json"), "llama-2-7b")
    times = phase_times(architecture, load_target("a100_sxm_80gb"), 2, sizes, 128, "f16")
    added_ms = 1e3 * 100e-6 * len(architecture.stack.layers)
    content["prompt_ms"] = {"a100": {size: 1e3 * times[size].prompt.latency_s + added_ms for size in sizes}}
    content["token_ms"] = {"a100": {size: 1e3 * times[size].token.latency_s + added_ms for size in sizes}}
    (tmp_path / "made.yaml").write_text(json.dumps(content))
    fitted = fit_overhead(tmp_path / "made.yaml")
    assert fitted.s_per_layer == pytest.approx(100e-6) and fitted.error < 1e-6 and fitted.rows == 6


def test_prompts_may_be_longer_than_the_model_was_made_for() -> None:
    times = phase_times(architecture_of(Config(TINY, "tiny"), "tiny"), load_target("h100"), 2, ["128x1"], 8, "f16")
    assert times["128x1"].prompt.items == 128 and times["128x1"].token.dims == {"batch": 1}
