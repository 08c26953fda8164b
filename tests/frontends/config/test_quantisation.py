"""Quantised weights: as many parameters, fewer bytes, and what is not known is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ircost.cost_models.memory import memory_use
from ircost.datasets.model_configs import known_models
from ircost.frontends.config import ConfigError, architecture_of, build_model
from ircost.frontends.config.build import BuiltModel
from ircost.frontends.config.config_file import Config
from ircost.frontends.config.frontend import build_pass, read_architecture
from ircost.frontends.config.plan import Mesh
from ircost.frontends.config.workload import workload_of
from ircost.frontends.imported import Imported, ImportOptions
from ircost.ir.types import bf16, f4e2m1, f8e4m3
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
    "awq without zero points": ({"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": False}, 4 + 16 / 64),
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
            "ignore": ["lm_head"],
            "config_groups": {"group_0": {"weights": {"type": "float", "num_bits": 4, "group_size": 16}}},
        },
        4 + 8 / 16,
    ),
    "integers on both sides": (
        {
            "quant_method": "compressed-tensors",
            "ignore": ["re:.*lm_head"],
            "config_groups": {
                "group_0": {
                    "weights": {"type": "int", "num_bits": 8, "strategy": "channel"},
                    "input_activations": {"type": "int", "num_bits": 8, "strategy": "token", "dynamic": True},
                }
            },
        },
        8 + 0.05,
    ),
    "compressed with zero points": (
        {
            "quant_method": "compressed-tensors",
            "ignore": ["lm_head"],
            "config_groups": {
                "group_0": {
                    "targets": ["Linear"],
                    "weights": {"type": "int", "num_bits": 4, "group_size": 128, "symmetric": False},
                }
            },
        },
        4 + 20 / 128,
    ),
    "compressed blocks": (
        {
            "quant_method": "compressed-tensors",
            "ignore": ["lm_head"],
            "config_groups": {
                "group_0": {
                    "weights": {"type": "float", "num_bits": 8, "strategy": "block", "block_structure": [128, 128]},
                    "input_activations": {"type": "float", "num_bits": 8, "strategy": "group", "group_size": 128},
                }
            },
        },
        8 + 16 / 128**2,
    ),
    "modelopt fp8": ({"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["lm_head"]}, 8 + 0.05),
    "modelopt that leaves the method out": ({"quant_algo": "FP8", "ignore": ["lm_head"]}, 8 + 0.05),
    "modelopt nvfp4": ({"quant_method": "modelopt_fp4", "quantization": {"quant_algo": "NVFP4"}}, 4 + 8 / 16),
    "modelopt w4a16": ({"quant_method": "modelopt", "quant_algo": "W4A16_AWQ", "group_size": 64}, 4 + 16 / 64),
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


@pytest.mark.parametrize("ranks", [2, 4, 8, 16])
@pytest.mark.parametrize("base", [DENSE, MIXTURE], ids=["dense", "experts"])
@pytest.mark.parametrize("method", ["fp8 blocks", "gptq", "mxfp4", "compressed blocks"])
def test_ranks_together_hold_no_fewer_scales_than_one(method: str, base: dict[str, Any], ranks: int) -> None:
    """Where a rank's part of a row has no whole blocks, what is left has a scale, and a zero point, of its own."""
    section, _ = METHODS[method]
    config = {**base, "num_attention_heads": 16, "num_key_value_heads": 16, "quantization_config": section}
    architecture = architecture_of(Config({**config, "intermediate_size": 1200}, "config.json"))
    work = workload_of("decode", context=64, seq=None)
    one, split = (build_model(architecture, work, Mesh(tp=count)) for count in (1, ranks))
    verify(split.module)
    held = [
        {use.name: use.type for use in model.weights if use.name.endswith(("scales", "zeros"))}
        for model in (one, split)
    ]
    assert held[0].keys() == held[1].keys() != set()
    for name, type in held[0].items():
        assert ranks * held[1][name].elements >= type.elements, name
    assert ranks * memory_use(split.module).weights_bytes >= memory_use(one.module).weights_bytes


