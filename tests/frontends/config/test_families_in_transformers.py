"""Weights of small models as the classes of transformers have them, for each flag that a family's row reads.

Each config is tried twice: as short as it can be, so that what is left out means what the class takes it for, and with
everything written out, so that no key of the class goes unknown. Skipped where transformers is not installed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from reference_models import CLASSES, TEXTS, of_class, weights_in

from ircost.frontends.config import architecture_of
from ircost.frontends.config.config_file import Config
from ircost.frontends.config.families import FAMILIES
from ircost.frontends.config.parameters import count_parameters

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SIZES = {
    **{"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2},
    **{"intermediate_size": 96, "vocab_size": 320, "max_position_embeddings": 128, "pad_token_id": 0},
}
BIASES = {"attention_bias": True, "mlp_bias": True}
ATTENTION_BIAS = {"attention_bias": True}
TWO_OF_FOUR = {"num_experts_per_tok": 2, "num_experts": 4}
TWO_OF_FOUR_LOCAL = {"num_experts_per_tok": 2, "num_local_experts": 4}
DEEPSEEK = {
    **{"q_lora_rank": 24, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8},
    **{"n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "n_shared_experts": 1},
    "first_k_dense_replace": 1,
}
QWEN_MOE = {**TWO_OF_FOUR, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 40}
DELTA = {
    **{"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8},
    "linear_value_head_dim": 12,
}
SHARED = {
    "layer_types": ["sliding_attention", "full_attention"] * 2,
    **{"num_kv_shared_layers": 2, "use_double_wide_mlp": True},
}
GEMMA_3N = {
    **{"head_dim": 16, "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 300, "laurel_rank": 6},
    **{"layer_types": SHARED["layer_types"], "activation_sparsity_pattern": [0.95, 0.5, 0.0, 0.0]},
}
GEMMA_4_KEYS = {"attention_k_eq_v": True, "num_global_key_value_heads": 1}
GEMMA_4 = {"head_dim": 16, "global_head_dim": 32, "hidden_size_per_layer_input": 0}
INDEXED = {**DEEPSEEK, "n_group": 2, "topk_group": 1, "index_topk": 3, "index_n_heads": 2, "index_head_dim": 12}
GLM_MOE = {key: value for key, value in DEEPSEEK.items() if "lora" not in key and "head" not in key}
ERNIE_MOE = {
    **{"moe_num_experts": 8, "moe_k": 2, "moe_intermediate_size": 24, "moe_num_shared_experts": 2},
    "moe_layer_start_index": 1,
}
HUNYUAN_MOE = {"num_experts": 8, "moe_topk": 2, "head_dim": 16}
NUMBERED = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "head_dim": 16}
TWO_OF_EIGHT_ROUTED = {"n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
MINICPM = {
    **{"q_lora_rank": 24, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "scale_emb": 3},
    **{"scale_depth": 1.4, "dim_model_base": 32},
}
MIMO = {
    **{**TWO_OF_EIGHT_ROUTED, "head_dim": 24, "v_head_dim": 12, "attention_value_scale": 0.7, "sliding_window": 32},
    "layer_types": ["full_attention", "sliding_attention"] * 2,
}
GROWING = {
    **{"rope_type": "default", "rope_theta": 1e4, "llama_4_scaling_beta": 0.1},
    "original_max_position_embeddings": 64,
}
LING = {
    **{"q_lora_rank": 24, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8},
    **{"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "n_group": 4, "topk_group": 2},
    **{"routed_scaling_factor": 2.5, "layer_group_size": 2, "head_dim": 16, "num_key_value_heads": 4},
}
STEP = {
    **{**TWO_OF_EIGHT_ROUTED, "share_expert_dim": 40, "head_dim": 16, "num_sliding_attention_heads": 6},
    **{"layer_types": ["full_attention", "sliding_attention"] * 2, "sliding_window": 32},
    **{"mlp_layer_types": ["dense", "sparse"] * 2, "moe_router_scaling_factor": 3.0},
}
YOUTU = {"q_lora_rank": 24, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8}
SARVAM = {
    **{key: value for key, value in DEEPSEEK.items() if key not in ("q_lora_rank", "first_k_dense_replace")},
    "routed_scaling_factor": 2.5,
}
OPT = {"word_embed_proj_dim": 64, "ffn_dim": 96}
JAMBA = {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1}
SIDES = {
    **{"encoder_layers": 2, "decoder_layers": 3, "encoder_ffn_dim": 48, "decoder_ffn_dim": 32},
    **{"encoder_attention_heads": 2, "decoder_attention_heads": 4},
}
HYBRID = {"mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 8}
LISTED = {"layer_types": ["linear_attention", "full_attention"] * 2}
NEMOTRON = {"mamba_num_heads": 8, "mamba_head_dim": 16, "ssm_state_size": 8, "n_groups": 2, "head_dim": 16}
NEMOTRON_MOE = {
    **{**NEMOTRON, "n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 24},
    **{
        "moe_shared_expert_intermediate_size": 40,
        "layers_block_type": ["linear_attention", "moe", "full_attention", "moe"],
    },
}
GRANITE = {"attention_multiplier": 0.1}
FALCON_H1 = {"mamba_n_heads": 8, "mamba_d_ssm": 96, "mamba_d_state": 8, "head_dim": 16}
KIMI = {
    **{"kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8, "moe_intermediate_size": 24},
    **{"num_experts": 8, "num_experts_per_token": 2, "num_shared_experts": 2, "linear_num_heads": 4},
    "linear_head_dim": 8,
}
KIMI_STATES = {"num_heads": 3, "head_dim": 10, "short_conv_kernel_size": 3}
CONVOLVED = {"layer_types": ["conv", "full_attention"] * 2}

# What is set beside SIZES, by family.
CASES: dict[str, tuple[Mapping[str, Any], ...]] = {
    "llama": ({}, ATTENTION_BIAS, {"mlp_bias": True}, {"tie_word_embeddings": True}, {"head_dim": 8}),
    "smollm3": ({}, BIASES),
    "mistral": ({}, {"head_dim": 8}),
    "ministral": ({"head_dim": 16},),
    "ministral3": ({"head_dim": 16},),
    "internlm3": ({**BIASES, "head_dim": 16}, {}),
    "qwen2": ({}, {"tie_word_embeddings": True}),
    "qwen3": ({}, ATTENTION_BIAS),
    "gemma": ({}, ATTENTION_BIAS),
    "gemma2": ({}, ATTENTION_BIAS),
    "gemma3_text": ({}, ATTENTION_BIAS),
    "gemma3n_text": (
        {**GEMMA_3N, "num_kv_shared_layers": 2},
        {**GEMMA_3N, "num_kv_shared_layers": 0, "intermediate_size": [80, 96, 64, 96], "altup_num_inputs": 3},
    ),
    "gemma4_text": (
        {**GEMMA_4, "num_global_key_value_heads": 1},
        {**GEMMA_4, "attention_k_eq_v": True, "num_global_key_value_heads": 1, "attention_bias": True},
        {**GEMMA_4, **TWO_OF_FOUR, "enable_moe_block": True, "top_k_experts": 2, "moe_intermediate_size": 24},
        {**GEMMA_4, **SHARED, "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 300},
    ),
    "gemma4_unified_text": (
        {"head_dim": 16, "global_head_dim": 32, "num_hidden_layers": 12},
        {**GEMMA_4_KEYS, "head_dim": 16, "global_head_dim": 32, "layer_types": SHARED["layer_types"]},
    ),
    "phi": ({}, {"qk_layernorm": True}),
    "phi3": ({}, {"tie_word_embeddings": True}),
    "gpt2": ({}, {"n_inner": 48}),
    "gpt_bigcode": ({}, {"multi_query": False}),
    "gpt_neox": ({}, {"attention_bias": False}, {"use_parallel_residual": False}, {"tie_word_embeddings": True}),
    "gptj": ({"rotary_dim": 8},),
    "opt": (
        OPT,
        {**OPT, "word_embed_proj_dim": 32, "do_layer_norm_before": False},
        {**OPT, "enable_bias": False},
        {**OPT, "layer_norm_elementwise_affine": False},
    ),
    "bloom": ({},),
    "falcon": (
        *({}, {"bias": True}, {"multi_query": False}, {"parallel_attn": False}, {"alibi": True}),
        {"new_decoder_architecture": True},
        {"new_decoder_architecture": True, "num_ln_in_parallel_attn": 1},
    ),
    "mpt": ({},),
    "starcoder2": ({}, {"use_bias": False}),
    "stablelm": ({}, {"use_qkv_bias": True, "qk_layernorm": True}, {"use_parallel_residual": True}),
    "cohere": ({}, {"use_qk_norm": True, "attention_bias": True}),
    "cohere2": ({}, ATTENTION_BIAS),
    "olmo": ({}, ATTENTION_BIAS),
    "olmo2": ({}, ATTENTION_BIAS),
    "olmo3": ({}, ATTENTION_BIAS),
    "exaone4": ({},),
    "granite": (GRANITE, {**GRANITE, **BIASES, "residual_multiplier": 0.2, "embedding_multiplier": 12.0}),
    "granitemoe": ({**GRANITE, **TWO_OF_FOUR_LOCAL},),
    "nemotron": ({}, BIASES),
    "arcee": ({}, BIASES),
    "persimmon": ({}, {"qk_layernorm": False}),
    "helium": ({"head_dim": 16}, {"head_dim": 16, **BIASES}),
    "ernie4_5": ({}, {"use_bias": True, "tie_word_embeddings": False}),
    "hunyuan_v1_dense": ({"head_dim": 16}, {"head_dim": 16, **ATTENTION_BIAS}),
    "seed_oss": ({}, {"attention_bias": False, "attention_out_bias": True, "mlp_bias": True}),
    "glm": ({}, {"attention_bias": False}),
    "glm4": ({}, {"attention_bias": False}),
    "glm4_moe": (GLM_MOE, {**GLM_MOE, "n_shared_experts": 2, "use_qk_norm": True, "attention_bias": True}),
    "glm4_moe_lite": (DEEPSEEK, {**DEEPSEEK, "mlp_layer_types": ["dense", "sparse"] * 2}),
    "dots1": ({**GLM_MOE, "head_dim": 16}, {**GLM_MOE, "head_dim": 16, **ATTENTION_BIAS}),
    "ernie4_5_moe": (
        ERNIE_MOE,
        {**ERNIE_MOE, "moe_layer_interval": 2, "moe_num_shared_experts": 0, "tie_word_embeddings": False},
        {**ERNIE_MOE, "moe_layer_end_index": 2, "use_bias": True, "tie_word_embeddings": False},
    ),
    "minimax_m2": ({**TWO_OF_FOUR_LOCAL, "head_dim": 16},),
    "hunyuan_v1_moe": (HUNYUAN_MOE, {**HUNYUAN_MOE, **ATTENTION_BIAS, "moe_topk": [3] * 4}),
    "exaone_moe": (
        {**NUMBERED, "routed_scaling_factor": 2.5},
        {**NUMBERED, "routed_scaling_factor": 2.5, "num_shared_experts": 2, "mlp_layer_types": ["dense", "sparse"] * 2},
    ),
    "hy_v3": (
        {**NUMBERED, "router_scaling_factor": 2.8},
        {**NUMBERED, "router_scaling_factor": 2.8, **ATTENTION_BIAS, "num_shared_experts": 2},
    ),
    "afmoe": (NUMBERED, {**NUMBERED, "num_shared_experts": 1, "num_dense_layers": 2, "mup_enabled": True}),
    "solar_open": (
        {**TWO_OF_EIGHT_ROUTED, "head_dim": 16},
        {**TWO_OF_EIGHT_ROUTED, "head_dim": 16, "n_shared_experts": 2, **ATTENTION_BIAS},
    ),
    "apertus": ({}, ATTENTION_BIAS, {"tie_word_embeddings": True}),
    "mimo_v2_flash": (MIMO, {**MIMO, **ATTENTION_BIAS, "mlp_layer_types": ["dense", "sparse"] * 2}),
    "mistral4": ({**DEEPSEEK, "rope_parameters": GROWING}, {**DEEPSEEK, **ATTENTION_BIAS, "rope_parameters": GROWING}),
    "glm4v_text": ({},),
    "glm4v_moe_text": (
        {**TWO_OF_EIGHT_ROUTED, "n_shared_experts": 1},
        {**TWO_OF_EIGHT_ROUTED, "n_shared_experts": 2, "attention_bias": False, "first_k_dense_replace": 2},
    ),
    "bailing_hybrid": (
        LING,
        {**LING, "q_lora_rank": None, "layer_types": ["linear_attention", "full_attention"] * 2, **ATTENTION_BIAS},
    ),
    "step3p5": (STEP, {**STEP, "mlp_layer_types": ["sparse"] * 4, **BIASES}),
    "youtu": (YOUTU, {**YOUTU, **ATTENTION_BIAS, "tie_word_embeddings": False}),
    "jais2": ({}, {"attention_bias": False, "mlp_bias": False, "tie_word_embeddings": True}),
    "cwm": ({"layer_types": ["full_attention", "sliding_attention"] * 2, "head_dim": 16},),
    "vaultgemma": ({}, {**ATTENTION_BIAS, "head_dim": 16}),
    "granitemoeshared": (
        {**GRANITE, **TWO_OF_FOUR_LOCAL, "shared_intermediate_size": 40},
        {**GRANITE, **TWO_OF_FOUR_LOCAL, "shared_intermediate_size": 0},
    ),
    "sarvam_moe": (
        {**TWO_OF_EIGHT_ROUTED, "routed_scaling_factor": 2.5, "head_dim": 16, "use_qk_norm": True},
        {**TWO_OF_EIGHT_ROUTED, "routed_scaling_factor": 2.5, "head_dim": 16, "use_qk_norm": False, **ATTENTION_BIAS},
    ),
    "sarvam_mla": (SARVAM, {**SARVAM, "first_k_dense_replace": 2, "n_shared_experts": 2}),
    "minicpm3": (MINICPM, {**MINICPM, "v_head_dim": 20, **ATTENTION_BIAS, "tie_word_embeddings": False}),
    "mixtral": (TWO_OF_FOUR_LOCAL,),
    "phimoe": (TWO_OF_FOUR_LOCAL, {**TWO_OF_FOUR_LOCAL, "attention_bias": True, "lm_head_bias": True}),
    "olmoe": (TWO_OF_FOUR, {**TWO_OF_FOUR, **ATTENTION_BIAS}),
    "qwen2_moe": (QWEN_MOE, {**QWEN_MOE, "decoder_sparse_step": 2, "mlp_only_layers": [1], "qkv_bias": False}),
    "qwen3_moe": (
        {**TWO_OF_FOUR, "moe_intermediate_size": 24},
        {**TWO_OF_FOUR, "moe_intermediate_size": 24, "attention_bias": True, "decoder_sparse_step": 2},
    ),
    "qwen3_next": (QWEN_MOE, {**QWEN_MOE, **DELTA, "attention_bias": True}),
    "qwen3_5_text": ({}, {**DELTA, "attention_bias": True}, {**LISTED, "tie_word_embeddings": True}),
    "qwen3_5_moe_text": (QWEN_MOE, {**QWEN_MOE, **DELTA, "attention_bias": True}),
    "jamba": (
        {**JAMBA, **TWO_OF_FOUR},
        {**JAMBA, "num_experts": 1, "num_experts_per_tok": 1},
        {**JAMBA, **TWO_OF_FOUR, "mamba_proj_bias": True, "mamba_conv_bias": False, "mamba_dt_rank": 6},
    ),
    "mamba": ({}, {"use_bias": True, "use_conv_bias": False, "time_step_rank": 6}, {"tie_word_embeddings": False}),
    "falcon_mamba": ({}, {"use_bias": True, "use_conv_bias": False}),
    "mamba2": (
        {"num_heads": 8, "head_dim": 16},
        {"num_heads": 8, "head_dim": 16, "n_groups": 2, "use_bias": True, "use_conv_bias": False},
    ),
    "bamba": (
        {**HYBRID, "attn_layer_indices": [1]},
        {**HYBRID, **BIASES, "attn_layer_indices": [0, 3], "mamba_n_groups": 2, "mamba_proj_bias": True},
    ),
    "nemotron_h": (
        {**NEMOTRON, "layers_block_type": ["linear_attention", "mlp", "full_attention", "mlp"]},
        {**NEMOTRON, "layers_block_type": ["linear_attention"] * 3 + ["mlp"], "use_bias": True, "mlp_bias": True},
        NEMOTRON_MOE,
        {**NEMOTRON_MOE, "moe_latent_size": 20, "n_group": 2},
    ),
    "falcon_h1": (
        FALCON_H1,
        {**FALCON_H1, "mamba_rms_norm": True, "mamba_n_groups": 2, "attention_bias": True, "mlp_bias": True},
        {**FALCON_H1, "mamba_proj_bias": True, "projectors_bias": True, "mamba_conv_bias": False},
    ),
    "kimi_linear": (
        {**KIMI, "layer_types": LISTED["layer_types"]},
        {**KIMI, "linear_attn_config": {**KIMI_STATES, "kda_layers": [1, 2, 3], "full_attn_layers": [4]}},
        {**KIMI, **LISTED, "linear_num_heads": 3, "q_lora_rank": 24, "mlp_layer_types": ["dense", "sparse"] * 2},
    ),
    "lfm2": (
        CONVOLVED,
        {**CONVOLVED, "conv_bias": True, "conv_L_cache": 4, "tie_word_embeddings": False},
        {"full_attn_idxs": [1], "block_auto_adjust_ff_dim": False},
    ),
    "lfm2_moe": (
        {**CONVOLVED, **TWO_OF_FOUR, "moe_intermediate_size": 24},
        {**CONVOLVED, **TWO_OF_FOUR, "moe_intermediate_size": 24, "num_dense_layers": 1, "norm_topk_prob": False},
    ),
    "granitemoehybrid": (
        {**HYBRID, **GRANITE, **LISTED, **TWO_OF_FOUR_LOCAL, "shared_intermediate_size": 40},
        {**HYBRID, **GRANITE, **LISTED, **ATTENTION_BIAS, "num_local_experts": 0, "shared_intermediate_size": 40},
    ),
    "deepseek_v2": (DEEPSEEK, {**DEEPSEEK, "q_lora_rank": None}, {**DEEPSEEK, **ATTENTION_BIAS}),
    "deepseek_v3": (
        {**DEEPSEEK, "n_group": 2, "topk_group": 1},
        {**DEEPSEEK, "n_group": 2, "topk_group": 1, "attention_bias": True, "q_lora_rank": None},
    ),
    "deepseek_v32": (INDEXED, {**INDEXED, **ATTENTION_BIAS}, {**INDEXED, "mlp_layer_types": ["dense", "sparse"] * 2}),
    "glm_moe_dsa": (
        INDEXED,
        {**INDEXED, "indexer_types": ["full", "shared", "full", "shared"]},
        {**INDEXED, "index_topk_freq": 2, "index_skip_topk_offset": 1},
    ),
    "gpt_oss": (TWO_OF_FOUR_LOCAL, {**TWO_OF_FOUR_LOCAL, "attention_bias": False}),
    "llama4_text": (
        {**TWO_OF_FOUR_LOCAL, "intermediate_size_mlp": 80},
        {**TWO_OF_FOUR_LOCAL, "intermediate_size_mlp": 80, "interleave_moe_layer_step": 2, "attention_bias": True},
    ),
    "bert": ({}, {"type_vocab_size": 3}),
    "roberta": ({},),
    "xlm-roberta": ({},),
    "distilbert": ({"hidden_dim": 96},),
    "modernbert": ({}, {**BIASES, "norm_bias": True, "classifier_bias": True, "decoder_bias": False}),
    "vit": ({"image_size": 32, "patch_size": 8}, {"image_size": 32, "patch_size": 8, "qkv_bias": False}),
    # transformers 5 ties heads of T5 whatever the config says
    "t5": (
        {"d_ff": 96, "d_kv": 16},
        {"d_ff": 96, "d_kv": 8, "feed_forward_proj": "gated-gelu", "num_decoder_layers": 2},
    ),
    "bart": (SIDES,),
    "whisper": ({**SIDES, "num_mel_bins": 8, "max_source_positions": 20, "max_target_positions": 30},),
}
# Families that transformers does not have, and towers, which are counted within their models.
NOT_THERE = {
    *(
        "bailing_moe",
        "bailing_moe_v2",
        "nemotron-nas",
        "internlm2",
        "baichuan",
        "deepseek",
        "minimax_text_01",
        "exaone",
        "orion",
        "xverse",
        "mimo",
    ),
    *("clip_text_model", "clip_vision_model", "siglip_text_model", "siglip_vision_model", "llama4_vision_model"),
}
# Which of its classes is built, where it is no language model.
HEADS = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "distilbert", "vit"), "AutoModel"),
    "modernbert": "AutoModelForMaskedLM",
    **dict.fromkeys(("t5", "bart"), "AutoModelForSeq2SeqLM"),
    "whisper": "AutoModelForSpeechSeq2Seq",
}


def cases() -> Iterator[Any]:
    for family, changes in CASES.items():
        for number, change in enumerate(changes):
            for is_short in (True, False):
                yield pytest.param(family, change, is_short, id=f"{family}-{number}-{'short' if is_short else 'whole'}")


def understood(family: str, change: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The class's config, and what was set under the names that its file has."""
    kind = type(transformers.AutoConfig.for_model(family))
    known = kind().to_dict()
    named = {kind.attribute_map.get(key, key): value for key, value in SIZES.items()}
    given = {key: value for key, value in named.items() if key in known} | dict(change)
    return transformers.AutoConfig.for_model(family, **given), given


