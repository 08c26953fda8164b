"""Keys of StepFun's own files (Step 3.5 Flash, 3.7 Flash) under the names that transformers 5 saves.

Source: huggingface/transformers 5.24, ``Step3p7TextConfig``, which rewrites the same keys.
"""

from __future__ import annotations

from typing import Any

from ircost.frontends.config.config_file import Config

# Usual name -> theirs.
NAMES = {
    "num_key_value_heads": "num_attention_groups",
    "n_routed_experts": "moe_num_experts",
    "num_experts_per_tok": "moe_top_k",
    "share_expert_dim": "share_expert_dims",
    "max_position_embeddings": "max_seq_len",
}
# Lists with an element for each layer, and behind those for each layer of multi-token prediction.
BY_LAYER = (
    *("layer_types", "mlp_layer_types", "swiglu_limits", "swiglu_limits_shared", "rope_theta"),
    *("partial_rotary_factors", "use_rope_layers"),
)
# What must be so of them, for it is what is built.
EXPECTED = {
    **dict.fromkeys(("use_head_wise_attn_gate", "use_moe_router_bias", "norm_expert_weight", "zero_centered"), True),
    **{"moe_router_activation": "sigmoid", "use_qk_norm": True, "use_moe": True, "sink": False},
}


def with_usual_keys(config: Config) -> None:
    """Raises:
    ConfigError: layers of a kind turn by different angles, or what is said is not what is built.
    """
    values = config.values
    layers = config.size("num_hidden_layers")
    padded = layers + config.size("num_nextn_predict_layers", default=0, least=0)
    for key in BY_LAYER:
        if isinstance(values.get(key), list) and len(values[key]) == padded:
            values[key] = values[key][:layers]
    for usual, own in NAMES.items():
        if usual not in values and own in values:
            values[usual] = values[own]
        config.passed(own)
    for key, expected in EXPECTED.items():
        if (value := config.raw(key, default=expected)) != expected:
            raise config.error(f"'{key}' is {value}, and what it changes is not known")
    if not all(config.listed("use_rope_layers", default=[])):
        raise config.error("'use_rope_layers' names layers without positions, which are not known here")
    config.passed("need_fp32_gate", "yarn_only_types", "per_layer_config", "mtp_layer_types", "mtp_mlp_layer_types")
    _experts(config, layers)
    _heads(config)
    _angles(config)


def _experts(config: Config, layers: int) -> None:
    said = config.raw("moe_layers_enum", default=None)
    if said is None or "mlp_layer_types" in config.values:
        return
    numbers = said.split(",") if isinstance(said, str) else said
    try:
        sparse = {int(number) for number in numbers if str(number).strip()}
    except (TypeError, ValueError):
        raise config.error(f"'moe_layers_enum' is {said!r}, numbers of layers expected") from None
    config.values["mlp_layer_types"] = ["sparse" if place in sparse else "dense" for place in range(layers)]


def _heads(config: Config) -> None:
    """Of layers with a window, in a section of their own.

    Raises:
        ConfigError: they differ in more than their number of heads.
    """
    said = config.section("attention_other_setting")
    if said is None:
        return
    said.passed("true_head_dim")
    kind = said.text("attention_type", default="sliding_attention")
    alike = {"num_attention_groups": "num_key_value_heads", "head_dim": "head_dim"}
    differing = [own for own, usual in alike.items() if said.raw(own, default=None) not in (None, config.raw(usual))]
    if differing or kind != "sliding_attention":
        raise said.error(f"'{(*differing, 'attention_type')[0]}' is not known to differ here")
    config.values.setdefault("num_sliding_attention_heads", said.size("num_attention_heads"))


def _angles(config: Config) -> None:
    """One section for each kind of layer in place of one number for each layer."""
    bases, shares = config.values.get("rope_theta"), config.values.get("partial_rotary_factors")
    kinds = config.listed("layer_types", default=[])
    config.passed("rope_theta", "partial_rotary_factors")
    if not isinstance(bases, list) and not isinstance(shares, list):
        return
    sections: dict[str, Any] = {}
    for place, kind in enumerate(kinds):
        own = {"rope_type": "default"}
        for key, listed in (("rope_theta", bases), ("partial_rotary_factor", shares)):
            if isinstance(listed, list) and place < len(listed):
                own[key] = listed[place]
            elif listed is not None and not isinstance(listed, list):
                own[key] = listed
        if sections.setdefault(kind, own) != own:
            raise config.error(f"layers of kind {kind} turn by different angles, which is not known here")
    config.values["rope_parameters"] = sections
