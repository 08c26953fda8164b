"""Decoders with mixtures of experts: a row each.

Values are the defaults of the classes in Hugging Face transformers; see ``families.py``.
"""

from __future__ import annotations

from dataclasses import replace

from ircost.frontends.config.decoder_families import HUNYUAN
from ircost.frontends.config.family import Family, Routing

QWEN = Routing(
    count="num_experts",
    is_normalised="norm_topk_prob",
    step="decoder_sparse_step",
    dense_layers="mlp_only_layers",
)
_DEEPSEEK = Routing(
    count="n_routed_experts",
    is_normalised="norm_topk_prob",
    router="scoring_func",
    shared_count="n_shared_experts",
    first="first_k_dense_replace",
    step="moe_layer_freq",
    groups=("n_group", "topk_group"),
)
_SIGMOIDS = replace(_DEEPSEEK, router="sigmoid", listed="mlp_layer_types")
_NUMBERED = replace(_SIGMOIDS, count="num_experts", shared_count="num_shared_experts")
_SCORED = replace(_DEEPSEEK, scoring="sigmoid", listed="mlp_layer_types")

_DEEPSEEK_V3 = Family(
    has_latent=True,
    qkv_bias="attention_bias",
    rotary="interleaved",
    experts=replace(_DEEPSEEK, scoring="sigmoid"),
)
_GLM_4 = Family(
    qkv_bias="attention_bias",
    head_norm="use_qk_norm",
    rotary_share=0.5,
    experts=_SIGMOIDS,
    needed=("num_key_value_heads",),
    epsilon=1e-05,
)
_BAILING_ROUTING = replace(_NUMBERED, router="score_function", is_normalised="norm_topk_prob", listed="", step="")
_BAILING = Family(
    qkv_bias="use_qkv_bias",
    head_norm="use_qk_norm",
    experts=_BAILING_ROUTING,
    needed=("num_key_value_heads", "num_experts_per_tok", "moe_intermediate_size", "num_shared_experts"),
)
_LATENT_SIZES = ("n_routed_experts", "num_experts_per_tok", "moe_intermediate_size", "n_shared_experts", "q_lora_rank")
_INDEXER_SIZES = ("index_topk", "index_n_heads", "index_head_dim")

