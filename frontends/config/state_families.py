"""Decoders some or all of whose layers keep a state in place of a cache: a row each.

Values are the defaults of the classes in Hugging Face transformers; see ``families.py``.
"""

from __future__ import annotations

from dataclasses import replace

from ircost.frontends.config.expert_families import QWEN
from ircost.frontends.config.family import Family, Routing, States

_QWEN_NEXT = Family(
    qkv_bias="attention_bias",
    out_bias="attention_bias",
    head_norm=True,
    head_width=256,
    rotary_share=0.25,
    is_gated_output=True,
    states=States("delta net", "interval"),
    needed=("num_key_value_heads",),
)
_QWEN_EXPERTS = replace(
    QWEN, is_usually_normalised=True, shared_inner="shared_expert_intermediate_size", is_shared_gated=True
)

_LFM2 = Family(
    head_norm=True,
    epsilon=1e-5,
    rotary_base=1e6,
    is_tied=True,
    states=States("short convolution", "listed"),
    needed=("num_key_value_heads",),
)

STATES: dict[str, Family] = {
    "qwen3_next": replace(_QWEN_NEXT, experts=_QWEN_EXPERTS),
    "qwen3_5_text": _QWEN_NEXT,
    "qwen3_5_moe_text": replace(
        _QWEN_NEXT,
        experts=replace(_QWEN_EXPERTS, is_normalised=True, step="", dense_layers=""),
        needed=("num_key_value_heads", "num_experts_per_tok", "moe_intermediate_size"),
    ),
    "minimax_text_01": Family(
        placement="normed",
        states=States("lightning", "listed"),
        experts=Routing(count="num_local_experts", inner="intermediate_size"),
        needed=("num_key_value_heads",),
        epsilon=1e-05,
        rotary_base=1000000.0,
    ),
    "jamba": Family(
        rotary="",
        states=States("jamba mamba", "period"),
        experts=Routing(
            count="num_experts",
            inner="intermediate_size",
            is_normalised=False,
            step="expert_layer_period",
            offset="expert_layer_offset",
        ),
        needed=(
            "num_key_value_heads",
            "attn_layer_period",
            "attn_layer_offset",
            "expert_layer_period",
            "expert_layer_offset",
        ),
    ),
    "bamba": Family(
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        mlp_bias="mlp_bias",
        epsilon=1e-5,
        rotary_share=0.5,
        states=States("hybrid mamba2", "indices"),
        needed=("num_key_value_heads", "mamba_n_heads"),
    ),
    "granitemoehybrid": Family(
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        rotary_key="position_embedding_type",
        states=States("hybrid mamba2", "listed"),
        experts=Routing(
            count="num_local_experts",
            inner="intermediate_size",
            router="softmax of chosen",
            shared_inner="shared_intermediate_size",
        ),
        dense_inner="shared_intermediate_size",
        needed=("attention_multiplier", "shared_intermediate_size", "mamba_n_heads"),
    ),
    "nemotron_h": Family(
        activation="relu2",
        is_gated=False,
        mlp_bias="mlp_bias",
        epsilon=1e-5,
        rotary="",
        head_width=128,
        states=States("nemotron mamba2", "pattern"),
        experts=Routing(
            count="n_routed_experts",
            router="sigmoid",
            is_normalised="norm_topk_prob",
            shared_inner="moe_shared_expert_intermediate_size",
            groups=("n_group", "topk_group"),
            latent="moe_latent_size",
        ),
        needed=("num_key_value_heads", "mamba_num_heads"),
    ),
    "falcon_h1": Family(
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        mlp_bias="mlp_bias",
        epsilon=1e-5,
        states=States("falcon mamba2", "beside"),
        needed=("num_key_value_heads", "mamba_n_heads", "mamba_d_ssm"),
    ),
    "kimi_linear": Family(
        has_latent=True,
        qkv_bias="attention_bias",
        rotary="",
        states=States("kimi delta", "listed"),
        experts=Routing(
            count="num_experts",
            chosen="num_experts_per_token",
            usual_factor=2.446,
            router="sigmoid",
            is_normalised="moe_renormalize|norm_topk_prob",
            shared_count="num_shared_experts|n_shared_experts",
            first="first_k_dense_replace",
            step="moe_layer_freq",
            dense_before=1,
            listed="mlp_layer_types",
            groups=("num_expert_group|n_group", "topk_group"),
        ),
        needed=("moe_intermediate_size", "kv_lora_rank", "qk_nope_head_dim"),
        epsilon=1e-5,
    ),
    "bailing_hybrid": Family(
        has_latent=True,
        qkv_bias="attention_bias",
        rotary="interleaved",
        rotary_base=6000000.0,
        is_gated_output=True,
        states=States("bailing delta", "interval", "layer_group_size"),
        experts=Routing(
            count="num_experts",
            chosen="num_experts_per_tok",
            router="sigmoid",
            is_normalised="moe_renormalize|norm_topk_prob",
            shared_count="num_shared_experts|n_shared_experts",
            shared_usual=1,
            first="first_k_dense_replace",
            dense_before=2,
            listed="mlp_layer_types",
            groups=("num_expert_group|n_group", "topk_group"),
        ),
        needed=("moe_intermediate_size", "kv_lora_rank", "topk_group", "routed_scaling_factor", "layer_group_size"),
    ),
    "lfm2": _LFM2,
    "lfm2_moe": replace(
        _LFM2,
        experts=Routing(
            count="num_experts",
            router="sigmoid",
            is_normalised="norm_topk_prob",
            first="num_dense_layers",
            dense_before=2,
        ),
        needed=("num_key_value_heads", "num_experts_per_tok", "moe_intermediate_size", "intermediate_size"),
    ),
    "mamba": Family(rotary="", states=States("mamba"), has_feed_forward=False, is_tied=True, epsilon=1e-05),
    "falcon_mamba": Family(
        rotary="", states=States("falcon mamba"), has_feed_forward=False, is_tied=True, epsilon=1e-05
    ),
    "mamba2": Family(rotary="", states=States("mamba2"), has_feed_forward=False, epsilon=1e-05),
}