def test_a_rank_of_gpt_oss_has_a_scale_for_each_block_of_its_columns() -> None:
    (known,) = (model for model in known_models() if model.name == "gpt-oss-120b")
    architecture = architecture_of(Config(known.config, "config.json"))
    model = build_model(architecture, workload_of("decode", context=64, seq=None), Mesh(tp=8))
    (shape,) = {use.type.shape for use in model.weights if use.name.endswith("down_scales")}
    assert shape == (128, 2880, -(-2880 // 8 // 32))


def of_modules(**algorithms: str) -> dict[str, Any]:
    """Of the attention of the first layer."""
    layers = {f"model.layers.0.self_attn.{name}": {"quant_algo": form} for name, form in algorithms.items()}
    return {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": layers}


def in_groups(*targets: list[str], num_bits: int = 4, activations: int = 0, **more: Any) -> dict[str, Any]:
    """Of compressed-tensors, 4-bit groups of targets by default."""
    scheme = {"type": "int", "num_bits": num_bits, "symmetric": more.pop("symmetric", True)}
    inputs = {"type": "int", "num_bits": activations} if activations else None
    groups = {
        f"group_{n}": {"targets": names, "weights": scheme, "input_activations": inputs}
        for n, names in enumerate(targets)
    }
    return {"quant_method": "compressed-tensors", "config_groups": groups, **more}


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"quant_method": "qptq", "bits": 4}, "qptq"),
        ({"quant_method": "gptq", "bits": 3}, "'bits' is 3"),
        ({"quant_method": "fp8", "fmt": "e3m4"}, "e3m4"),
        ({"quant_method": "fp8", "modules_to_not_convert": ["model.layers.0.strange"]}, "strange"),
        ({"quant_method": "awq", "bits": 4, "surprise": 1}, "surprise"),
        ({"quant_method": "modelopt", "quant_algo": "W4A8_AWQ"}, "W4A8_AWQ"),
        ({"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": {}}, "MIXED_PRECISION"),
        (of_modules(q_proj="FP8"), "q_proj is among them and .*k_proj is not"),
        (of_modules(o_proj="FP3"), "'quant_algo' is 'FP3'"),
        (of_modules(p_proj="FP8"), "p_proj' is no part known here"),
        (in_groups(["Embedding"]), "'Embedding' is no part known here"),
        (in_groups(["re:.*q_proj"]), "one product"),
        (in_groups(["re:.*(q_proj"]), "names of modules"),
        (in_groups(["model.embed_tokens"]), "embed_tokens' is no part known here"),
        (in_groups([]), "'targets' is \\[\\]"),
        (in_groups(["Linear"], format="marlin-24"), "marlin-24"),
        (in_groups(["Linear"], symmetric=False, num_bits=8, activations=8), "zero points"),
        (
            {"quant_method": "modelopt", "quant_algo": "NVFP4", "kv_cache_quant_algo": "NVFP4_AFFINE"},
            "a cache of NVFP4_AFFINE",
        ),
        ({"quant_method": "modelopt", "quant_algo": "FP8", "exclude_modules": ["model.layers.1.q_proj2"]}, "q_proj2"),
        ({"quant_method": "fp8", "ignored_layers": ["model.layers.1.self_attn.q_proj"]}, "one product"),
        ({"quant_method": "fp8", "ignored_layers": ["re:.*(q_proj"]}, "modules that stay wide"),
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
    assert any("scheme of them" in note for note in narrow.notes)
    assert not any("scheme of them" in note for note in (*wide.notes, *asked.notes))


def test_sparse_weights_are_refused_and_dense_ones_are_not() -> None:
    assert decoded(compressed(sparsity_config={"format": "dense"})).built
    with pytest.raises(ConfigError, match="sparse-24-bitmask"):
        decoded(compressed(sparsity_config={"format": "sparse-24-bitmask"}))


FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128]}
LATENT = {
    **DENSE,
    **{"model_type": "deepseek_v3", "num_hidden_layers": 3, "first_k_dense_replace": 1, "n_routed_experts": 8},
    **{"num_experts_per_tok": 2, "n_shared_experts": 1, "moe_intermediate_size": 256, "num_key_value_heads": 4},
    **{"kv_lora_rank": 128, "q_lora_rank": 128, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128},
}
ALL_OF_ONE = {"attention.qkv", "attention.out", "mlp.gate_up", "mlp.down"}


