"""A prompt at once, or its first tokens and then the rest behind their cache or state: the logits are the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from tiny_transformers import as_inputs, read, run

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "vocab_size": 50,
    "max_position_embeddings": 64,
}
EXPERTS = {"num_experts_per_tok": 2, "num_experts": 4, "moe_intermediate_size": 16}
SIDES = {
    f"{side}_{key}": value
    for side in ("encoder", "decoder")
    for key, value in {"layers": 2, "attention_heads": 4, "ffn_dim": 48}.items()
}
DEEPSEEK = {
    **SIZES,
    **{"model_type": "deepseek_v3", "q_lora_rank": 12, "kv_lora_rank": 16, "qk_nope_head_dim": 8},
    **{"qk_rope_head_dim": 4, "v_head_dim": 8, "n_routed_experts": 8, "num_experts_per_tok": 2},
    **{"moe_intermediate_size": 16, "n_shared_experts": 1, "first_k_dense_replace": 1, "n_group": 2},
    **{"topk_group": 1, "routed_scaling_factor": 2.5},
}
KIMI_STATES = {"num_heads": 3, "head_dim": 8, "kda_layers": [1, 3, 4], "full_attn_layers": [2]}
INDEXED = {**DEEPSEEK, "index_topk": 4, "index_n_heads": 8, "index_head_dim": 8}
MODELS: dict[str, Mapping[str, Any]] = {
    "llama": {**SIZES, "model_type": "llama"},
    "gemma3": {**SIZES, "model_type": "gemma3_text", "head_dim": 8, "sliding_window": 3, "sliding_window_pattern": 2},
    "gemma4": {
        **SIZES,
        **{"model_type": "gemma4_text", "head_dim": 8, "global_head_dim": 16, "num_global_key_value_heads": 1},
        **{"attention_k_eq_v": True, "layer_types": ["sliding_attention", "full_attention"] * 2, "sliding_window": 3},
        **{"hidden_size_per_layer_input": 0, "enable_moe_block": True, "num_experts": 6, "top_k_experts": 2},
        "moe_intermediate_size": 12,
    },
    "gemma3n": {
        **SIZES,
        **{"model_type": "gemma3n_text", "head_dim": 8, "num_hidden_layers": 8, "sliding_window": 3},
        **{"layer_types": ["sliding_attention", "full_attention"] * 4, "num_kv_shared_layers": 4},
        **{"hidden_size_per_layer_input": 6, "vocab_size_per_layer_input": 50, "laurel_rank": 5},
        "activation_sparsity_pattern": [0.9, 0.9, *[0.0] * 6],
    },
    "gemma4, small": {
        **SIZES,
        **{"model_type": "gemma4_text", "head_dim": 8, "global_head_dim": 16, "sliding_window": 3},
        **{"layer_types": ["sliding_attention", "full_attention"] * 4, "num_hidden_layers": 8},
        **{"hidden_size_per_layer_input": 6, "vocab_size_per_layer_input": 50, "num_kv_shared_layers": 4},
    },
    "llama4": {
        **SIZES,
        **{"model_type": "llama4_text", "head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 1},
        **{"intermediate_size_mlp": 40, "interleave_moe_layer_step": 2, "floor_scale": 4},
    },
    "gpt_oss": {
        **SIZES,
        **{"model_type": "gpt_oss", "head_dim": 8, "sliding_window": 4, "num_local_experts": 4},
        "num_experts_per_tok": 2,
    },
    "apertus": {**SIZES, "model_type": "apertus", "hidden_act": "xielu"},
    "mimo_v2_flash": {
        **SIZES,
        **{"model_type": "mimo_v2_flash", "head_dim": 12, "v_head_dim": 8, "attention_value_scale": 0.7},
        **{"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "sliding_window": 4},
        "hybrid_layer_pattern": [0, 1, 1, 0],
    },
    "afmoe": {
        **{**SIZES, **EXPERTS, "model_type": "afmoe", "head_dim": 8, "sliding_window": 3, "mup_enabled": True},
        **{"global_attn_every_n_layers": 2, "num_shared_experts": 1, "route_scale": 2.0},
    },
    "step3p5": {
        **{**SIZES, "model_type": "step3p5", "head_dim": 8, "sliding_window": 3, "num_sliding_attention_heads": 6},
        **{"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "share_expert_dim": 20},
        **{"layer_types": ["full_attention", "sliding_attention"] * 2, "moe_router_scaling_factor": 3.0},
        **{"mlp_layer_types": ["dense", "sparse", "sparse", "sparse"], "swiglu_limits": [0.0, 0.0, 0.1, 0.0]},
    },
    "bailing_hybrid": {
        **{key: value for key, value in DEEPSEEK.items() if key not in ("n_routed_experts", "n_shared_experts")},
        **{"model_type": "bailing_hybrid", "num_experts": 8, "layer_group_size": 2, "head_dim": 8},
    },
    "minicpm3": {
        **SIZES,
        **{"model_type": "minicpm3", "q_lora_rank": 12, "kv_lora_rank": 16, "qk_nope_head_dim": 8},
        **{"qk_rope_head_dim": 4, "scale_emb": 3, "scale_depth": 1.4, "dim_model_base": 16},
    },
    "mpt": {"model_type": "mpt", "d_model": 32, "n_heads": 4, "n_layers": 2, "vocab_size": 50, "max_seq_len": 64},
    "deepseek_v3": DEEPSEEK,
    "deepseek_v32": {**INDEXED, "model_type": "deepseek_v32"},
    "glm_moe_dsa": {**INDEXED, "model_type": "glm_moe_dsa", "indexer_types": ["full", "shared"] * 2},
    "glm_moe_dsa, wide": {**INDEXED, "model_type": "glm_moe_dsa", "index_topk": 20},
    "mamba": {"model_type": "mamba", "hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 50, "state_size": 4},
    "falcon_mamba": {
        **{"model_type": "falcon_mamba", "hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 50},
        "state_size": 4,
    },
    "mamba2": {
        **{"model_type": "mamba2", "hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 50, "state_size": 4},
        **{"num_heads": 8, "head_dim": 8, "n_groups": 2},
    },
    "jamba": {
        **SIZES,
        **{"model_type": "jamba", "num_experts": 4, "num_experts_per_tok": 2, "attn_layer_period": 2},
        **{"attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1, "mamba_d_state": 4},
    },
    "nemotron_h": {
        **SIZES,
        **{"model_type": "nemotron_h", "mamba_num_heads": 8, "mamba_head_dim": 8, "ssm_state_size": 4, "n_groups": 2},
        **{"head_dim": 8, "hybrid_override_pattern": "M-*-"},
    },
    "nemotron_h, experts": {
        **SIZES,
        **{"model_type": "nemotron_h", "mamba_num_heads": 8, "mamba_head_dim": 8, "ssm_state_size": 4, "n_groups": 2},
        **{"head_dim": 8, "hybrid_override_pattern": "ME*E", "n_routed_experts": 4, "num_experts_per_tok": 2},
        **{"moe_intermediate_size": 12, "moe_shared_expert_intermediate_size": 20, "moe_latent_size": 10},
    },
    "falcon_h1": {
        **SIZES,
        **{"model_type": "falcon_h1", "mamba_n_heads": 6, "mamba_d_ssm": 48, "mamba_d_state": 4, "mamba_n_groups": 2},
        **{"key_multiplier": 0.5, "ssm_multipliers": [0.5, 2.0, 1.0, 1.5, 0.7], "mamba_rms_norm": True},
    },
    "lfm2": {**SIZES, "model_type": "lfm2", "layer_types": ["conv", "full_attention"] * 2, "conv_bias": True},
    "kimi_linear": {
        **{key: value for key, value in DEEPSEEK.items() if key not in ("n_group", "topk_group")},
        **{"model_type": "kimi_linear", "linear_attn_config": KIMI_STATES, "num_experts": 8},
        **{"num_experts_per_token": 2, "num_shared_experts": 1},
    },
    "granitemoehybrid": {
        **SIZES,
        **{"model_type": "granitemoehybrid", "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 4},
        **{"num_local_experts": 4, "num_experts_per_tok": 2, "shared_intermediate_size": 16},
        **{"layer_types": ["mamba", "attention"] * 2, "attention_multiplier": 0.2, "residual_multiplier": 0.5},
    },
    "qwen3_next": {
        **SIZES,
        **EXPERTS,
        **{"model_type": "qwen3_next", "head_dim": 8, "full_attention_interval": 2, "linear_num_key_heads": 2},
        **{"linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 6},
        **{"shared_expert_intermediate_size": 16, "partial_rotary_factor": 0.5},
    },
    "minimax_text_01": {
        **SIZES,
        **{"model_type": "minimax_text_01", "head_dim": 8, "rotary_dim": 4, "attn_type_list": [0, 0, 0, 1]},
        **{"num_local_experts": 4, "num_experts_per_tok": 2, "layernorm_mlp_alpha": 1.5},
    },
    "nemotron-nas": {
        **{**SIZES, "intermediate_size": None, "num_key_value_heads": None, "model_type": "nemotron-nas"},
        "block_configs": [
            {"attention": {"n_heads_in_group": 2, "no_op": False}, "ffn": {"ffn_mult": 5.25, "no_op": False}},
            {"attention": {"n_heads_in_group": None, "no_op": True}, "ffn": {"ffn_mult": 0.5, "no_op": False}},
            {"attention": {"n_heads_in_group": 4, "no_op": False}, "ffn": {"ffn_mult": None, "no_op": True}},
            {"attention": {"n_heads_in_group": 2, "no_op": False}, "ffn": {"ffn_mult": 1.0, "no_op": False}},
        ],
    },
    "exaone4": {**SIZES, "model_type": "exaone4", "sliding_window": 4, "sliding_window_pattern": 4},
    "granite": {
        **SIZES,
        **{"model_type": "granite", "attention_multiplier": 0.2, "residual_multiplier": 0.5, "logits_scaling": 4.0},
    },
    "t5": {
        **{"model_type": "t5", "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4},
        **{"vocab_size": 50, "relative_attention_num_buckets": 8, "relative_attention_max_distance": 10},
    },
    "bart": {"model_type": "bart", "d_model": 32, "vocab_size": 50, "max_position_embeddings": 64, **SIDES},
    "whisper": {
        **{"model_type": "whisper", "d_model": 32, "vocab_size": 50, "max_source_positions": 6},
        **{"max_target_positions": 64, "num_mel_bins": 5},
        **SIDES,
    },
}
TOKENS, PROMPT = 9, 6


@pytest.mark.parametrize("rest", ["decode", "chunk"])
@pytest.mark.parametrize("name", MODELS)
def test_behind_a_cache_tokens_mean_what_they_mean_in_a_prompt(name: str, rest: str) -> None:
    architecture = read(MODELS[name])
    random = np.random.default_rng(1)
    tokens = random.integers(0, 50, (2, TOKENS))
    given, sizes = {}, {}
    if architecture.has_source:
        given["source"], sizes = random.standard_normal((2, 6, 32)).astype(np.float32), {"source": 6}
    want, _ = run(architecture, {**given, "tokens": tokens}, "prefill", batch=2, seq=TOKENS, **sizes)
    prompt = TOKENS - 1 if rest == "decode" else PROMPT
    first, _ = run(architecture, {**given, "tokens": tokens[:, :prompt]}, "prefill", batch=2, seq=prompt, **sizes)
    state = windowed(as_inputs(first, architecture), MODELS[name])
    more = {"seq": TOKENS - prompt} if rest == "chunk" else {}
    got, _ = run(architecture, {**state, "tokens": tokens[:, prompt:]}, rest, batch=2, context=TOKENS, **more, **sizes)
    np.testing.assert_allclose(got["logits"], want["logits"], rtol=2e-3, atol=2e-4)


def windowed(state: dict[str, np.ndarray], config: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A layer with a window keeps no more than that sees: its last tokens."""
    window = config.get("sliding_window", 0)
    found = dict(state)
    if window:
        architecture = read(config)
        for name in state:
            number = int(name.split(".")[1].split("-")[0])
            mixer = architecture.stack.layers[number].mixer
            if getattr(mixer, "window", 0):
                # layers that are built once have their number in front
                axis = 2 if "-" in name.split(".")[1] else 1
                found[name] = state[name].take(
                    range(max(state[name].shape[axis] - window + 1, 0), state[name].shape[axis]), axis
                )
    return found