def weights_of(config: Any, family: str) -> int:
    """Of a text without a head, with one."""
    with torch.device("meta"):
        model = of_class({**HEADS, **CLASSES, **TEXTS}.get(family, "AutoModelForCausalLM"), config)
    return weights_in(model) + (config.vocab_size * config.hidden_size if family in TEXTS else 0)


@pytest.mark.parametrize(("family", "change", "is_short"), list(cases()))
def test_weights_are_those_of_the_class(family: str, change: Mapping[str, Any], is_short: bool) -> None:
    theirs, given = understood(family, change)
    ours = {"model_type": family, **given} if is_short else json.loads(json.dumps(theirs.to_dict()))
    assert count_parameters(architecture_of(Config(ours, "config.json"), family)) == weights_of(theirs, family)


def test_every_family_is_tried() -> None:
    assert set(FAMILIES) == set(CASES) | NOT_THERE


EPSILONS = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps", "norm_epsilon")


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - NOT_THERE))
def test_numbers_that_are_left_out_are_those_of_the_class(family: str) -> None:
    known, row = transformers.AutoConfig.for_model(family).to_dict(), FAMILIES[family]
    found = [known[key] for key in EPSILONS if isinstance(known.get(key), float)]
    assert found in ([], [row.epsilon])
    turning = known.get("rope_parameters") or {}
    turning = turning.get("full_attention", turning)
    assert not row.rotary or turning.get("rope_theta", row.rotary_base) == row.rotary_base
    assert known.get("tie_word_embeddings", row.is_tied) == row.is_tied
    usual = {"final_logit_softcapping": row.logit_cap, "attn_logit_softcapping": row.score_cap}
    usual |= {"logit_scale": row.logit_factor, "query_pre_attn_scalar": row.score_scalar or row.head_width}
    assert {key: known[key] for key in usual if known.get(key)}.items() <= usual.items()
    if row.experts is not None:
        factor = known.get(row.experts.factor)
        assert factor in (None, row.experts.usual_factor) or row.experts.factor in row.needed
        keys = row.experts.is_normalised.split("|") if isinstance(row.experts.is_normalised, str) else []
        assert {known[key] for key in keys if key in known} <= {row.experts.is_usually_normalised}