def wide_parts(names: list[str], base: dict[str, Any] = DENSE) -> list[set[str]]:
    """Of each layer."""
    config = {**base, "quantization_config": {**FP8, "modules_to_not_convert": names}}
    return [set(layer.wide) for layer in architecture_of(Config(config, "config.json")).stack.layers]


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["lm_head", "model.embed_tokens", "model.norm", "vision_tower.layers.0.self_attn.q_proj"], [set(), set()]),
        (["model.layers.0.mlp"], [{"mlp.gate_up", "mlp.down"}, set()]),
        (["model.layers.1.mlp.down_proj"], [set(), {"mlp.down"}]),
        (["mlp.down_proj"], [{"mlp.down"}, {"mlp.down"}]),
        (["language_model.model.layers.1"], [set(), ALL_OF_ONE]),
        (["*self_attn*"], [{"attention.qkv", "attention.out"}] * 2),
        (["model.layers.0.self_attn*"], [{"attention.qkv", "attention.out"}, set()]),
        (["re:.*o_proj$"], [{"attention.out"}] * 2),
        (["re:model.layers.[1-9].*"], [set(), ALL_OF_ONE]),
        ([f"model.layers.0.self_attn.{x}_proj" for x in "qkv"], [{"attention.qkv"}, set()]),
        (
            ["model.layers.0.self_attn.q_norm", "model.layers.1.mlp.gate", "model.layers.0.input_layernorm"],
            [set(), set()],
        ),
        (["model.layers.2.mlp*", "model.layers.61.self_attn"], [set(), set()]),  # what drafts tokens
    ],
    ids=lambda value: ", ".join(value) if isinstance(value[0], str) else "",
)
def test_single_modules_of_single_layers_stay_wide(names: list[str], parts: list[set[str]]) -> None:
    assert wide_parts(names) == parts


def test_a_module_that_another_layer_has_is_no_mistake() -> None:
    assert wide_parts([f"model.layers.{n}.mlp.experts.{n}.down_proj" for n in range(3)], LATENT) == [set()] * 3
    first, *others = wide_parts([f"model.layers.{n}.mlp.down_proj" for n in range(3)], LATENT)
    assert (first, others) == ({"mlp.down"}, [set()] * 2)


def test_parts_of_experts_and_of_latent_attention_are_told_apart() -> None:
    dense, first, second = wide_parts(
        [
            *("model.layers.1.mlp.gate", "model.layers.1.mlp.shared_experts*", "model.layers.2.mlp.experts*"),
            *("model.layers.0.self_attn.kv_a_proj_with_mqa", "model.layers.0.self_attn.q_a_proj"),
            "model.layers.0.self_attn.kv_b_proj",
        ],
        LATENT,
    )
    assert dense == {"attention.down", "attention.up"}
    assert first == {"experts.shared.gate_up", "experts.shared.down"}
    assert second == {"experts"}


def test_a_name_that_another_says_as_well_is_met() -> None:
    """Qwen 3.5 of NVIDIA's: each layer's shared expert by its number, and all of them by one more wildcard."""
    names = ["*.mlp.shared_expert.*", *(f"model.layers.{n}.mlp.shared_expert*" for n in (1, 2))]
    assert wide_parts(names, LATENT) == [set(), *[{"experts.shared.gate_up", "experts.shared.down"}] * 2]


def test_a_wide_part_has_its_own_bytes_and_no_other() -> None:
    """One down projection of two: 16 bits for 8."""
    narrow = built({**DENSE, "quantization_config": FP8})
    mixed = built({**DENSE, "quantization_config": {**FP8, "ignored_layers": ["model.layers.1.mlp.down_proj"]}})
    more = memory_use(mixed.module).weights_bytes - memory_use(narrow.module).weights_bytes
    assert more == 512 * 1024 - 4 * (512 // 128) * (1024 // 128)
    assert mixed.parameters == narrow.parameters


def test_modelopt_says_it_beside_the_config(tmp_path: Path) -> None:
    said = {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "group_size": 16, "exclude_modules": ["lm_head"]}
    (tmp_path / "config.json").write_text(json.dumps(DENSE))
    plain = read_architecture(tmp_path)
    (tmp_path / "hf_quant_config.json").write_text(
        json.dumps({"producer": {"name": "modelopt", "version": "0.29.0"}, "quantization": said})
    )
    for path in (tmp_path, tmp_path / "config.json"):
        form = read_architecture(path).quantisation
        assert form is not None and (form.weights, form.activations, form.block, form.cache) == (
            f4e2m1,
            f4e2m1,
            16,
            f8e4m3,
        )
    assert plain.quantisation is None
    (tmp_path / "config.json").write_text(json.dumps({**DENSE, "quantization_config": FP8}))
    own = read_architecture(tmp_path).quantisation
    assert own is not None and own.weights == f8e4m3


def test_a_broken_file_beside_the_config_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(DENSE))
    (tmp_path / "hf_quant_config.json").write_text("{")
    with pytest.raises(ConfigError, match="no JSON"):
        read_architecture(tmp_path)


