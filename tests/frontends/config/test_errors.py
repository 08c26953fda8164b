"""What is wrong with a configuration, or with what is asked of it, is said in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_transformers import FLUX, LLAMA, T5, VIT, read

from ircost.frontends.config import ConfigError, build_model
from ircost.frontends.config.config_file import parse_config
from ircost.frontends.config.families import ALIASES, FAMILIES, TEXT_OF
from ircost.frontends.config.plan import Mesh
from ircost.frontends.config.unsupported import MISSING, OTHER_FILES
from ircost.frontends.config.workload import workload_of

LLAMA_4 = Path(__file__).resolve().parents[3] / "datasets" / "models" / "llama-4-scout.json"
MPT = {"model_type": "mpt", "d_model": 32, "n_heads": 4, "n_layers": 2, "vocab_size": 50, "max_seq_len": 64}
MINIMAX = {
    **LLAMA,
    **{"model_type": "minimax_text_01", "num_key_value_heads": 2, "num_local_experts": 2, "num_experts_per_tok": 1},
    **{"attn_type_list": [1, 1], "head_dim": 16},
}
DOTS = {
    **LLAMA,
    **{"model_type": "dots1", "num_key_value_heads": 2, "n_routed_experts": 4, "num_experts_per_tok": 1},
    **{"moe_intermediate_size": 8, "n_shared_experts": 1},
}


LATENT = {
    **{**LLAMA, "num_key_value_heads": 4, "q_lora_rank": 8, "kv_lora_rank": 16, "qk_nope_head_dim": 8},
    **{"qk_rope_head_dim": 4, "v_head_dim": 8, "n_routed_experts": 4, "num_experts_per_tok": 1},
    **{"moe_intermediate_size": 8, "n_shared_experts": 1, "first_k_dense_replace": 1},
}
GLM_5 = {**LATENT, "model_type": "glm_moe_dsa", "index_topk": 4, "index_n_heads": 2, "index_head_dim": 8}
NEMOTRON = {
    **{**LLAMA, "model_type": "nemotron_h", "num_key_value_heads": 2, "head_dim": 16, "hybrid_override_pattern": "*E"},
    **{"mamba_num_heads": 4, "n_routed_experts": 4, "num_experts_per_tok": 1, "moe_intermediate_size": 8},
    "moe_shared_expert_intermediate_size": 8,
}
MIMO: dict[str, Any] = {
    **{**LLAMA, "model_type": "mimo_v2_flash", "head_dim": 24, "v_head_dim": 16, "attention_value_scale": 0.7},
    **{"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "hybrid_layer_pattern": [0, 1]},
}
LFM2 = {**LLAMA, "model_type": "lfm2", "num_key_value_heads": 2, "layer_types": ["conv", "full_attention"]}
KIMI_STATES = {"num_heads": 2, "head_dim": 8, "kda_layers": [1], "full_attn_layers": [2]}
KIMI = {**LATENT, "model_type": "kimi_linear", "num_experts": 4, "linear_attn_config": KIMI_STATES}
FALCON_H1 = {**LLAMA, "model_type": "falcon_h1", "num_key_value_heads": 2, "mamba_n_heads": 4, "mamba_d_ssm": 64}
PART = {"no_op": False, "n_heads_in_group": 2, "ffn_mult": 1.0}
SEARCHED = {**LLAMA, "model_type": "nemotron-nas", "block_configs": [{"attention": PART, "ffn": PART}] * 2}
GEMMA_3N = {
    **{**LLAMA, "model_type": "gemma3n_text", "num_key_value_heads": 2, "head_dim": 16, "num_kv_shared_layers": 0},
    "hidden_size_per_layer_input": 8,
}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({**GLM_5, "index_topk": None}, "'index_topk' is missing"),
        ({**GLM_5, "indexer_types": ["shared", "full"]}, "the first layer sees what one before it chose"),
        ({**GLM_5, "indexer_types": ["full", "other"]}, "'indexer_types' names 'other'"),
        ({**GLM_5, "indexer_rope_interleave": False}, "'indexer_rope_interleave' is False"),
        ({**GLM_5, "index_kpool": 4}, "'index_kpool' is 4, and what it changes is not known"),
        ({**NEMOTRON, "n_shared_experts": 2}, "'n_shared_experts' is 2"),
        ({**NEMOTRON, "mlp_bias": True}, "'mlp_bias' is true"),
        ({**NEMOTRON, "attention_bias": True}, "'attention_bias' is True"),
        ({**NEMOTRON, "moe_shared_expert_intermediate_size": None}, "'moe_shared_expert_intermediate_size' is missing"),
        ({**LFM2, "layer_types": ["conv", "sliding_attention"]}, "'layer_types' names 'sliding_attention'"),
        ({**MIMO, "swa_v_head_dim": 12}, "'swa_v_head_dim' is 12, and 16 without a window"),
        ({**MIMO, "hybrid_layer_pattern": [0, 1, 1]}, "'hybrid_layer_pattern' lists 3 layers, and there are 2"),
        ({**LFM2, "conv_dim": 32}, "'conv_dim' is 32, and the model is 64 wide"),
        ({**LFM2, "block_use_swiglu": False}, "'block_use_swiglu' is False"),
        ({**KIMI, "mla_use_nope": False}, "'mla_use_nope' is False"),
        ({**KIMI, "linear_attn_config": {**KIMI_STATES, "kda_layers": [2]}}, "not the numbers from 1 to 2"),
        ({**KIMI, "linear_attn_config": {**KIMI_STATES, "gate_lower_bound": -5.0}}, "'gate_lower_bound' is -5.0"),
        ({**FALCON_H1, "mamba_d_head": 8}, "4 heads of 8, and the inner width is 64"),
        ({**FALCON_H1, "projectors_bias": True}, "'mamba_proj_bias' and 'projectors_bias' differ"),
        ({**FALCON_H1, "mamba_d_ssm": ...}, "'mamba_d_ssm' is missing"),
        ({**SEARCHED, "block_configs": [{"attention": PART}] * 2}, "'attention' or 'ffn' is missing"),
        ({**SEARCHED, "block_configs": [{"attention": PART, "ffn": PART}]}, "lists 1 layers, and there are 2"),
        (
            {**SEARCHED, "block_configs": [{"attention": {**PART, "replace_with_linear": True}, "ffn": PART}] * 2},
            "'replace_with_linear' is true",
        ),
        ({**GEMMA_3N, "altup_active_idx": 1}, "'altup_active_idx' is 1"),
        ({**GEMMA_3N, "activation_sparsity_pattern": [1.0, 0.0]}, "'activation_sparsity_pattern' holds 1.0"),
        (
            {**GEMMA_3N, "model_type": "gemma4_text", "use_bidirectional_attention": "all"},
            "is all, and what it changes",
        ),
    ],
)
def test_what_a_part_lacks(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read({key: value for key, value in config.items() if value is not ...})


def test_layers_that_see_others_in_one_stage_alone() -> None:
    model = read({**GLM_5, "num_hidden_layers": 4, "indexer_types": ["full", "shared"] * 2})
    with pytest.raises(ConfigError, match="a stage begins with a layer that sees what the one before it chose"):
        build_model(model, workload_of("decode", context=8), Mesh(pp=4), stage=1)
    with pytest.raises(ConfigError, match="has inputs for each layer, whose stages are not known"):
        build_model(read(GEMMA_3N), workload_of("decode", context=8), Mesh(pp=2))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "lama"}, "model_type 'lama' is not known"),
        ({"model_type": "lama"}, "did you mean llama.*Names alike may be other models; .*irc compile model.onnx"),
        ({"model_type": "deepseek_v4"}, "model_type 'deepseek_v4' is not supported: attention to compressed tokens"),
        ({"model_type": "chatglm"}, "help: zai-org publishes the same weights as \\*-hf, model_type glm"),
        ({"model_type": None}, "'model_type' is missing"),
        ({"hidden_size": None}, "'hidden_size' is missing"),
        ({"hidden_size": "64"}, "a whole number of 1 and more expected"),
        ({"hidden_size": True}, "a whole number of 1 and more expected"),
        ({"num_hidden_layers": 0}, "a whole number of 1 and more expected"),
        ({"num_hidden_layers": 10**6}, "4096 are the most"),
        ({"num_attention_heads": 5}, "hidden size 64 does not divide by 5 heads"),
        ({"num_key_value_heads": 3}, "cannot share 3 heads of keys and values evenly"),
        ({"hidden_act": "swoosh"}, "activation 'swoosh' is not known"),
        ({"hidden_act": "xielu"}, "activation 'xielu' of a llama is not known"),
        ({"attention_bias": "yes"}, "true or false expected"),
        ({"rms_norm_eps": float("inf")}, "'rms_norm_eps' is inf, a number expected"),
        ({"rms_norm_eps": 10**400}, "a number expected"),
        ({"new_trick": 3}, "'new_trick' is 3, and what it changes is not known"),
        ({"architectures": ["LlamaForTokenClassification"]}, "'architectures' says LlamaForTokenClassification"),
        ({"architectures": ["LlamaBidirectionalModel"]}, "'architectures' says LlamaBidirectionalModel"),
        ({"use_qk_norm": True}, "'use_qk_norm' is true, and what it changes is not known"),
        ({"normalization_function": "layernorm"}, "'normalization_function' is"),
        ({"is_causal": False}, "'is_causal' is false, and what it changes is not known"),
        ({"pruned_heads": {"1": [2]}}, "'pruned_heads' is"),
        ({"sliding_window": 16}, "which layers of a llama have it is not known"),
        ({"layer_types": ["full_attention"]}, "lists 1 layers, and there are 2"),
        ({"layer_types": ["full_attention", "odd"]}, "'layer_types' names 'odd'"),
        ({"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.1}}, "cannot be rotated in pairs"),
        ({"rope_parameters": {"rope_theta": 1e4, "twist": 2}}, "'twist' is 2"),
        ({"torch_dtype": "float7"}, "'torch_dtype' is 'float7'"),
        ({"vision_config": {"hidden_size": 8}}, "vision tower cannot be told"),
    ],
)
def test_a_wrong_configuration(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        read({**LLAMA, **change})
    assert "\n" not in raised.value.message


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({**LLAMA, "model_type": "mixtral"}, "'num_local_experts' is missing"),
        ({**LLAMA, "model_type": "mixtral", "num_local_experts": 2, "num_experts_per_tok": 3}, "3 of 2 experts"),
        ({**LLAMA, "model_type": "minimax_text_01", "num_local_experts": 2, "num_experts_per_tok": 1}, "which layers"),
        ({**LLAMA, "model_type": "qwen3", "num_key_value_heads": 2, "head_dim": 7}, "cannot be rotated in pairs"),
        ({"model_type": "mamba", **{k: LLAMA[k] for k in ("hidden_size", "num_hidden_layers", "vocab_size")},
          "hidden_act": "gelu"}, "'hidden_act' is 'gelu'"),
        ({"model_type": "mamba2", **{k: LLAMA[k] for k in ("hidden_size", "num_hidden_layers", "vocab_size")},
          "num_heads": 3, "head_dim": 8}, "3 heads of 8, and the inner width is 128"),
        ({**MINIMAX, "shared_intermediate_size": 8}, "'shared_intermediate_size' is 8, and what"),
        ({**MINIMAX, "postnorm": False}, "'postnorm' is False"),
        ({**MINIMAX, "model_type": "minimax_m2", "scoring_func": "softmax"}, "'scoring_func' is softmax"),
        ({**MINIMAX, "model_type": "minimax_m2", "attn_type_list": [0, 1]}, "'attn_type_list' names others"),
        ({**DOTS, "mlp_layer_types": ["dense", "odd"]}, "'mlp_layer_types' names 'odd'"),
        ({**DOTS, "mlp_layer_types": ["dense"]}, "lists 1 layers, and there are 2"),
        ({**MPT, "attn_config": {"alibi": True, "attn_type": "multiquery_attention"}}, "multiquery_attention"),
        ({**MPT, "attn_config": {"alibi": True, "qk_ln": True}}, "'qk_ln' is true"),
        ({**T5, "feed_forward_proj": "gated-swoosh"}, "'feed_forward_proj' is 'gated-swoosh'"),
        ({**VIT, "patch_size": 64}, "patches of 64 pixels in images of 32"),
        ({**FLUX, "axes_dims_rope": [4, {"a": 4}]}, "whole numbers expected"),
        ({**FLUX, "axes_dims_rope": [4, 4]}, "even numbers that add up to 16 expected"),
        ({**FLUX, "_class_name": "UNet2DConditionModel"}, "'_class_name' is 'UNet2DConditionModel'"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_of_a_family(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(config)


@pytest.mark.parametrize(
    ("config", "phase", "sizes", "said"),
    [
        (LLAMA, "encode", {"seq": 8}, "has no phase encode: it is a decoder"),
        (LLAMA, "denoise", {"seq": 8}, "has no phase denoise"),
        (VIT, "decode", {"context": 8}, "has no phase decode: it is an encoder"),
        (LLAMA, "decode", {"context": 200}, "a context of 200 tokens, and model was made for 128"),
        (T5, "decode", {"context": 8}, "needs the length of what its encoder read"),
        (FLUX, "denoise", {"seq": 10, "source": 4}, "10 tokens are no square image"),
    ],
)
def test_a_phase_that_a_model_lacks(config: dict[str, Any], phase: str, sizes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build_model(read(config), workload_of(phase, **sizes))


def test_ranks_that_heads_do_not_divide_by() -> None:
    with pytest.raises(ConfigError, match="4 heads do not divide by tp=3"):
        build_model(read(LLAMA), workload_of("prefill", seq=8), Mesh(tp=3))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "a section expected"),
        ("{", "no JSON"),
        ('{"a": NaN', "no JSON"),
        ("[" * 100_000, "too deep"),
        ('{"a": ' + "9" * 5000 + "}", "more than 4300 digits"),
    ],
)
def test_no_configuration(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_config(text, "config.json")


@pytest.mark.parametrize("section", ["rope_scaling", "rope_parameters"])
@pytest.mark.parametrize(("kind", "limit"), [("yarn", 4 * 4096), ("llama3", 8192)])
def test_yarn_stretches_the_limit(section: str, kind: str, limit: int) -> None:
    said = {"rope_type": kind, "factor": 4.0, "original_max_position_embeddings": 4096, "rope_theta": 1e4}
    found = read({**LLAMA, "max_position_embeddings": 8192, section: said})
    build_model(found, workload_of("decode", context=limit))
    with pytest.raises(ConfigError, match=f"was made for {limit}"):
        build_model(found, workload_of("decode", context=limit + 1))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"factor": float("inf")}, "'rope_scaling.factor' is inf, a number expected"),
        ({"factor": float("nan")}, "'rope_scaling.factor' is nan, a number expected"),
        ({"factor": 1e300}, "makes no context out of 4096 positions"),
        ({"factor": "4"}, "'rope_scaling.factor' is '4', a number expected"),
        ({"original_max_position_embeddings": 10**400}, "a number expected"),
        ({"full_attention": 5}, "'full_attention' is 5, a section expected"),
    ],
)
def test_a_context_that_nothing_is_stretched_to(change: dict[str, Any], said: str) -> None:
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096}
    with pytest.raises(ConfigError, match=said):
        read({**LLAMA, "rope_scaling": {**yarn, **change}})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pixel_shuffle_ratio": 0.0}, "cannot be joined at a ratio of 0"),
        ({"model_type": "siglip_vision_model"}, "told apart by rotary positions, and these have none"),
    ],
)
def test_a_tower_that_is_not_of_its_model(change: dict[str, Any], said: str) -> None:
    config = json.loads((LLAMA_4).read_text())["config"]
    with pytest.raises(ConfigError, match=said):
        read({**config, "vision_config": {**config["vision_config"], **change}})


def test_what_is_missing_is_said_of_models_that_are_not_built() -> None:
    assert not {*MISSING, *OTHER_FILES} & {*FAMILIES, *ALIASES, *TEXT_OF}