EXPERTS: dict[str, Family] = {
    "mixtral": Family(
        epsilon=1e-5,
        rotary_base=1e6,
        window="all",
        experts=Routing(count="num_local_experts", inner="intermediate_size"),
        needed=("num_key_value_heads",),
    ),
    "phimoe": Family(
        norm="layer",
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        head_bias="lm_head_bias",
        window="all",
        experts=Routing(count="num_local_experts", inner="intermediate_size", is_normalised=False),
        needed=("num_key_value_heads",),
        epsilon=1e-05,
        rotary_base=1000000.0,
    ),
    "olmoe": Family(
        whole_norm=True,
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        experts=Routing(count="num_experts", inner="intermediate_size", is_normalised="norm_topk_prob"),
        epsilon=1e-05,
    ),
    "qwen2_moe": Family(
        qkv_bias="qkv_bias",
        window="flag",
        experts=replace(QWEN, shared_inner="shared_expert_intermediate_size", is_shared_gated=True),
        needed=("num_key_value_heads",),
    ),
    "qwen3_moe": Family(
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        head_norm=True,
        window="flag",
        experts=QWEN,
        needed=("num_key_value_heads",),
    ),
    "deepseek": Family(
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        experts=replace(_DEEPSEEK, router="softmax", groups=None),
    ),
    "deepseek_v2": Family(has_latent=True, qkv_bias="attention_bias", rotary="interleaved", experts=_DEEPSEEK),
    "deepseek_v3": _DEEPSEEK_V3,
    "deepseek_v32": replace(
        _DEEPSEEK_V3,
        indexer="half",
        experts=replace(_SCORED, dense_before=3),
        needed=(*_LATENT_SIZES, *_INDEXER_SIZES),
    ),
    "glm_moe_dsa": replace(
        _DEEPSEEK_V3,
        indexer="interleaved",
        experts=replace(_SCORED, dense_before=3),
        needed=(*_LATENT_SIZES, *_INDEXER_SIZES),
        epsilon=1e-05,
    ),
    "gpt_oss": Family(
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        head_width=64,
        window="alternate",
        has_sinks=True,
        experts=Routing(
            count="num_local_experts",
            inner="intermediate_size",
            router="softmax of chosen",
            has_router_bias=True,
            has_bias=True,
            is_interleaved=True,
        ),
        needed=("num_key_value_heads",),
        window_width=128,
        epsilon=1e-05,
        rotary_base=150000.0,
    ),
    "llama4_text": Family(
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        rotary="interleaved",
        head_width=128,
        head_norm="use_qk_norm",
        has_plain_norm=True,
        dense_inner="intermediate_size_mlp",
        experts=Routing(
            count="num_local_experts",
            inner="intermediate_size",
            router="sigmoid of chosen",
            is_normalised=False,
            shared_inner="intermediate_size",
            step="interleave_moe_layer_step",
        ),
        needed=("num_key_value_heads",),
        has_chunks=True,
        no_rope_interval=4,
        epsilon=1e-05,
        rotary_base=500000.0,
    ),
    "granitemoe": Family(
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        experts=Routing(count="num_local_experts", inner="intermediate_size", router="softmax of chosen"),
        needed=("attention_multiplier",),
    ),
    "glm4_moe": _GLM_4,
    "glm4v_moe_text": replace(
        _GLM_4,
        head_norm=False,
        experts=replace(_SIGMOIDS, dense_before=1),
        needed=("num_key_value_heads", "num_experts_per_tok", "moe_intermediate_size", "n_shared_experts"),
    ),
    "glm4_moe_lite": Family(
        has_latent=True,
        qkv_bias="attention_bias",
        rotary="interleaved",
        experts=replace(_SIGMOIDS, dense_before=1),
        needed=_LATENT_SIZES,
        epsilon=1e-05,
    ),
    "dots1": Family(
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        head_norm=True,
        window="from",
        window_width=4096,
        experts=_SIGMOIDS,
        needed=("num_key_value_heads",),
    ),
    "ernie4_5_moe": Family(
        qkv_bias="use_bias",
        out_bias="use_bias",
        mlp_bias="use_bias",
        head_bias="use_bias",
        rotary="interleaved",
        is_tied=True,
        experts=Routing(
            count="moe_num_experts",
            chosen="moe_k",
            has_router_bias=True,
            shared_count="moe_num_shared_experts",
            first="moe_layer_start_index",
            last="moe_layer_end_index",
            step="moe_layer_interval",
        ),
        needed=("num_key_value_heads", "moe_k", "moe_num_shared_experts", "moe_layer_start_index"),
        epsilon=1e-05,
        rotary_base=500000.0,
    ),
    "hunyuan_v1_moe": replace(
        HUNYUAN,
        experts=Routing(
            count="num_experts",
            chosen="moe_topk",
            inner="moe_intermediate_size|intermediate_size",
            shared_count="num_shared_expert",
            shared_usual=1,
            shared_width="intermediate_size",
        ),
        needed=("num_key_value_heads", "moe_topk"),
    ),
    "exaone_moe": Family(
        head_norm=True,
        window="pattern",
        window_width=4096,
        window_pattern=4,
        is_rotary_windowed="where windows are",
        experts=replace(_NUMBERED, shared_usual=1, dense_before=1),
        needed=("num_key_value_heads", "num_experts_per_tok", "moe_intermediate_size", "routed_scaling_factor"),
        epsilon=1e-05,
    ),
    "hy_v3": Family(
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        mlp_bias="mlp_bias",
        head_norm=True,
        head_width=128,
        rotary_base=11158840.0,
        experts=replace(
            _NUMBERED, is_normalised=True, factor="router_scaling_factor", shared_usual=1, dense_before=1, groups=None
        ),
        needed=("num_key_value_heads", "num_experts_per_tok", "moe_intermediate_size", "router_scaling_factor"),
        epsilon=1e-05,
    ),
    "afmoe": Family(
        placement="both",
        is_embedding_scaled="mup_enabled",
        head_norm=True,
        head_width=128,
        is_gated_output=True,
        window="pattern",
        window_width=1024,
        window_pattern=4,
        is_rotary_windowed=True,
        experts=replace(
            _NUMBERED,
            is_normalised=True,
            factor="route_scale",
            shared_usual=2,
            first="num_dense_layers",
            dense_before=1,
            step="",
            listed="",
            groups=None,
        ),
        needed=("num_key_value_heads", "num_experts_per_tok", "moe_intermediate_size"),
        epsilon=1e-05,
    ),
    "solar_open": Family(
        qkv_bias="attention_bias",
        head_width=128,
        rotary_base=1000000.0,
        experts=replace(_SIGMOIDS, shared_usual=1, first="", step="", listed=""),
        needed=("num_key_value_heads", "num_experts_per_tok", "moe_intermediate_size"),
        epsilon=1e-05,
    ),
    "mimo_v2_flash": Family(
        qkv_bias="attention_bias",
        head_width=192,
        value_width="v_head_dim",
        rotary_share=0.334,
        rotary_base=5000000.0,
        window="listed",
        window_before="sliding_window_size",
        window_kv_heads="swa_num_key_value_heads",
        window_width=129,
        window_base=10000.0,
        has_sinks="where windows are",
        experts=replace(_SCORED, dense_before=1),
        needed=(
            "num_key_value_heads",
            "num_experts_per_tok",
            "moe_intermediate_size",
            "attention_value_scale",
            "v_head_dim",
        ),
        epsilon=1e-05,
    ),
    "mistral4": Family(
        has_latent=True,
        qkv_bias="attention_bias",
        rotary="interleaved",
        is_tuned=True,
        experts=replace(_DEEPSEEK, router="softmax"),
        needed=(*_LATENT_SIZES, "rope_parameters"),
    ),
    "bailing_moe": _BAILING,
    "bailing_moe_v2": replace(
        _BAILING,
        experts=replace(_BAILING_ROUTING, scoring="sigmoid"),
        needed=(*_BAILING.needed, "use_qk_norm", "n_group", "topk_group", "first_k_dense_replace"),
    ),
    "step3p5": Family(
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        mlp_bias="mlp_bias",
        head_norm=True,
        head_width=128,
        is_gated_by_head=True,
        window_heads="num_sliding_attention_heads",
        limits=("swiglu_limits", "swiglu_limits_shared"),
        experts=Routing(
            count="n_routed_experts",
            router="sigmoid",
            factor="moe_router_scaling_factor",
            shared_inner="share_expert_dim",
            listed="mlp_layer_types",
        ),
        needed=(
            *("num_key_value_heads", "num_experts_per_tok", "moe_intermediate_size", "share_expert_dim"),
            *("layer_types", "mlp_layer_types", "num_sliding_attention_heads", "moe_router_scaling_factor"),
        ),
        epsilon=1e-05,
    ),
    "minimax_m2": Family(
        whole_norm=True,
        head_width=128,
        rotary_base=5000000.0,
        experts=Routing(count="num_local_experts", inner="intermediate_size", router="sigmoid"),
        needed=("num_key_value_heads", "num_experts_per_tok"),
    ),
}
