"""StepFun's own files mean what transformers saves of them."""

from __future__ import annotations

from typing import Any

import pytest
from tiny_transformers import read

from ircost.frontends.config import ConfigError

KINDS = ["full_attention", "sliding_attention"] * 2
SIZES: dict[str, Any] = {
    **{"model_type": "step3p5", "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "head_dim": 16},
    **{"intermediate_size": 96, "vocab_size": 100, "moe_intermediate_size": 24, "share_expert_dim": 40},
    **{"moe_router_scaling_factor": 3.0, "sliding_window": 32, "num_nextn_predict_layers": 1},
}
OWN: dict[str, Any] = {
    **{**SIZES, "num_attention_groups": 2, "moe_num_experts": 8, "moe_top_k": 2, "max_seq_len": 128},
    **{"layer_types": [*KINDS, "full_attention"], "moe_layers_enum": "1,2,3,4", "swiglu_limits": [0, 0, 7.0, 7.0, 0]},
    **{"rope_theta": [1e6, 1e4, 1e6, 1e4, 1e6], "partial_rotary_factors": [0.5, 1.0, 0.5, 1.0, 0.5]},
    **{"use_head_wise_attn_gate": True, "use_moe_router_bias": True, "norm_expert_weight": True},
    "moe_router_activation": "sigmoid",
    "attention_other_setting": {
        **{"attention_type": "sliding_attention", "num_attention_heads": 6, "num_attention_groups": 2, "head_dim": 16},
        "true_head_dim": 16,
    },
}
SAVED: dict[str, Any] = {
    **{**SIZES, "num_key_value_heads": 2, "n_routed_experts": 8, "num_experts_per_tok": 2},
    **{"layer_types": KINDS, "mlp_layer_types": ["dense", "sparse", "sparse", "sparse"]},
    **{"swiglu_limits": [0, 0, 7.0, 7.0], "num_sliding_attention_heads": 6, "max_position_embeddings": 128},
    "rope_parameters": {
        "full_attention": {"rope_type": "default", "rope_theta": 1e6, "partial_rotary_factor": 0.5},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 1.0},
    },
}


def test_both_are_one_model() -> None:
    assert read({**OWN}) == read({**SAVED})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"use_head_wise_attn_gate": False}, "'use_head_wise_attn_gate' is False"),
        ({"use_rope_layers": [True, True, False, True]}, "'use_rope_layers' names layers without positions"),
        ({"moe_layers_enum": "1,two"}, "'moe_layers_enum' is '1,two', numbers of layers expected"),
        ({"rope_theta": [1e6, 1e4, 1e5, 1e4]}, "layers of kind full_attention turn by different angles"),
        ({"attention_other_setting": {**OWN["attention_other_setting"], "head_dim": 8}}, "'head_dim' is not known to"),
        ({"attention_other_setting": None}, "'num_sliding_attention_heads' is missing"),
        ({"swiglu_limits": [1.0]}, "'swiglu_limits' lists 1 layers, and there are 4"),
    ],
)
def test_what_is_not_known(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read({**OWN, **change})
