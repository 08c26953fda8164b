"""Weights of a model, counted from its ``config.json`` by hand-written shapes.

Independent of the frontend that builds graphs: it proves the bundled values, and the frontend is held against the
same figures.
Shapes are those of `transformers`; a layer norm has a scale and a shift, an RMS norm a scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Config = Mapping[str, Any]


def linear(inputs: int, outputs: int, bias: bool = False) -> int:
    return inputs * outputs + outputs * bias


def gated_mlp(hidden: int, width: int) -> int:
    return 3 * hidden * width


@dataclass(frozen=True)
class Family:
    """How the decoders of a ``model_type`` differ.

    Args:
        norms: of a layer, beside those of queries and keys.
        norm_vectors: weights of a norm: none, a scale, or a scale and a shift.
        qk_norm: one norm for every head, or one over all heads at once.
        experts: weights of the experts and the router of a layer; None where the MLP is dense.
        attention: weights of the attention of a layer; None for heads of queries, keys and values.
        tied: whether the head shares the embedding where the config does not say.
    """

    qkv_bias: bool = False
    out_bias: bool = False
    norms: int = 2
    norm_vectors: Literal[0, 1, 2] = 1
    qk_norm: Literal["", "head", "all"] = ""
    gated: bool = True
    mlp_bias: bool = False
    head_bias: bool = False
    tied: bool = False
    experts: Callable[[Config], int] | None = None
    attention: Callable[[Config], int] | None = None


def decoder(c: Config, family: Family) -> int:
    """Embedding, layers, last norm, head."""
    hidden, layers = c["hidden_size"], c["num_hidden_layers"]
    attention = family.attention(c) if family.attention else grouped_attention(c, family)
    norms = family.norms - c.get("use_parallel_residual", False) * (family.norm_vectors == 2)
    mlps = sum(
        family.experts(c) if family.experts and is_sparse(c, layer) else dense_mlp(c, family) for layer in range(layers)
    )
    tied = c.get("tie_word_embeddings", family.tied)
    head = c["vocab_size"] * family.head_bias + (0 if tied else c["vocab_size"] * hidden)
    norm = hidden * family.norm_vectors
    return c["vocab_size"] * hidden + layers * (attention + norms * norm) + mlps + norm + head


def is_sparse(c: Config, layer: int) -> bool:
    return layer >= c.get("first_k_dense_replace", 0)


def grouped_attention(c: Config, family: Family) -> int:
    hidden, heads = c["hidden_size"], c["num_attention_heads"]
    groups = c.get("num_key_value_heads") or heads
    head = c.get("head_dim") or hidden // heads
    qkv_bias = family.qkv_bias or c.get("use_qkv_bias", False) or c.get("attention_bias", False)
    norms = {"": 0, "head": 2 * head, "all": (heads + groups) * head}[family.qk_norm]
    if not family.qk_norm and (
        c.get("use_qk_norm") or c.get("qk_layernorm")
    ):  # Cohere, StableLM: a scale for each head
        norms = (heads + groups) * head
    return linear(hidden, (heads + 2 * groups) * head, qkv_bias) + linear(heads * head, hidden, family.out_bias) + norms


def dense_mlp(c: Config, family: Family) -> int:
    hidden, width = c["hidden_size"], c["intermediate_size"]
    if family.gated:
        return gated_mlp(hidden, width)
    return linear(hidden, width, family.mlp_bias) + linear(width, hidden, family.mlp_bias)


def mixtral_experts(c: Config) -> int:
    return c["num_local_experts"] * (gated_mlp(c["hidden_size"], c["intermediate_size"]) + c["hidden_size"])


def qwen_experts(c: Config) -> int:
    hidden, width = c["hidden_size"], c.get("moe_intermediate_size", c["intermediate_size"])
    shared = c.get("shared_expert_intermediate_size")
    routed = c["num_experts"] * (gated_mlp(hidden, width) + hidden)
    return routed + (gated_mlp(hidden, shared) + hidden if shared else 0)


def deepseek_experts(c: Config) -> int:
    hidden, routed = c["hidden_size"], c["n_routed_experts"]
    selection_bias = routed if c.get("topk_method") == "noaux_tc" else 0
    return (
        (routed + c["n_shared_experts"]) * gated_mlp(hidden, c["moe_intermediate_size"])
        + routed * hidden
        + selection_bias
    )


def gpt_oss_experts(c: Config) -> int:
    hidden, width = c["hidden_size"], c["intermediate_size"]
    expert = linear(hidden, 2 * width, bias=True) + linear(width, hidden, bias=True)
    return c["num_local_experts"] * expert + linear(hidden, c["num_local_experts"], bias=True)


def gpt_oss_attention(c: Config) -> int:
    sinks = c["num_attention_heads"]
    return grouped_attention(c, Family(qkv_bias=True, out_bias=True)) + sinks


def latent_attention(c: Config) -> int:
    """Multi-head latent attention: queries and keys have a part with positions, and one without."""
    hidden, heads, rank = c["hidden_size"], c["num_attention_heads"], c["kv_lora_rank"]
    query = heads * (c["qk_nope_head_dim"] + c["qk_rope_head_dim"])
    low = c["q_lora_rank"]
    queries = hidden * low + low + low * query if low else hidden * query
    keys_values = (
        hidden * (rank + c["qk_rope_head_dim"]) + rank + rank * heads * (c["qk_nope_head_dim"] + c["v_head_dim"])
    )
    return queries + keys_values + heads * c["v_head_dim"] * hidden


DECODERS = {
    "baichuan": Family(),
    "cohere": Family(norms=1, tied=True),
    "cohere2": Family(norms=1, tied=True),
    "deepseek": Family(experts=deepseek_experts),
    "deepseek_v2": Family(attention=latent_attention, experts=deepseek_experts),
    "deepseek_v3": Family(attention=latent_attention, experts=deepseek_experts),
    "gemma": Family(tied=True),
    "gemma2": Family(norms=4, tied=True),
    "gemma3_text": Family(norms=4, qk_norm="head", tied=True),
    "glm": Family(),
    "glm4": Family(norms=4),
    "gpt_oss": Family(attention=gpt_oss_attention, experts=gpt_oss_experts),
    "internlm2": Family(),
    "kimi_k2": Family(attention=latent_attention, experts=deepseek_experts),
    "llama": Family(),
    "mistral": Family(),
    "mixtral": Family(experts=mixtral_experts),
    "olmo": Family(norm_vectors=0),
    "olmo2": Family(qk_norm="all"),
    "olmo3": Family(qk_norm="all"),
    "olmoe": Family(qk_norm="all", experts=qwen_experts),
    "phi": Family(qkv_bias=True, out_bias=True, norms=1, norm_vectors=2, gated=False, mlp_bias=True, head_bias=True),
    "phi3": Family(),
    "phimoe": Family(out_bias=True, norm_vectors=2, head_bias=True, experts=mixtral_experts),
    "qwen2": Family(qkv_bias=True),
    "qwen2_moe": Family(qkv_bias=True, experts=qwen_experts),
    "qwen3": Family(qk_norm="head"),
    "qwen3_moe": Family(qk_norm="head", experts=qwen_experts),
    "smollm3": Family(),
    "stablelm": Family(norm_vectors=2),
    "starcoder2": Family(qkv_bias=True, out_bias=True, norm_vectors=2, gated=False, mlp_bias=True, tied=True),
}


def transformer_block(hidden: int, width: int, qkv: int, bias: bool = True) -> int:
    """Attention and an MLP without a gate, without norms."""
    attention = linear(hidden, qkv, bias) + linear(hidden, hidden, bias)
    return attention + linear(hidden, width, bias) + linear(width, hidden, bias)


def gpt2(c: Config) -> int:
    hidden = c["n_embd"]
    qkv = hidden + 2 * hidden // c["n_head"] if c.get("multi_query") else 3 * hidden
    block = transformer_block(hidden, c.get("n_inner") or 4 * hidden, qkv) + 4 * hidden
    return (c["vocab_size"] + c["n_positions"]) * hidden + c["n_layer"] * block + 2 * hidden


def gptj(c: Config) -> int:
    hidden, vocabulary = c["n_embd"], c["vocab_size"]
    attention = 4 * hidden * hidden
    mlp = linear(hidden, 4 * hidden, bias=True) + linear(4 * hidden, hidden, bias=True)
    head = linear(hidden, vocabulary, bias=True)
    return vocabulary * hidden + c["n_layer"] * (attention + mlp + 2 * hidden) + 2 * hidden + head


def gpt_neox(c: Config) -> int:
    hidden = c["hidden_size"]
    block = transformer_block(hidden, c["intermediate_size"], 3 * hidden) + 4 * hidden
    return 2 * c["vocab_size"] * hidden + c["num_hidden_layers"] * block + 2 * hidden


def opt(c: Config) -> int:
    """Positions start at 2; the one model with norms behind the blocks has no last norm, and narrower embeddings."""
    hidden, narrow = c["hidden_size"], c["word_embed_proj_dim"]
    block = transformer_block(hidden, c["ffn_dim"], 3 * hidden) + 4 * hidden
    projections = 2 * narrow * hidden if narrow != hidden else 0
    last_norm = 2 * hidden if c["do_layer_norm_before"] else 0
    positions = (c["max_position_embeddings"] + 2) * hidden
    return c["vocab_size"] * narrow + positions + projections + c["num_hidden_layers"] * block + last_norm


def bloom(c: Config) -> int:
    hidden = c["hidden_size"]
    block = transformer_block(hidden, 4 * hidden, 3 * hidden) + 4 * hidden
    return c["vocab_size"] * hidden + c["n_layer"] * block + 4 * hidden


def falcon(c: Config) -> int:
    hidden, heads = c["hidden_size"], c["num_attention_heads"]
    groups = c["num_kv_heads"] if c["new_decoder_architecture"] else 1
    qkv = (heads + 2 * groups) * (hidden // heads)
    norms = c.get("num_ln_in_parallel_attn", 2 if c["new_decoder_architecture"] else 1)
    block = transformer_block(hidden, c.get("ffn_hidden_size", 4 * hidden), qkv, bias=False) + 2 * norms * hidden
    head = 0 if c.get("tie_word_embeddings", True) else c["vocab_size"] * hidden
    return c["vocab_size"] * hidden + c["num_hidden_layers"] * block + 2 * hidden + head


def mpt(c: Config) -> int:
    hidden = c["d_model"]
    block = transformer_block(hidden, c["expansion_ratio"] * hidden, 3 * hidden, bias=False) + 2 * hidden
    return c["vocab_size"] * hidden + c["n_layers"] * block + hidden


def mamba(c: Config) -> int:
    hidden, inner, state, rank = c["hidden_size"], c["intermediate_size"], c["state_size"], c["time_step_rank"]
    convolution = inner * c["conv_kernel"] + inner
    steps = inner * (rank + 2 * state) + linear(rank, inner, bias=True)
    block = 2 * hidden * inner + convolution + steps + inner * state + inner + inner * hidden + hidden
    return c["vocab_size"] * hidden + c["num_hidden_layers"] * block + hidden


def encoder(c: Config) -> int:
    """BERT and RoBERTa: embeddings, layers, pooler."""
    hidden = c["hidden_size"]
    embedded = c["vocab_size"] + c["max_position_embeddings"] + c["type_vocab_size"]
    block = transformer_block(hidden, c["intermediate_size"], 3 * hidden) + 4 * hidden
    return embedded * hidden + 2 * hidden + c["num_hidden_layers"] * block + linear(hidden, hidden, bias=True)


OTHERS: dict[str, Callable[[Config], int]] = {
    "bert": encoder,
    "bloom": bloom,
    "falcon": falcon,
    "gpt2": gpt2,
    "gpt_bigcode": gpt2,
    "gpt_neox": gpt_neox,
    "gptj": gptj,
    "mamba": mamba,
    "mpt": mpt,
    "opt": opt,
    "roberta": encoder,
}


def weight_count(config: Config) -> int | None:
    """Weights, each counted once; None for families that nobody has written down here."""
    family = config.get("model_type")
    if family in DECODERS:
        return decoder(config, DECODERS[family])
    return OTHERS[family](config) if family in OTHERS else None
