"""FP8 and FP4 checkpoints where matrix units lack the format: bytes of the narrow one, rate of the wide one."""

from __future__ import annotations

from typing import Any

import pytest

from ircost.api import compile_model
from ircost.backends import TargetError, load_target
from ircost.cost_models.automatic import chosen_model
from ircost.frontends import ImportOptions
from ircost.frontends.config import architecture_of
from ircost.frontends.config.config_file import Config
from ircost.frontends.config.frontend import build_pass
from ircost.passes import pipeline_of_level
from ircost.report import Report
from ircost.sweeping import sweep

DENSE: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 1024,
    "hidden_size": 4096,
    "intermediate_size": 8192,
    "num_hidden_layers": 2,
    "num_attention_heads": 32,
    "torch_dtype": "bfloat16",
}
MIXTURE = {
    **DENSE,
    **{"model_type": "mixtral", "num_key_value_heads": 32, "num_local_experts": 8, "num_experts_per_tok": 2},
}
FLOAT8 = {"type": "float", "num_bits": 8}


def compressed(weights: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    groups = {"group_0": {"weights": weights, "input_activations": inputs}}
    return {"quant_method": "compressed-tensors", "config_groups": groups, "ignore": ["lm_head"]}


CHECKPOINTS = {
    "blocks": {"quant_method": "fp8", "weight_block_size": [128, 128]},
    "static": compressed({**FLOAT8, "strategy": "tensor"}, {**FLOAT8, "strategy": "tensor", "dynamic": False}),
    "dynamic": compressed({**FLOAT8, "strategy": "channel"}, {**FLOAT8, "strategy": "token", "dynamic": True}),
}
FLOAT4 = {"type": "float", "num_bits": 4, "group_size": 16}


def report(target: str, section: dict[str, Any] | None, base: dict[str, Any] = DENSE, rows: int = 1) -> Report:
    config = base if section is None else {**base, "quantization_config": section}
    sizes = {"batch": 1, "context": 1024} if rows == 1 else {"batch": 1, "seq": rows}
    phase = "decode" if rows == 1 else "prefill"
    imported = build_pass(architecture_of(Config(config, "config.json")), ImportOptions(phase=phase, dims=sizes))
    return compile_model(imported, target, cost_model="analytical")


@pytest.mark.parametrize("base", [DENSE, MIXTURE], ids=["dense", "experts"])
@pytest.mark.parametrize("target", ["a100", "a10", "rtx_3090"])
@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_fp8_is_bytes_alone_on_ampere(checkpoint: str, target: str, base: dict[str, Any]) -> None:
    wide, narrow = report(target, None, base), report(target, CHECKPOINTS[checkpoint], base)
    assert 0.5 < narrow.weights_bytes / wide.weights_bytes < 0.55
    assert narrow.dtype == wide.dtype == "bf16"
    assert 0.5 < narrow.latency_s / wide.latency_s < 0.9
    assert any("no f8e4m3" in note and "bf16" in note for note in narrow.notes)
    assert not any("no f8e4m3" in note for note in wide.notes)


@pytest.mark.parametrize("base", [DENSE, MIXTURE], ids=["dense", "experts"])
def test_prompts_gain_nothing(base: dict[str, Any]) -> None:
    wide, narrow = (report("a100", section, base, rows=4096) for section in (None, CHECKPOINTS["blocks"]))
    assert 0.85 < narrow.latency_s / wide.latency_s < 1.2


def test_units_that_have_the_format_use_it() -> None:
    hopper = report("h100", CHECKPOINTS["dynamic"], rows=4096)
    assert hopper.dtype == "f8e4m3" and not any("no f8e4m3" in note for note in hopper.notes)


@pytest.mark.parametrize("target", ["v100_sxm2", "mi250", "tpu_v5e"])
def test_where_nobody_has_a_kernel_it_is_an_error(target: str) -> None:
    with pytest.raises(TargetError, match="no matrix arithmetic in f8e4m3"):
        report(target, CHECKPOINTS["blocks"])


def test_fp4_is_bytes_alone_on_hopper_and_arithmetic_on_blackwell() -> None:
    section = compressed(FLOAT4, FLOAT4)
    hopper, blackwell = report("h100", section), report("b200", section)
    assert (hopper.dtype, blackwell.dtype) == ("bf16", "f4e2m1")
    assert any("no f4e2m1" in note for note in hopper.notes)


def test_sweeps_tell_it_as_reports_do() -> None:
    config = {**DENSE, "quantization_config": CHECKPOINTS["blocks"]}
    target = load_target("a100")
    found = sweep(
        architecture_of(Config(config, "config.json")),
        ImportOptions(phase="decode", dims={"context": 128}),
        {"batch": (1, 4)},
        target,
        chosen_model("analytical", target),
        pipeline_of_level(2, "gpu"),
    )
    assert any("no f8e4m3" in note for note in found.notes)
