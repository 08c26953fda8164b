"""Quantised weights: as many parameters, fewer bytes, and what is not known is refused."""

from __future__ import annotations

from typing import Any

import pytest

from ircost.cost_models.memory import memory_use
from ircost.frontends.config import ConfigError, architecture_of, build_model
from ircost.frontends.config.build import BuiltModel
from ircost.frontends.config.config_file import Config
from ircost.frontends.config.frontend import build_pass
from ircost.frontends.config.workload import workload_of
from ircost.frontends.imported import Imported, ImportOptions
from ircost.ir.types import bf16
from ircost.ir.verify import verify

DENSE: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 256,
    "hidden_size": 512,
    "intermediate_size": 1024,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "torch_dtype": "bfloat16",
}
MIXTURE = {
    **DENSE,
    **{"model_type": "mixtral", "num_key_value_heads": 4, "num_local_experts": 4, "num_experts_per_tok": 2},
}
# Method -> bits of a weight of a layer, its share of scales and zero points included.
METHODS: dict[str, tuple[dict[str, Any], float]] = {
    "fp8 blocks": ({"quant_method": "fp8", "weight_block_size": [128, 128]}, 8 + 32 / 128**2),
    "fp8 rows": ({"quant_method": "fbgemm_fp8"}, 8 + 0.05),
    "gptq": ({"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": False}, 4 + 20 / 128),
    "awq": ({"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": True}, 4 + 20 / 64),
    "nf4": ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 4 + 32 / 64),
    "mxfp4": ({"quant_method": "mxfp4"}, 4 + 8 / 32),
    "compressed": (
        {
            "quant_method": "compressed-tensors",
            "ignore": ["lm_head"],
            "config_groups": {"group_0": {"weights": {"type": "int", "num_bits": 4, "group_size": 128}}},
        },
        4 + 16 / 128,
    ),
    "nvfp4": (
        {
            "quant_method": "compressed-tensors",
            "format": "nvfp4-pack-quantized",
            "config_groups": {"group_0": {"weights": {"type": "float", "num_bits": 4, "group_size": 16}}},
        },
        4 + 8 / 16,
    ),
}


def built(config: dict[str, Any], phase: str = "decode") -> BuiltModel:
    work = workload_of(phase, context=64, seq=None if phase == "decode" else 64)
    model = build_model(architecture_of(Config(config, "config.json")), work)
    verify(model.module)
    return model


@pytest.mark.parametrize("phase", ["prefill", "decode"])
@pytest.mark.parametrize("base", [DENSE, MIXTURE], ids=["dense", "experts"])
@pytest.mark.parametrize("method", METHODS)
def test_parameters_stay_and_bytes_shrink(method: str, base: dict[str, Any], phase: str) -> None:
    section, bits = METHODS[method]
    plain, narrow = built(base, phase), built({**base, "quantization_config": section}, phase)
    assert narrow.parameters == plain.parameters
    layers = sum(use.type.elements * use.copies for use in plain.weights if use.name.startswith("layers"))
    saved = memory_use(plain.module).weights_bytes - memory_use(narrow.module).weights_bytes
    norms_and_router = 0.01 * layers
    assert saved == pytest.approx(layers * (16 - bits) / 8, abs=2 * norms_and_router)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"quant_method": "qptq", "bits": 4}, "qptq"),
        ({"quant_method": "gptq", "bits": 3}, "'bits' is 3"),
        ({"quant_method": "fp8", "fmt": "e3m4"}, "e3m4"),
        ({"quant_method": "fp8", "modules_to_not_convert": ["model.layers.0.strange"]}, "strange"),
        ({"quant_method": "awq", "bits": 4, "surprise": 1}, "surprise"),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"type": "int", "num_bits": 8}}},
                "kv_cache_scheme": {"type": "float", "num_bits": 5},
            },
            "a cache of 5 bits",
        ),
    ],
)
def test_what_is_not_known_is_refused(section: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        built({**DENSE, "quantization_config": section})


def compressed(**more: Any) -> dict[str, Any]:
    groups = {"group_0": {"weights": {"type": "float", "num_bits": 8}}}
    return {**DENSE, "quantization_config": {"quant_method": "compressed-tensors", "config_groups": groups, **more}}


def decoded(config: dict[str, Any], **options: Any) -> Imported:
    sizes = ImportOptions(phase="decode", dims={"batch": 1, "context": 64}, **options)
    return build_pass(architecture_of(Config(config, "config.json")), sizes)


def test_a_scheme_of_the_cache_is_its_format() -> None:
    said = compressed(kv_cache_scheme={"type": "float", "num_bits": 8, "dynamic": False})
    wide, narrow, asked = decoded(compressed()), decoded(said), decoded(said, cache_dtype=bf16)
    assert wide.built and narrow.built and asked.built
    assert wide.built.kv_bytes_per_token == 2 * narrow.built.kv_bytes_per_token == asked.built.kv_bytes_per_token
    assert any("kv_cache_scheme" in note for note in narrow.notes)
    assert not any("kv_cache_scheme" in note for note in (*wide.notes, *asked.notes))


def test_sparse_weights_are_refused_and_dense_ones_are_not() -> None:
    assert decoded(compressed(sparsity_config={"format": "dense"})).built
    with pytest.raises(ConfigError, match="sparse-24-bitmask"):
        decoded(compressed(sparsity_config={"format": "sparse-24-bitmask"}))
