"""Decoders whose weights have the usual names, against transformers with the same weights.

A prompt, then one token behind its cache. Skipped without torch and transformers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from reference_models import CENTRED, CLASSES, TEXTS, joined, logits_of, reference, run, with_head
from tiny_transformers import Arrays, as_inputs, read

pytest.importorskip("torch", reason="needs pip install 'ircost[torch]'")

RTOL, ATOL = 1e-4, 5e-5
PROMPT = 8
SIZES: dict[str, Any] = {
    **{"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8},
    **{"intermediate_size": 24, "vocab_size": 50, "max_position_embeddings": 64, "pad_token_id": 0},
}
# Our names of what a layer holds -> theirs; several are one matrix here.
USUAL: dict[str, tuple[str, ...]] = {
    "attention_norm": ("input_layernorm",),
    "mlp_norm": ("post_attention_layernorm",),
    "attention.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attention.down": ("self_attn.q_a_proj", "self_attn.kv_a_proj_with_mqa"),
    "attention.query_norm": ("self_attn.q_a_layernorm",),
    "attention.query": ("self_attn.q_b_proj",),
    "attention.latent_norm": ("self_attn.kv_a_layernorm",),
    "attention.up": ("self_attn.kv_b_proj",),
    "attention.out": ("self_attn.o_proj",),
    "attention.q_norm": ("self_attn.q_norm",),
    "attention.k_norm": ("self_attn.k_norm",),
    "mlp.gate_up": ("mlp.gate_proj", "mlp.up_proj"),
    "mlp.down": ("mlp.down_proj",),
    "experts.router.gate": ("mlp.gate",),
    "experts.shared.gate_up": ("mlp.shared_experts.gate_proj", "mlp.shared_experts.up_proj"),
    "experts.shared.down": ("mlp.shared_experts.down_proj",),
}
# Those that have a name without a kind behind it.
BARE = {
    "experts.gate_up": "mlp.experts.gate_up_proj",
    "experts.down": "mlp.experts.down_proj",
    "experts.router.bias": "mlp.gate.e_score_correction_bias",
}
HUNYUAN = {"attention.q_norm": ("self_attn.query_layernorm",), "attention.k_norm": ("self_attn.key_layernorm",)}
TWO_OF_EIGHT = {"num_experts": 8, "num_experts_per_tok": 2}
LATENT = {
    **{"num_key_value_heads": 4, "q_lora_rank": 12, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4},
    "v_head_dim": 8,
}
# Queries grow within the prompt; angles do not, since how those of long contexts are scaled is not read.
GROWING = {
    **{
        "rope_type": "yarn",
        "factor": 1.0,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "rope_theta": 1e4,
        "llama_4_scaling_beta": 0.5,
    },
    "original_max_position_embeddings": 4,
}
SECTIONS = {"rope_type": "default", "rope_theta": 1e4}
HALF = {"rope_type": "default", "rope_theta": 1e6, "partial_rotary_factor": 0.5}
LING: dict[str, tuple[str, ...] | str] = {
    **{
        "attention.gate": ("self_attn.g_proj",),
        "mixer.qkv": USUAL["attention.qkv"],
        "mixer.out": ("self_attn.o_proj",),
    },
    **{"mixer.forget": ("self_attn.forget_gate.f_proj",), "mixer.gate": ("self_attn.g_proj",)},
    **{"mixer.beta": ("self_attn.b_proj",), "mixer.norm": ("self_attn.o_norm",)},
    **{"mixer.step_bias": "self_attn.forget_gate.dt_bias"},
}
TWO_LOCAL = {"num_local_experts": 8, "num_experts_per_tok": 2}
FACTOR = {"routed_scaling_factor": 2.5}

GLM = {
    **{"n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 12, "n_shared_experts": 1},
    "first_k_dense_replace": 1,
}
DEEPSEEK = {**LATENT, **GLM, "head_dim": 4, "n_group": 1, "topk_group": 1, "rope_parameters": SECTIONS}
BEHIND = {
    "attention_norm_behind": ("post_attention_layernorm",),
    "mlp_norm_behind": ("post_feedforward_layernorm",),
}
GLM_4 = {"attention_norm_behind": ("post_self_attn_layernorm",), "mlp_norm_behind": ("post_mlp_layernorm",)}
QWEN = {
    "experts.shared.gate_up": ("mlp.shared_expert.gate_proj", "mlp.shared_expert.up_proj"),
    "experts.shared.down": ("mlp.shared_expert.down_proj",),
    "experts.shared_gate": ("mlp.shared_expert_gate",),
}

MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 4, "mamba_n_groups": 2}
FED = {
    **{"mlp.gate_up": ("feed_forward.gate_proj", "feed_forward.up_proj"), "mlp.down": ("feed_forward.down_proj",)},
    "mlp_norm": ("pre_ff_layernorm",),
}
GRANITE: dict[str, tuple[str, ...] | str] = {
    **{"experts.router.gate": ("block_sparse_moe.router",), "experts.shared.down": ("shared_mlp.output_linear",)},
    "experts.shared.gate_up": ("shared_mlp.input_linear",),
    **{f"experts.{ours}": f"block_sparse_moe.experts.{ours}_proj" for ours in ("gate_up", "down")},
}

# Sizes beside SIZES, and names beside USUAL and BARE, by family.
DECODERS: dict[str, tuple[Mapping[str, Any], Mapping[str, tuple[str, ...] | str]]] = {
    "arcee": ({}, {"mlp.up": ("mlp.up_proj",)}),
    "bamba": ({**MAMBA, "attn_layer_indices": [1], "rope_parameters": HALF}, FED),
    "granitemoe": ({**TWO_LOCAL, "attention_multiplier": 0.2, "residual_multiplier": 0.5}, GRANITE),
    "granitemoeshared": ({**TWO_LOCAL, "attention_multiplier": 0.2, "shared_intermediate_size": 20}, GRANITE),
    "granitemoehybrid": (
        {
            **{**MAMBA, **TWO_LOCAL, "attention_multiplier": 0.2, "shared_intermediate_size": 20},
            **{"layer_types": ["linear_attention", "full_attention"] * 2, "position_embedding_type": "rope"},
        },
        GRANITE,
    ),
    "jamba": (
        {
            **{**TWO_OF_EIGHT, "attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2},
            **{"expert_layer_offset": 1, "mamba_d_state": 4, "mamba_dt_rank": 3, "use_mamba_kernels": False},
        },
        {
            **{**FED, "experts.router.gate": ("feed_forward.router",)},
            **{
                "experts.gate_up": "feed_forward.experts.gate_up_proj",
                "experts.down": "feed_forward.experts.down_proj",
            },
        },
    ),
    "gpt_oss": (
        {**TWO_LOCAL, "sliding_window": 32, "rope_parameters": SECTIONS},
        {
            **{"experts.router.gate.weight": "mlp.router.weight", "experts.router.bias": "mlp.router.bias"},
            **{"attention.sinks": "self_attn.sinks", "experts.gate_up_bias": "mlp.experts.gate_up_proj_bias"},
            "experts.down_bias": "mlp.experts.down_proj_bias",
        },
    ),
    "phi3": ({}, {"attention.qkv": ("self_attn.qkv_proj",), "mlp.gate_up": ("mlp.gate_up_proj",)}),
    "olmo": ({}, {}),
    "cohere": ({"tie_word_embeddings": False, "use_qk_norm": True}, {}),
    "cohere2": ({"tie_word_embeddings": False, "sliding_window": 32}, {}),
    "deepseek_v2": ({**DEEPSEEK, "routed_scaling_factor": 2.0}, {}),
    "deepseek_v3": (DEEPSEEK, {}),
    "dots1": (GLM, {}),
    "ernie4_5": ({"tie_word_embeddings": False}, {}),
    "exaone4": ({"sliding_window": 32}, BEHIND),
    "gemma": ({}, {}),
    "gemma2": ({"sliding_window": 32}, {**BEHIND, "mlp_norm": ("pre_feedforward_layernorm",)}),
    "gemma3_text": ({"sliding_window": 32}, {**BEHIND, "mlp_norm": ("pre_feedforward_layernorm",)}),
    "glm": ({}, {"mlp.gate_up": ("mlp.gate_up_proj",)}),
    "glm4": ({}, {**GLM_4, "mlp.gate_up": ("mlp.gate_up_proj",)}),
    "glm4_moe": ({**GLM, "use_qk_norm": True}, {}),
    "glm4_moe_lite": (DEEPSEEK, {}),
    "granite": (
        {
            **{"attention_multiplier": 0.2, "residual_multiplier": 0.5, "embedding_multiplier": 2.0},
            "logits_scaling": 3.0,
        },
        {},
    ),
    "helium": ({}, {}),
    "internlm3": ({}, {}),
    "ministral": ({"sliding_window": 32}, {}),
    "nemotron": ({}, {"mlp.up": ("mlp.up_proj",)}),
    "olmo2": ({}, BEHIND),
    "olmo3": ({"sliding_window": 32}, BEHIND),
    "olmoe": (TWO_OF_EIGHT, {}),
    "qwen2_moe": ({**TWO_OF_EIGHT, "moe_intermediate_size": 12, "shared_expert_intermediate_size": 20}, QWEN),
    "qwen3_moe": ({**TWO_OF_EIGHT, "moe_intermediate_size": 12}, {}),
    "seed_oss": ({}, {}),
    "smollm3": ({"tie_word_embeddings": False}, {}),
    "starcoder2": ({"tie_word_embeddings": False}, {"mlp.up": ("mlp.c_fc",), "mlp.down": ("mlp.c_proj",)}),
    "vaultgemma": ({"sliding_window": 32}, {"mlp_norm": ("pre_feedforward_layernorm",)}),
    "hunyuan_v1_dense": ({}, HUNYUAN),
    "apertus": (
        {"rope_parameters": {"rope_type": "default", "rope_theta": 12e6}},
        {
            "attention_norm": ("attention_layernorm",),
            "mlp_norm": ("feedforward_layernorm",),
            "mlp.up": ("mlp.up_proj",),
        },
    ),
    "mimo_v2_flash": (
        {
            **{"n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 12, "head_dim": 12},
            **{"v_head_dim": 8, "attention_value_scale": 0.7, "sliding_window": 32},
            "layer_types": ["full_attention", "sliding_attention", "sliding_attention", "full_attention"],
        },
        {"attention.sinks": "self_attn.sinks"},
    ),
    "mistral4": (
        {
            **{**LATENT, "qk_nope_head_dim": 4, "n_routed_experts": 8, "num_experts_per_tok": 2},
            **{"moe_intermediate_size": 12, "n_shared_experts": 1, "first_k_dense_replace": 1},
            "rope_parameters": GROWING,
        },
        {},
    ),
    "glm4v_text": (
        {"rope_parameters": {**SECTIONS, "mrope_section": [2, 1, 1]}},
        {
            **GLM_4,
            "mlp.gate_up": ("mlp.gate_up_proj",),
        },
    ),
    "glm4v_moe_text": (
        {
            **{"n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 12, "n_shared_experts": 1},
            "rope_parameters": {**SECTIONS, "partial_rotary_factor": 0.5, "mrope_section": [1, 1]},
        },
        {},
    ),
    "bailing_hybrid": (
        {
            **{**LATENT, "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 12, "n_group": 4},
            **{"num_shared_experts": 1, "topk_group": 2, "routed_scaling_factor": 2.5, "first_k_dense_replace": 1},
            **{"layer_group_size": 2, "rope_parameters": SECTIONS},
        },
        LING,
    ),
    "step3p5": (
        {
            **{"n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 12, "share_expert_dim": 20},
            **{"layer_types": ["full_attention", "sliding_attention"] * 2, "num_sliding_attention_heads": 6},
            **{"mlp_layer_types": ["dense", "dense", "sparse", "sparse"], "moe_router_scaling_factor": 3.0},
            **{"swiglu_limits": [0.0, 0.0, 0.1, None], "swiglu_limits_shared": [None, 0.2, 0.0, 0.1]},
            **{"sliding_window": 32, "rope_parameters": {"full_attention": HALF, "sliding_attention": SECTIONS}},
        },
        {"attention.gate": ("self_attn.g_proj",)},
    ),
    "minimax": (
        {
            **{**TWO_LOCAL, "layer_types": ["linear_attention", "full_attention"] * 2, "full_attn_alpha_factor": 0.8},
            **{"linear_attn_beta_factor": 1.2, "mlp_alpha_factor": 0.9, "rope_parameters": SECTIONS},
        },
        {
            **{"mixer.out": ("self_attn.out_proj",), "mixer.norm": ("self_attn.norm",)},
            "mixer.gate": ("self_attn.output_gate",),
        },
    ),
    "youtu": ({**LATENT, "head_dim": 4, "tie_word_embeddings": False, "rope_parameters": SECTIONS}, {}),
    "jais2": ({}, {"mlp.up": ("mlp.up_proj",)}),
    "cwm": (
        {
            **{"layer_types": ["full_attention", "sliding_attention"] * 2, "sliding_window": 32},
            "rope_parameters": SECTIONS,
        },
        {},
    ),
    "sarvam_moe": (
        {
            **{"n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 12},
            **{"routed_scaling_factor": 2.5, "use_qk_norm": True},
        },
        {},
    ),
    "minicpm3": ({**LATENT, "scale_emb": 3, "scale_depth": 0.7, "dim_model_base": 16}, {}),
    "hunyuan_v1_moe": (
        {"num_experts": 8, "moe_topk": 2},
        {
            **{
                **HUNYUAN,
                "experts.router.gate": ("mlp.gate.wg",),
                "experts.shared.down": ("mlp.shared_mlp.down_proj",),
            },
            "experts.shared.gate_up": ("mlp.shared_mlp.gate_proj", "mlp.shared_mlp.up_proj"),
        },
    ),
    "exaone_moe": ({**TWO_OF_EIGHT, "moe_intermediate_size": 12, "sliding_window": 32, **FACTOR}, {}),
    "exaone_moe, groups": ({**TWO_OF_EIGHT, "moe_intermediate_size": 12, "n_group": 4, "topk_group": 2, **FACTOR}, {}),
    "hy_v3": (
        {**TWO_OF_EIGHT, "moe_intermediate_size": 12, "router_scaling_factor": 2.8},
        {"experts.router.bias": "mlp.e_score_correction_bias"},
    ),
    "afmoe": (
        {**TWO_OF_EIGHT, "moe_intermediate_size": 12, "mup_enabled": True, "route_scale": 2.0, "sliding_window": 32},
        {
            **{"attention_norm_behind": ("post_attention_layernorm",), "mlp_norm": ("pre_mlp_layernorm",)},
            **{"mlp_norm_behind": ("post_mlp_layernorm",), "attention.gate": ("self_attn.gate_proj",)},
            **{"experts.router.gate": ("mlp.router.gate",), "experts.router.bias": "mlp.expert_bias"},
        },
    ),
    "solar_open": ({"n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 12}, {}),
}


def weights_of(state: Arrays, layers: int, names: Mapping[str, tuple[str, ...] | str]) -> Iterator[tuple[str, Any]]:
    """Those that a model has; what it lacks is left out."""
    yield "embedding.tokens", state["model.embed_tokens.weight"]
    known = {name.replace("final_layernorm", "norm"): value for name, value in state.items()}
    for ours, theirs in {"norm": "model.norm", "head": "lm_head"}.items():
        for kind in (".weight", ".bias"):
            if f"{theirs}{kind}" in known:
                yield f"{ours}{kind}", known[f"{theirs}{kind}"]
    for i in range(layers):
        theirs, ours = f"model.layers.{i}", f"layers.{i}"
        for name, others in {**USUAL, **BARE, **names}.items():
            yield from _named(state, theirs, others, f"{ours}.{name}")
        yield from _state_space(state, f"{theirs}.mamba", f"{ours}.mixer")
        yield from _linear_attention(state, f"{theirs}.self_attn", f"{ours}.mixer")
        yield from _learnt_activation(state, f"{theirs}.mlp.act_fn", f"{ours}.mlp.activation")


def _named(state: Arrays, theirs: str, parts: tuple[str, ...] | str, ours: str) -> Iterator[tuple[str, Any]]:
    """Under one of their names, or joined of several; experts with biases are stored the other way round (gpt-oss)."""
    for kind in ("",) if isinstance(parts, str) else (".weight", ".bias"):
        each = (parts,) if isinstance(parts, str) else parts
        full = [name for part in each if (name := f"{theirs}.{part}{kind}") in state]
        if full:
            value = joined(state, full)
            is_turned = value.ndim == 3 and f"{full[0]}_bias" in state
            yield f"{ours}{kind}", value.swapaxes(1, 2) if is_turned else value


def _linear_attention(state: Arrays, theirs: str, ours: str) -> Iterator[tuple[str, Any]]:
    """Of Ling 3.0, and of MiniMax-01, whose queries, keys and values come head by head."""
    if f"{theirs}.forget_gate.A_log" in state:
        yield f"{ours}.a", -np.exp(state[f"{theirs}.forget_gate.A_log"].reshape(-1))
        yield f"{ours}.conv", state[f"{theirs}.conv1d.weight"][:, 0]
    if f"{theirs}.output_gate.weight" in state:
        heads = state[f"{theirs}.qkv_proj.weight"].reshape(SIZES["num_attention_heads"], 3, SIZES["head_dim"], -1)
        yield f"{ours}.qkv.weight", heads.swapaxes(0, 1).reshape(-1, heads.shape[-1])


def _learnt_activation(state: Arrays, theirs: str, ours: str) -> Iterator[tuple[str, Any]]:
    for name, sign, least in (("above", "p", 0.0), ("below", "n", 0.5)):
        if f"{theirs}.alpha_{sign}" in state:
            yield f"{ours}.{name}", least + np.log1p(np.exp(state[f"{theirs}.alpha_{sign}"]))


def _state_space(state: Arrays, theirs: str, ours: str) -> Iterator[tuple[str, Any]]:
    if f"{theirs}.A_log" not in state:
        return
    yield f"{ours}.a", -np.exp(state[f"{theirs}.A_log"])
    yield f"{ours}.conv", state[f"{theirs}.conv1d.weight"][:, 0]
    names = {"skip": "D", "conv_bias": "conv1d.bias", "in.weight": "in_proj.weight", "out.weight": "out_proj.weight"}
    names |= {"norm.weight": "norm.weight", "steps.weight": "x_proj.weight", "step.weight": "dt_proj.weight"}
    names |= {"step_norm.weight": "dt_layernorm.weight"} | {f"{x}_norm.weight": f"{x}_layernorm.weight" for x in "bc"}
    names |= {"step_bias": "dt_bias" if f"{theirs}.dt_bias" in state else "dt_proj.bias"}
    yield from (
        (f"{ours}.{name}", state[f"{theirs}.{other}"]) for name, other in names.items() if f"{theirs}.{other}" in state
    )


@pytest.mark.parametrize("name", DECODERS)
def test_a_prompt_and_a_token_behind_its_cache(name: str) -> None:
    sizes, names = DECODERS[name]
    family = name.partition(",")[0]
    config = {**SIZES, **sizes, "model_type": family}
    model, state = reference(config, {**CLASSES, **TEXTS}.get(family, "AutoModelForCausalLM"))
    state = with_head(state) if family in TEXTS else state
    if family in CENTRED:
        state = {name: value + 1 if name.endswith("norm.weight") else value for name, value in state.items()}
    architecture = read(config)
    weights = dict(weights_of(state, len(architecture.stack.layers), names))
    tokens = np.random.default_rng(0).integers(1, 50, (2, PROMPT + 1))
    want = logits_of(model, state, tokens)
    first = run(architecture, weights, {"tokens": tokens[:, :PROMPT]}, "prefill", batch=2, seq=PROMPT)
    np.testing.assert_allclose(first["logits"][:, 0], want[:, PROMPT - 1], rtol=RTOL, atol=ATOL)
    past = as_inputs(first, architecture)
    then = run(architecture, weights, {**past, "tokens": tokens[:, PROMPT:]}, "decode", batch=2, context=PROMPT + 1)
    np.testing.assert_allclose(then["logits"][:, 0], want[:, PROMPT], rtol=RTOL, atol=ATOL)