def formats_of(section: dict[str, Any], **more: Any) -> dict[str, str]:
    """Of the weights of products, by name."""
    model = built({**DENSE, **more, "quantization_config": section})
    products = (use for use in model.weights if use.name.endswith(".weight") and "norm" not in use.name)
    return {use.name.removesuffix(".weight"): str(use.type.dtype) for use in products}


def test_groups_are_of_their_targets_alone() -> None:
    """A name counts for more than a class, whichever group is first; what no group names is wide."""
    wide = {"head": "bf16"}
    assert formats_of(in_groups(["re:.*mlp.*"])) == {
        **{f"layers.0-1.attention.{name}": "bf16" for name in ("qkv", "out")},
        **{f"layers.0-1.mlp.{name}": "u4" for name in ("gate_up", "down")},
        **wide,
    }
    for order in (1, -1):
        section = in_groups(*[["re:.*self_attn.*"], ["Linear"]][::order], ignore=["lm_head", "model.layers.0.mlp"])
        attending = next(group for group in section["config_groups"].values() if group["targets"] != ["Linear"])
        attending["weights"] = {"type": "int", "num_bits": 8}
        assert formats_of(section) == {
            **{f"layers.{n}.attention.{name}": "i8" for n in (0, 1) for name in ("qkv", "out")},
            **{f"layers.0.mlp.{name}": "bf16" for name in ("gate_up", "down")},
            **{f"layers.1.mlp.{name}": "u4" for name in ("gate_up", "down")},
            **wide,
        }


MIXED_HEAD = {"quant_algo": "MIXED_PRECISION", "quantized_layers": {"lm_head": {"quant_algo": "W4A16_NVFP4"}}}


@pytest.mark.parametrize(
    ("section", "format"),
    [
        ({"quant_method": "gptq", "bits": 4, "lm_head": True}, "u4"),
        ({"quant_method": "gptq", "bits": 4, "lm_head": False}, "bf16"),
        ({"quant_method": "modelopt", **MIXED_HEAD}, "f4e2m1"),
        (in_groups(["Linear"]), "u4"),
        (in_groups(["Linear"], ignore=["lm_head"]), "bf16"),
        (in_groups(["re:.*mlp.*"]), "bf16"),
        ({"quant_method": "fp8"}, "bf16"),
    ],
)
def test_a_head_is_narrow_where_a_checkpoint_says_so(section: dict[str, Any], format: str) -> None:
    assert formats_of(section)["head"] == format
    assert "head" not in formats_of(section, tie_word_embeddings=True), "the table of the embedding stays wide"


def test_modules_have_forms_of_their_own() -> None:
    """ModelOpt's MIXED_PRECISION: attention in FP8, one layer's feed-forward in NVFP4, what is not listed is wide."""
    attention = {f"model.layers.{n}.self_attn.{name}": "FP8" for n in range(2) for name in ATTENDING}
    fed = {f"model.layers.1.mlp.{name}": "NVFP4" for name in ("gate_proj", "up_proj", "down_proj")}
    layers = {name: {"quant_algo": form} for name, form in {**attention, **fed}.items()}
    config = {"quant_method": "modelopt", "quantization": {"quant_algo": "MIXED_PRECISION", "quantized_layers": layers}}
    model = built({**DENSE, "num_hidden_layers": 2, "quantization_config": config})
    formats = {
        use.name.removeprefix("layers."): use.type.dtype
        for use in model.weights
        if use.name.startswith("layers.") and use.name.endswith(".weight")
    }
    assert {name: dtype for name, dtype in formats.items() if "norm" not in name} == {
        **{f"{n}.attention.{name}.weight": f8e4m3 for n in range(2) for name in ("qkv", "out")},
        **{f"0.mlp.{name}.weight": model.architecture.dtype for name in ("gate_up", "down")},
        **{f"1.mlp.{name}.weight": f4e2m1 for name in ("gate_up", "down")},
    }


ATTENDING = ("q_proj", "k_proj", "v_proj", "o_proj")
