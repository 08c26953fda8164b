"""Layers with a state, encoders with their decoders, and vision, against transformers with the same weights.

Skipped without torch and transformers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from reference_models import joined, reference, run
from tiny_transformers import Arrays, as_inputs, read

from ircost.frontends.config import Architecture
from ircost.frontends.config.layer_parts import LatentAttention

torch = pytest.importorskip("torch", reason="needs pip install 'ircost[torch]'")
pytest.importorskip("transformers", reason="needs pip install transformers")

RTOL, ATOL = 1e-4, 5e-5
LAYERS = 2
TEXT = {"hidden_size": 32, "num_hidden_layers": LAYERS, "vocab_size": 50, "pad_token_id": 0}
MAMBA: dict[str, Any] = {**TEXT, "model_type": "mamba", "state_size": 4, "time_step_rank": 3}
MAMBA2: dict[str, Any] = {**TEXT, "model_type": "mamba2", "state_size": 4, "num_heads": 8, "head_dim": 8, "n_groups": 2}
QWEN: dict[str, Any] = {
    **TEXT,
    **{"model_type": "qwen3_next", "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8},
    **{"full_attention_interval": 2, "linear_num_key_heads": 2, "linear_num_value_heads": 4},
    **{"linear_key_head_dim": 8, "linear_value_head_dim": 6, "num_experts": 4, "num_experts_per_tok": 2},
    **{"moe_intermediate_size": 16, "shared_expert_intermediate_size": 12, "intermediate_size": 16},
}
QWEN_3_5: dict[str, Any] = {**QWEN, "model_type": "qwen3_5_moe_text"}
T5: dict[str, Any] = {
    **{"model_type": "t5", "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": LAYERS, "num_decoder_layers": LAYERS},
    **{"num_heads": 4, "vocab_size": 50, "relative_attention_num_buckets": 8, "relative_attention_max_distance": 10},
    "feed_forward_proj": "gated-gelu",
}
WHISPER: dict[str, Any] = {
    **{"model_type": "whisper", "d_model": 32, "vocab_size": 50, "max_source_positions": 6, "num_mel_bins": 5},
    **{"encoder_layers": LAYERS, "decoder_layers": LAYERS, "encoder_attention_heads": 4, "decoder_attention_heads": 4},
    **{"encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_target_positions": 64, "pad_token_id": 0},
}
VIT: dict[str, Any] = {
    **{"model_type": "vit", "hidden_size": 32, "num_hidden_layers": LAYERS, "num_attention_heads": 4},
    **{"intermediate_size": 48, "image_size": 32, "patch_size": 8},
}


def state_space(state: Arrays, theirs: str, ours: str) -> Arrays:
    """What the first Mamba and the second have in common."""
    return {
        f"{ours}.conv": state[f"{theirs}.conv1d.weight"][:, 0],
        f"{ours}.conv_bias": state[f"{theirs}.conv1d.bias"],
        f"{ours}.in.weight": state[f"{theirs}.in_proj.weight"],
        f"{ours}.out.weight": state[f"{theirs}.out_proj.weight"],
        f"{ours}.a": -np.exp(state[f"{theirs}.A_log"]),
        f"{ours}.skip": state[f"{theirs}.D"],
    }


def around(state: Arrays) -> Arrays:
    found = {"embedding.tokens": state["backbone.embeddings.weight"], "norm.weight": state["backbone.norm_f.weight"]}
    for i in range(LAYERS):
        found[f"layers.{i}.attention_norm.weight"] = state[f"backbone.layers.{i}.norm.weight"]
        found |= state_space(state, f"backbone.layers.{i}.mixer", f"layers.{i}.mixer")
    return found


def mamba_weights(state: Arrays) -> Arrays:
    found = around(state)
    for i in range(LAYERS):
        theirs, ours = f"backbone.layers.{i}.mixer", f"layers.{i}.mixer"
        found[f"{ours}.steps.weight"] = state[f"{theirs}.x_proj.weight"]
        found[f"{ours}.step.weight"] = state[f"{theirs}.dt_proj.weight"]
        found[f"{ours}.step_bias"] = state[f"{theirs}.dt_proj.bias"]
    return found


def mamba2_weights(state: Arrays) -> Arrays:
    found = {**around(state), "head.weight": state["lm_head.weight"]}
    for i in range(LAYERS):
        theirs, ours = f"backbone.layers.{i}.mixer", f"layers.{i}.mixer"
        found[f"{ours}.step_bias"] = state[f"{theirs}.dt_bias"]
        found[f"{ours}.norm.weight"] = state[f"{theirs}.norm.weight"]
    return found


def qwen_weights(state: Arrays) -> Arrays:
    """Its norms are centred at 0: a weight of 0 is a factor of 1; that behind the delta rule is not."""
    found = {
        "embedding.tokens": state["model.embed_tokens.weight"],
        "norm.weight": 1 + state["model.norm.weight"],
        "head.weight": state["lm_head.weight"],
    }
    for i in range(LAYERS):
        theirs, ours = f"model.layers.{i}", f"layers.{i}"
        found[f"{ours}.attention_norm.weight"] = 1 + state[f"{theirs}.input_layernorm.weight"]
        found[f"{ours}.mlp_norm.weight"] = 1 + state[f"{theirs}.post_attention_layernorm.weight"]
        found |= _experts(state, f"{theirs}.mlp", f"{ours}.experts")
        found |= (
            _attention(state, theirs, ours) if i % 2 else _delta_net(state, f"{theirs}.linear_attn", f"{ours}.mixer")
        )
    return found


def _experts(state: Arrays, theirs: str, ours: str) -> Arrays:
    shared = f"{theirs}.shared_expert"
    return {
        f"{ours}.router.gate.weight": state[f"{theirs}.gate.weight"],
        f"{ours}.gate_up": state[f"{theirs}.experts.gate_up_proj"],
        f"{ours}.down": state[f"{theirs}.experts.down_proj"],
        f"{ours}.shared.gate_up.weight": joined(state, (f"{shared}.gate_proj.weight", f"{shared}.up_proj.weight")),
        f"{ours}.shared.down.weight": state[f"{shared}.down_proj.weight"],
        f"{ours}.shared_gate.weight": state[f"{theirs}.shared_expert_gate.weight"],
    }


def _attention(state: Arrays, theirs: str, ours: str) -> Arrays:
    """Queries and gates come head by head."""
    own = f"{theirs}.self_attn"
    q, gate = np.split(state[f"{own}.q_proj.weight"].reshape(4, 16, 32), 2, axis=1)
    k, v = (state[f"{own}.{name}_proj.weight"] for name in "kv")
    return {
        f"{ours}.attention.qkv.weight": np.concatenate([q.reshape(32, 32), k, v]),
        f"{ours}.attention.gate.weight": gate.reshape(32, 32),
        f"{ours}.attention.out.weight": state[f"{own}.o_proj.weight"],
        f"{ours}.attention.q_norm.weight": 1 + state[f"{own}.q_norm.weight"],
        f"{ours}.attention.k_norm.weight": 1 + state[f"{own}.k_norm.weight"],
    }


def _delta_net(state: Arrays, theirs: str, ours: str) -> Arrays:
    """Those of Qwen3-Next come in groups, one for each head of keys; those of Qwen 3.5 are modules of their own."""
    if f"{theirs}.in_proj_qkv.weight" in state:
        packed, steps = ([state[f"{theirs}.in_proj_{name}.weight"] for name in names] for names in (("qkv", "z"), "ba"))
    else:
        packed = np.split(state[f"{theirs}.in_proj_qkvz.weight"].reshape(2, -1, 32), (8, 16, 28), axis=1)
        steps = np.split(state[f"{theirs}.in_proj_ba.weight"].reshape(2, 4, 32), 2, axis=1)
    return {
        f"{ours}.qkv_gate.weight": np.concatenate([part.reshape(-1, 32) for part in packed]),
        f"{ours}.beta_step.weight": np.concatenate([part.reshape(-1, 32) for part in steps]),
        f"{ours}.conv": state[f"{theirs}.conv1d.weight"][:, 0],
        f"{ours}.a": -np.exp(state[f"{theirs}.A_log"]),
        f"{ours}.step_bias": state[f"{theirs}.dt_bias"],
        f"{ours}.norm.weight": state[f"{theirs}.norm.weight"],
        f"{ours}.out.weight": state[f"{theirs}.out_proj.weight"],
    }


# ---- states beside other parts

ATTENDING: dict[str, Any] = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
NEMOTRON: dict[str, Any] = {
    **{
        **TEXT,
        **ATTENDING,
        "model_type": "nemotron_h",
        "layers_block_type": ["linear_attention", "moe", "full_attention"],
    },
    **{"mamba_num_heads": 8, "mamba_head_dim": 8, "ssm_state_size": 4, "n_groups": 2, "n_routed_experts": 6},
    **{"num_experts_per_tok": 2, "moe_intermediate_size": 12, "moe_shared_expert_intermediate_size": 20},
    **{"moe_latent_size": 8, "routed_scaling_factor": 2.5, "num_hidden_layers": 3},
}
FALCON: dict[str, Any] = {
    **{**TEXT, **ATTENDING, "model_type": "falcon_h1", "intermediate_size": 24, "mamba_d_ssm": 48, "mamba_n_heads": 6},
    **{"mamba_d_state": 4, "mamba_n_groups": 2, "lm_head_multiplier": 0.5, "embedding_multiplier": 3.0},
    **{"mlp_multipliers": [0.5, 2.0], "key_multiplier": 0.7, "attention_in_multiplier": 1.2},
    **{"attention_out_multiplier": 0.8, "ssm_multipliers": [0.5, 0.6, 1.7, 0.8, 0.9], "ssm_in_multiplier": 1.3},
    "ssm_out_multiplier": 0.4,
}
NORMED_FALCON: dict[str, Any] = {**FALCON, "mamba_rms_norm": True}
LFM2: dict[str, Any] = {
    **{**TEXT, **ATTENDING, "model_type": "lfm2_moe", "layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    **{"intermediate_size": 24, "moe_intermediate_size": 12, "num_experts": 6, "num_experts_per_tok": 2},
    **{"conv_bias": True, "routed_scaling_factor": 1.5},
}


def nemotron_weights(state: Arrays) -> Arrays:
    """Each layer is one part, behind a norm of its own."""
    found = {
        "embedding.tokens": state["model.embeddings.weight"],
        "norm.weight": state["model.norm_f.weight"],
        "head.weight": state["lm_head.weight"],
    }
    for i, kind in enumerate(NEMOTRON["layers_block_type"]):
        theirs, ours = f"model.layers.{i}.mixer", f"layers.{i}"
        norm = f"{ours}.mlp_norm.weight" if kind == "moe" else f"{ours}.attention_norm.weight"
        found[norm] = state[f"model.layers.{i}.norm.weight"]
        if kind == "linear_attention":
            found |= state_space(state, theirs, f"{ours}.mixer")
            found[f"{ours}.mixer.step_bias"] = state[f"{theirs}.dt_bias"]
            found[f"{ours}.mixer.norm.weight"] = state[f"{theirs}.norm.weight"]
        elif kind == "moe":
            found |= _latent_experts(state, theirs, f"{ours}.experts")
        else:
            found |= _plain_attention(state, theirs, f"{ours}.attention")
    return found


def _latent_experts(state: Arrays, theirs: str, ours: str) -> Arrays:
    return {
        f"{ours}.router.gate.weight": state[f"{theirs}.gate.weight"],
        f"{ours}.router.bias": state[f"{theirs}.gate.e_score_correction_bias"],
        f"{ours}.latent_in.weight": state[f"{theirs}.fc1_latent_proj.weight"],
        f"{ours}.latent_out.weight": state[f"{theirs}.fc2_latent_proj.weight"],
        f"{ours}.up": state[f"{theirs}.experts.up_proj"],
        f"{ours}.down": state[f"{theirs}.experts.down_proj"],
        f"{ours}.shared.up.weight": state[f"{theirs}.shared_experts.up_proj.weight"],
        f"{ours}.shared.down.weight": state[f"{theirs}.shared_experts.down_proj.weight"],
    }


def _plain_attention(state: Arrays, theirs: str, ours: str, out: str = "o_proj") -> Arrays:
    return {
        f"{ours}.qkv.weight": joined(state, (f"{theirs}.{name}_proj.weight" for name in "qkv")),
        f"{ours}.out.weight": state[f"{theirs}.{out}.weight"],
    }


def falcon_weights(state: Arrays) -> Arrays:
    found = {
        "embedding.tokens": state["model.embed_tokens.weight"],
        "norm.weight": state["model.final_layernorm.weight"],
        "head.weight": state["lm_head.weight"],
    }
    for i in range(LAYERS):
        theirs, ours = f"model.layers.{i}", f"layers.{i}"
        found[f"{ours}.attention_norm.weight"] = state[f"{theirs}.input_layernorm.weight"]
        found[f"{ours}.mlp_norm.weight"] = state[f"{theirs}.pre_ff_layernorm.weight"]
        found |= _plain_attention(state, f"{theirs}.self_attn", f"{ours}.attention")
        found |= state_space(state, f"{theirs}.mamba", f"{ours}.mixer")
        found[f"{ours}.mixer.step_bias"] = state[f"{theirs}.mamba.dt_bias"]
        if f"{theirs}.mamba.norm.weight" in state:
            found[f"{ours}.mixer.norm.weight"] = state[f"{theirs}.mamba.norm.weight"]
        found |= _gated(state, f"{theirs}.feed_forward", f"{ours}.mlp")
    return found


def lfm2_weights(state: Arrays) -> Arrays:
    found = {
        "embedding.tokens": state["model.embed_tokens.weight"],
        "norm.weight": state["model.embedding_norm.weight"],
    }
    for i in range(LAYERS):
        theirs, ours = f"model.layers.{i}", f"layers.{i}"
        found[f"{ours}.attention_norm.weight"] = state[f"{theirs}.operator_norm.weight"]
        found[f"{ours}.mlp_norm.weight"] = state[f"{theirs}.ffn_norm.weight"]
        fed = f"{theirs}.feed_forward"
        if i == 0:
            for kind in ("weight", "bias"):
                for name in ("in", "out"):
                    found[f"{ours}.mixer.{name}.{kind}"] = state[f"{theirs}.conv.{name}_proj.{kind}"]
            found[f"{ours}.mixer.conv"] = state[f"{theirs}.conv.conv.weight"][:, 0]
            found[f"{ours}.mixer.conv_bias"] = state[f"{theirs}.conv.conv.bias"]
            found[f"{ours}.mlp.gate_up.weight"] = joined(state, (f"{fed}.w1.weight", f"{fed}.w3.weight"))
            found[f"{ours}.mlp.down.weight"] = state[f"{fed}.w2.weight"]
            continue
        found |= _plain_attention(state, f"{theirs}.self_attn", f"{ours}.attention", "out_proj")
        for name in "qk":
            found[f"{ours}.attention.{name}_norm.weight"] = state[f"{theirs}.self_attn.{name}_layernorm.weight"]
        found[f"{ours}.experts.router.gate.weight"] = state[f"{fed}.gate.weight"]
        found[f"{ours}.experts.router.bias"] = state[f"{fed}.expert_bias"]
        found[f"{ours}.experts.gate_up"] = state[f"{fed}.experts.gate_up_proj"]
        found[f"{ours}.experts.down"] = state[f"{fed}.experts.down_proj"]
    return found


# ---- tokens that an indexer chooses

DEEPSEEK: dict[str, Any] = {
    **{**TEXT, "model_type": "deepseek_v32", "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 24},
    **{"num_key_value_heads": 4, "q_lora_rank": 12, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4},
    **{"v_head_dim": 8, "first_k_dense_replace": 1, "n_routed_experts": 8, "num_experts_per_tok": 2, "n_group": 2},
    **{"topk_group": 1, "moe_intermediate_size": 16, "n_shared_experts": 1, "index_topk": 3, "index_n_heads": 16},
    **{"index_head_dim": 8, "routed_scaling_factor": 2.5},
}
GLM_5: dict[str, Any] = {**DEEPSEEK, "model_type": "glm_moe_dsa", "indexer_types": ["full", "shared"] * 2}


def deepseek_weights(state: Arrays) -> Arrays:
    found = {
        "embedding.tokens": state["model.embed_tokens.weight"],
        "norm.weight": state["model.norm.weight"],
        "head.weight": state["lm_head.weight"],
    }
    for i in range(DEEPSEEK["num_hidden_layers"]):
        theirs, ours = f"model.layers.{i}", f"layers.{i}"
        own, fed = f"{theirs}.self_attn", f"{theirs}.mlp"
        found[f"{ours}.attention_norm.weight"] = state[f"{theirs}.input_layernorm.weight"]
        found[f"{ours}.mlp_norm.weight"] = state[f"{theirs}.post_attention_layernorm.weight"]
        names = {"query_norm": "q_a_layernorm", "query": "q_b_proj", "latent_norm": "kv_a_layernorm", "up": "kv_b_proj"}
        names |= {"out": "o_proj"}
        down = (f"{own}.q_a_proj.weight", f"{own}.kv_a_proj_with_mqa.weight")
        found[f"{ours}.attention.down.weight"] = joined(state, down)
        found |= {f"{ours}.attention.{name}.weight": state[f"{own}.{other}.weight"] for name, other in names.items()}
        found |= _indexer(state, f"{own}.indexer", f"{ours}.attention.indexer")
        found |= _experts_of_deepseek(state, fed, f"{ours}.experts") if i else _gated(state, fed, f"{ours}.mlp")
    return found


def _indexer(state: Arrays, theirs: str, ours: str) -> Arrays:
    """None in layers that see what the one before them chose."""
    if f"{theirs}.wk.weight" not in state:
        return {}
    names = {"query.weight": "wq_b.weight", "key.weight": "wk.weight", "weights.weight": "weights_proj.weight"}
    names |= {f"key_norm.{kind}": f"k_norm.{kind}" for kind in ("weight", "bias")}
    return {f"{ours}.{name}": state[f"{theirs}.{other}"] for name, other in names.items()}


def with_wide_keys(architecture: Architecture) -> Architecture:
    """Indexers whose keys are in the format of activations, as transformers has them."""
    layers = []
    for layer in architecture.stack.layers:
        mixer = layer.mixer
        if isinstance(mixer, LatentAttention) and mixer.indexer is not None:
            mixer = replace(mixer, indexer=replace(mixer.indexer, form=None))
        layers.append(replace(layer, mixer=mixer))
    return replace(architecture, stack=replace(architecture.stack, layers=tuple(layers)))


# ---- Gemma 4

GEMMA: dict[str, Any] = {
    **{**TEXT, **ATTENDING, "model_type": "gemma4_text", "global_head_dim": 16, "num_global_key_value_heads": 1},
    **{"attention_k_eq_v": True, "layer_types": ["sliding_attention", "full_attention"], "sliding_window": 64},
    **{"intermediate_size": 24, "hidden_size_per_layer_input": 0, "enable_moe_block": True, "num_experts": 6},
    **{"top_k_experts": 2, "moe_intermediate_size": 12, "final_logit_softcapping": 30.0},
}
TURNED = {  # as published models turn, and as they are without these keys, too
    "full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1000000.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
}


SMALL_GEMMA: dict[str, Any] = {
    **{**GEMMA, "num_hidden_layers": 10, "enable_moe_block": False, "hidden_size_per_layer_input": 6},
    **{"layer_types": ["sliding_attention", "full_attention"] * 5, "num_kv_shared_layers": 4},
    **{"attention_k_eq_v": False, "use_double_wide_mlp": True, "rope_parameters": TURNED},
}


UNIFIED_GEMMA: dict[str, Any] = {
    **{key: value for key, value in GEMMA.items() if "expert" not in key and "moe" not in key and "input" not in key},
    **{"model_type": "gemma4_unified_text", "rope_parameters": TURNED},
}


def small_gemma_weights(state: Arrays) -> Arrays:
    """Vectors for each layer; the last layers have no keys and values of their own."""
    found = {
        "embedding.tokens": state["model.embed_tokens.weight"],
        "norm.weight": state["model.norm.weight"],
        "inputs.tokens": state["model.embed_tokens_per_layer.weight"],
        "inputs.projection.weight": state["model.per_layer_model_projection.weight"],
        "inputs.norm.weight": state["model.per_layer_projection_norm.weight"],
    }
    for i in range(SMALL_GEMMA["num_hidden_layers"]):
        theirs, ours = f"model.layers.{i}", f"layers.{i}"
        names = {"attention_norm": "input_layernorm", "attention_norm_behind": "post_attention_layernorm"}
        names |= {"mlp_norm": "pre_feedforward_layernorm", "mlp_norm_behind": "post_feedforward_layernorm"}
        names |= {"inputs.gate": "per_layer_input_gate", "inputs.out": "per_layer_projection"}
        names |= {"inputs.norm": "post_per_layer_input_norm", "attention.out": "self_attn.o_proj"}
        is_shared = f"{theirs}.self_attn.k_proj.weight" not in state
        names |= {f"attention.{name}_norm": f"self_attn.{name}_norm" for name in ("q" if is_shared else "qk")}
        found |= {f"{ours}.{name}.weight": state[f"{theirs}.{other}.weight"] for name, other in names.items()}
        own = f"{ours}.attention.{'query' if is_shared else 'qkv'}.weight"
        found[own] = joined(state, (f"{theirs}.self_attn.{name}_proj.weight" for name in ("q" if is_shared else "qkv")))
        found |= _gated(state, f"{theirs}.mlp", f"{ours}.mlp")
        found[f"{ours}.scale"] = state[f"{theirs}.layer_scalar"]
    return found


def gemma_weights(state: Arrays) -> Arrays:
    found = {"embedding.tokens": state["model.embed_tokens.weight"], "norm.weight": state["model.norm.weight"]}
    for i in range(LAYERS):
        theirs, ours = f"model.layers.{i}", f"layers.{i}"
        names = {"attention_norm": "input_layernorm", "attention_norm_behind": "post_attention_layernorm"}
        names |= {"mlp_norm": "pre_feedforward_layernorm", "mlp_norm_behind": "post_feedforward_layernorm"}
        names |= {"dense_norm_behind": "post_feedforward_layernorm_1", "experts_norm": "pre_feedforward_layernorm_2"}
        names |= {"experts_norm_behind": "post_feedforward_layernorm_2", "experts.router.gate": "router.proj"}
        names |= {f"attention.{name}_norm": f"self_attn.{name}_norm" for name in "qk"}
        names |= {"attention.out": "self_attn.o_proj"}
        named = {name: f"{theirs}.{other}.weight" for name, other in names.items()}
        found |= {f"{ours}.{name}.weight": state[other] for name, other in named.items() if other in state}
        own = (f"{theirs}.self_attn.{name}_proj.weight" for name in "qkv")
        found[f"{ours}.attention.qkv.weight"] = joined(state, (name for name in own if name in state))
        found |= _gated(state, f"{theirs}.mlp", f"{ours}.mlp")
        found[f"{ours}.scale"] = state[f"{theirs}.layer_scalar"]
        if f"{theirs}.experts.gate_up_proj" not in state:
            continue
        found[f"{ours}.experts.router.scale"] = state[f"{theirs}.router.scale"]
        found[f"{ours}.experts.router.expert_scales"] = state[f"{theirs}.router.per_expert_scale"]
        found[f"{ours}.experts.gate_up"] = state[f"{theirs}.experts.gate_up_proj"]
        found[f"{ours}.experts.down"] = state[f"{theirs}.experts.down_proj"]
    return found


# ---- Gemma 3n

GEMMA_3N: dict[str, Any] = {
    **{**TEXT, **ATTENDING, "model_type": "gemma3n_text", "num_hidden_layers": 6, "sliding_window": 64},
    **{"layer_types": ["sliding_attention", "full_attention"] * 3, "num_kv_shared_layers": 2, "intermediate_size": 24},
    **{"hidden_size_per_layer_input": 6, "vocab_size_per_layer_input": 50, "laurel_rank": 5, "altup_num_inputs": 3},
    **{"activation_sparsity_pattern": [0.9, 0.5, 0.0, 0.0, 0.0, 0.0]},
}


def gemma_3n_weights(state: Arrays) -> Arrays:
    found = {
        "embedding.tokens": state["model.embed_tokens.weight"],
        "norm.weight": state["model.norm.weight"],
        "inputs.tokens": state["model.embed_tokens_per_layer.weight"],
        "inputs.projection.weight": state["model.per_layer_model_projection.weight"],
        "inputs.norm.weight": state["model.per_layer_projection_norm.weight"],
    }
    for ours, theirs in (("altup_in", "altup_projections"), ("altup_out", "altup_unembed_projections")):
        found[f"{ours}.weight"] = np.stack([state[f"model.{theirs}.{i}.weight"] for i in range(2)])
    for i in range(GEMMA_3N["num_hidden_layers"]):
        theirs, ours = f"model.layers.{i}", f"layers.{i}"
        names = {"attention_norm": "input_layernorm", "attention_norm_behind": "post_attention_layernorm"}
        names |= {"mlp_norm": "pre_feedforward_layernorm", "mlp_norm_behind": "post_feedforward_layernorm"}
        names |= {"inputs.gate": "per_layer_input_gate", "inputs.out": "per_layer_projection"}
        names |= {"inputs.norm": "post_per_layer_input_norm", "attention.out": "self_attn.o_proj"}
        names |= {"laurel.left": "laurel.linear_left", "laurel.right": "laurel.linear_right"}
        names |= {"laurel.norm": "laurel.post_laurel_norm", "altup.router_norm": "altup.router_norm"}
        names |= {"altup.router": "altup.modality_router", "altup.prediction": "altup.prediction_coefs"}
        names |= {"altup.correction": "altup.correction_coefs"}
        is_shared = f"{theirs}.self_attn.k_proj.weight" not in state
        names |= {f"attention.{name}_norm": f"self_attn.{name}_norm" for name in ("q" if is_shared else "qk")}
        found |= {f"{ours}.{name}.weight": state[f"{theirs}.{other}.weight"] for name, other in names.items()}
        own = f"{ours}.attention.{'query' if is_shared else 'qkv'}.weight"
        found[own] = joined(state, (f"{theirs}.self_attn.{name}_proj.weight" for name in ("q" if is_shared else "qkv")))
        found |= _gated(state, f"{theirs}.mlp", f"{ours}.mlp")
        found[f"{ours}.altup.scale"] = state[f"{theirs}.altup.correct_output_scale"]
    return found


# ---- Kimi Linear

KIMI: dict[str, Any] = {
    **{**TEXT, "model_type": "kimi_linear", "num_attention_heads": 4, "num_key_value_heads": 4, "kv_lora_rank": 16},
    **{"qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8, "intermediate_size": 24, "num_experts": 8},
    **{"num_experts_per_token": 2, "num_shared_experts": 1, "moe_intermediate_size": 16, "linear_num_heads": 3},
    **{"linear_head_dim": 8, "layer_types": ["linear_attention", "full_attention"], "routed_scaling_factor": 2.5},
}


def kimi_weights(state: Arrays) -> Arrays:
    found = {
        "embedding.tokens": state["model.embed_tokens.weight"],
        "norm.weight": state["model.norm.weight"],
        "head.weight": state["lm_head.weight"],
        **_experts_of_deepseek(state, "model.layers.1.mlp", "layers.1.experts"),
        **_gated(state, "model.layers.0.mlp", "layers.0.mlp"),
    }
    for i in range(LAYERS):
        theirs, ours = f"model.layers.{i}", f"layers.{i}"
        found[f"{ours}.attention_norm.weight"] = state[f"{theirs}.input_layernorm.weight"]
        found[f"{ours}.mlp_norm.weight"] = state[f"{theirs}.post_attention_layernorm.weight"]
    theirs, ours = "model.layers.0.self_attn", "layers.0.mixer"
    names = {"forget_in": "forget_gate.f_a_proj", "forget": "forget_gate.f_b_proj", "gate_in": "g_a_proj"}
    names |= {"gate": "g_b_proj", "beta": "b_proj", "norm": "o_norm", "out": "o_proj"}
    found |= {f"{ours}.{name}.weight": state[f"{theirs}.{other}.weight"] for name, other in names.items()}
    found[f"{ours}.qkv.weight"] = joined(state, (f"{theirs}.{name}_proj.weight" for name in "qkv"))
    found[f"{ours}.conv"] = state[f"{theirs}.conv1d.weight"][:, 0]
    found[f"{ours}.a"] = -np.exp(state[f"{theirs}.forget_gate.A_log"].reshape(-1))
    found[f"{ours}.step_bias"] = state[f"{theirs}.forget_gate.dt_bias"]
    theirs, ours = "model.layers.1.self_attn", "layers.1.attention"
    names = {"down": "kv_a_proj_with_mqa", "query": "q_proj", "latent_norm": "kv_a_layernorm", "up": "kv_b_proj"}
    names |= {"out": "o_proj"}
    return found | {f"{ours}.{name}.weight": state[f"{theirs}.{other}.weight"] for name, other in names.items()}


def _gated(state: Arrays, theirs: str, ours: str) -> Arrays:
    return {
        f"{ours}.gate_up.weight": joined(state, (f"{theirs}.{name}_proj.weight" for name in ("gate", "up"))),
        f"{ours}.down.weight": state[f"{theirs}.down_proj.weight"],
    }


def _experts_of_deepseek(state: Arrays, theirs: str, ours: str) -> Arrays:
    return {
        f"{ours}.router.gate.weight": state[f"{theirs}.gate.weight"],
        f"{ours}.router.bias": state[f"{theirs}.gate.e_score_correction_bias"],
        f"{ours}.gate_up": state[f"{theirs}.experts.gate_up_proj"],
        f"{ours}.down": state[f"{theirs}.experts.down_proj"],
        **_gated(state, f"{theirs}.shared_experts", f"{ours}.shared"),
    }


STATES: dict[str, tuple[dict[str, Any], Callable[[Arrays], Arrays]]] = {
    "kimi_linear": (KIMI, kimi_weights),
    "gemma3n": (GEMMA_3N, gemma_3n_weights),
    "gemma4, small": (SMALL_GEMMA, small_gemma_weights),
    "gemma4": ({**GEMMA, "rope_parameters": TURNED}, gemma_weights),
    "gemma4_unified": (UNIFIED_GEMMA, gemma_weights),
    "deepseek_v32": (DEEPSEEK, deepseek_weights),
    "glm_moe_dsa": (GLM_5, deepseek_weights),
    "nemotron_h": (NEMOTRON, nemotron_weights),
    "falcon_h1": (FALCON, falcon_weights),
    "falcon_h1, normed": (NORMED_FALCON, falcon_weights),
    "lfm2_moe": (LFM2, lfm2_weights),
    "mamba": (MAMBA, mamba_weights),
    "mamba2": (MAMBA2, mamba2_weights),
    "qwen3_next": (QWEN, qwen_weights),
    "qwen3_5": (QWEN_3_5, qwen_weights),
}


@pytest.mark.parametrize("name", STATES)
def test_a_prompt_and_a_token_behind_its_state(name: str) -> None:
    config, weights_of = STATES[name]
    model, state = reference(config)
    architecture, weights = with_wide_keys(read(config)), weights_of(state)
    tokens = np.random.default_rng(0).integers(1, 50, (2, 9))
    with torch.no_grad():
        want = model(torch.tensor(tokens), use_cache=False).logits.numpy()
    first = run(architecture, weights, {"tokens": tokens[:, :8]}, "prefill", batch=2, seq=8)
    np.testing.assert_allclose(first["logits"][:, 0], want[:, 7], rtol=RTOL, atol=ATOL)
    then = run(
        architecture, weights, {**as_inputs(first, architecture), "tokens": tokens[:, 8:]}, "decode", batch=2, context=9
    )
    np.testing.assert_allclose(then["logits"][:, 0], want[:, 8], rtol=RTOL, atol=ATOL)


# ---- encoders and decoders


def t5_weights(state: Arrays) -> Arrays:
    found = {"embedding.tokens": state["shared.weight"]}
    for side, ours in (("encoder", "encoder."), ("decoder", "")):
        bias = f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        found |= {f"{ours}norm.weight": state[f"{side}.final_layer_norm.weight"], f"{ours}position_bias": state[bias]}
        for i in range(LAYERS):
            found |= _t5_layer(state, f"{side}.block.{i}.layer", f"{ours}layers.{i}", side == "decoder")
    return found


def _t5_layer(state: Arrays, theirs: str, ours: str, has_cross: bool) -> Arrays:
    last = 2 if has_cross else 1
    own, fed = f"{theirs}.0.SelfAttention", f"{theirs}.{last}.DenseReluDense"
    found = {
        f"{ours}.attention_norm.weight": state[f"{theirs}.0.layer_norm.weight"],
        f"{ours}.attention.qkv.weight": joined(state, (f"{own}.{n}.weight" for n in "qkv")),
        f"{ours}.attention.out.weight": state[f"{own}.o.weight"],
        f"{ours}.mlp_norm.weight": state[f"{theirs}.{last}.layer_norm.weight"],
        f"{ours}.mlp.gate_up.weight": joined(state, (f"{fed}.wi_0.weight", f"{fed}.wi_1.weight")),
        f"{ours}.mlp.down.weight": state[f"{fed}.wo.weight"],
    }
    if has_cross:
        cross = f"{theirs}.1.EncDecAttention"
        found[f"{ours}.source_norm.weight"] = state[f"{theirs}.1.layer_norm.weight"]
        found[f"{ours}.source.query.weight"] = state[f"{cross}.q.weight"]
        found[f"{ours}.source.key_value.weight"] = joined(state, (f"{cross}.{n}.weight" for n in "kv"))
        found[f"{ours}.source.out.weight"] = state[f"{cross}.o.weight"]
    return found


def whisper_weights(state: Arrays) -> Arrays:
    found = {
        "embedding.tokens": state["model.decoder.embed_tokens.weight"],
        "embedding.positions": state["model.decoder.embed_positions.weight"],
        "encoder.positions": state["model.encoder.embed_positions.weight"],
    }
    for kind in ("weight", "bias"):
        for name in ("conv1", "conv2"):
            found[f"encoder.{name}.{kind}"] = state[f"model.encoder.{name}.{kind}"]
        for side, ours in (("encoder", "encoder."), ("decoder", "")):
            found[f"{ours}norm.{kind}"] = state[f"model.{side}.layer_norm.{kind}"]
            for i in range(LAYERS):
                theirs = f"model.{side}.layers.{i}"
                found |= _whisper_layer(state, theirs, f"{ours}layers.{i}", kind, side == "decoder")
    return found


def _whisper_layer(state: Arrays, theirs: str, ours: str, kind: str, has_cross: bool) -> Arrays:
    names = {
        "attention_norm": "self_attn_layer_norm",
        "mlp_norm": "final_layer_norm",
        "attention.out": "self_attn.out_proj",
    }
    names |= {"mlp.up": "fc1", "mlp.down": "fc2"}
    if has_cross:
        names |= {"source_norm": "encoder_attn_layer_norm", "source.query": "encoder_attn.q_proj"}
        names |= {"source.out": "encoder_attn.out_proj"}
    found = {f"{ours}.{name}.{kind}": state[f"{theirs}.{other}.{kind}"] for name, other in names.items()}
    none = np.zeros(32, np.float32)  # keys have no bias
    found[f"{ours}.attention.qkv.{kind}"] = np.concatenate(
        [state.get(f"{theirs}.self_attn.{n}_proj.{kind}", none) for n in "qkv"]
    )
    if has_cross and kind == "weight":
        found[f"{ours}.source.key_value.weight"] = joined(
            state, (f"{theirs}.encoder_attn.{n}_proj.weight" for n in "kv")
        )
    if has_cross and kind == "bias":
        found[f"{ours}.source.value_bias"] = state[f"{theirs}.encoder_attn.v_proj.bias"].reshape(4, 8)
    return found


SOUND = np.random.default_rng(2).standard_normal((2, 5, 12)).astype(np.float32)
WORDS = np.random.default_rng(3).integers(1, 50, (2, 6))
SIDES: dict[str, tuple[dict[str, Any], Callable[[Arrays], Arrays], str, dict[str, np.ndarray], str]] = {
    "t5": (T5, t5_weights, "AutoModelForSeq2SeqLM", {"tokens": WORDS}, "input_ids"),
    "whisper": (WHISPER, whisper_weights, "AutoModelForSpeechSeq2Seq", {"spectra": SOUND}, "input_features"),
}


@pytest.mark.parametrize("name", SIDES)
def test_an_encoder_and_what_its_decoder_says(name: str) -> None:
    config, weights_of, kind, inputs, theirs = SIDES[name]
    model, state = reference(config, kind)
    architecture, weights = read(config), weights_of(state)
    tokens = np.random.default_rng(0).integers(1, 50, (2, 5))
    (given,) = inputs.values()
    with torch.no_grad():
        out = model(**{theirs: torch.tensor(given)}, decoder_input_ids=torch.tensor(tokens), use_cache=False)
    source = run(architecture, weights, inputs, "encode", batch=2, seq=6)["hidden"]
    np.testing.assert_allclose(source, out.encoder_last_hidden_state.numpy(), rtol=RTOL, atol=ATOL)
    first = run(architecture, weights, {"source": source, "tokens": tokens[:, :4]}, "prefill", batch=2, seq=4, source=6)
    np.testing.assert_allclose(first["logits"][:, 0], out.logits.numpy()[:, 3], rtol=RTOL, atol=ATOL)
    held = {name.replace(".key", ".past_key").replace(".value", ".past_value"): x for name, x in first.items()}
    then = run(architecture, weights, {**held, "tokens": tokens[:, 4:]}, "decode", batch=2, context=5, source=6)
    np.testing.assert_allclose(then["logits"][:, 0], out.logits.numpy()[:, 4], rtol=RTOL, atol=ATOL)


# ---- vision


def vit_weights(state: Arrays) -> Arrays:
    found = {"patches.class_token": state["embeddings.cls_token"]}
    found["patches.positions"] = state["embeddings.position_embeddings"][0]
    for kind in ("weight", "bias"):
        found[f"patches.{kind}"] = state[f"embeddings.patch_embeddings.projection.{kind}"]
        found[f"norm.{kind}"], found[f"pooler.{kind}"] = state[f"layernorm.{kind}"], state[f"pooler.dense.{kind}"]
        for i in range(LAYERS):
            found |= _vit_layer(state, i, kind)
    return found


def _vit_layer(state: Arrays, number: int, kind: str) -> Arrays:
    """Under the names of transformers 5, or of those before."""
    layer = next(name for name in state if f".{number}." in name or f"layer.{number}." in name)
    layer = layer[: layer.index(f".{number}.") + len(f".{number}")]
    own = {name.removeprefix(f"{layer}."): value for name, value in state.items() if name.startswith(f"{layer}.")}
    names = {
        "attention_norm": ("layernorm_before",),
        "mlp_norm": ("layernorm_after",),
        "attention.out": ("attention.o_proj", "attention.output.dense"),
        "mlp.up": ("mlp.fc1", "intermediate.dense"),
        "mlp.down": ("mlp.fc2", "output.dense"),
    }
    found = {
        f"layers.{number}.{ours}.{kind}": next(own[f"{name}.{kind}"] for name in theirs if f"{name}.{kind}" in own)
        for ours, theirs in names.items()
    }
    prefix = "attention.attention.{}" if f"attention.attention.query.{kind}" in own else "attention.{}_proj"
    kinds = ("query", "key", "value") if "attention.attention" in prefix else "qkv"
    parts = [own[f"{prefix.format(name)}.{kind}"] for name in kinds]
    found[f"layers.{number}.attention.qkv.{kind}"] = np.concatenate(parts)
    return found


def test_an_image_and_its_pooled_token() -> None:
    model, state = reference(VIT, "AutoModel")
    pixels = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)
    with torch.no_grad():
        want = model(torch.tensor(pixels))
    got = run(read(VIT), vit_weights(state), {"pixels": pixels}, "encode", batch=2, seq=17)
    np.testing.assert_allclose(got["hidden"], want.last_hidden_state.numpy(), rtol=RTOL, atol=ATOL)
    np.testing.assert_allclose(got["pooled"], want.pooler_output.numpy(), rtol=RTOL, atol=ATOL)
