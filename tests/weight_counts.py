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
    mixers = layers * attention + indexers(c)
    return c["vocab_size"] * hidden + mixers + layers * norms * norm + mlps + norm + head


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


def indexers(c: Config) -> int:
    """Of layers that choose for themselves which tokens they see: all, or those that are listed."""
    if "index_topk" not in c:
        return 0
    heads, width, layers = c["index_n_heads"], c["index_head_dim"], c["num_hidden_layers"]
    keys = c["hidden_size"] * width + 2 * width  # and a layer norm
    own = c["q_lora_rank"] * heads * width + keys + c["hidden_size"] * heads
    return own * c.get("indexer_types", ["full"] * layers).count("full")


DECODERS = {
    "baichuan": Family(),
    "cohere": Family(norms=1, tied=True),
    "cohere2": Family(norms=1, tied=True),
    "deepseek": Family(experts=deepseek_experts),
    "deepseek_v2": Family(attention=latent_attention, experts=deepseek_experts),
    "deepseek_v3": Family(attention=latent_attention, experts=deepseek_experts),
    "deepseek_v32": Family(attention=latent_attention, experts=deepseek_experts),
    "gemma": Family(tied=True),
    "gemma2": Family(norms=4, tied=True),
    "gemma3_text": Family(norms=4, qk_norm="head", tied=True),
    "glm": Family(),
    "glm4": Family(norms=4),
    "glm_moe_dsa": Family(attention=latent_attention, experts=deepseek_experts),
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


def mamba2(hidden: int, heads: int, width: int, state: int, groups: int, window: int, is_normed: bool = True) -> int:
    inner, channels = heads * width, heads * width + 2 * groups * state
    projections = hidden * (inner + channels + heads) + inner * hidden
    return projections + channels * (window + 1) + 3 * heads + inner * is_normed


def nemotron_h(c: Config) -> int:
    """Each layer is one part: a state space, attention, a feed-forward layer, or experts."""
    hidden, latent = c["hidden_size"], c.get("moe_latent_size") or c["hidden_size"]
    width = c.get("head_dim") or c["attention_head_dim"]
    queries, keys = c["num_attention_heads"] * width, c["num_key_value_heads"] * width
    mixer = (c["mamba_num_heads"], c["mamba_head_dim"], c["ssm_state_size"], c["n_groups"], c["conv_kernel"])
    experts = c.get("n_routed_experts", 0)
    routed = experts * (2 * latent * c.get("moe_intermediate_size", 0) + hidden + 1)
    projections = 2 * hidden * latent if c.get("moe_latent_size") else 0
    parts = {
        "M": mamba2(hidden, *mixer),
        "*": 2 * hidden * (queries + keys),
        "-": 2 * hidden * c["intermediate_size"],
        "E": routed + projections + 2 * hidden * c.get("moe_shared_expert_intermediate_size", 0),
    }
    letters = {"mamba": "M", "attention": "*", "mlp": "-", "moe": "E"}
    layers = c.get("hybrid_override_pattern") or [letters[kind] for kind in c["layers_block_type"]]
    return 2 * c["vocab_size"] * hidden + sum(parts[kind] + hidden for kind in layers) + hidden


def falcon_h1(c: Config) -> int:
    hidden, heads = c["hidden_size"], c["num_attention_heads"]
    attention = grouped_attention(c, Family())
    mixer = (c["mamba_n_heads"], c["mamba_d_head"], c["mamba_d_state"], c["mamba_n_groups"], c["mamba_d_conv"])
    block = (
        attention + mamba2(hidden, *mixer, is_normed=c["mamba_rms_norm"]) + gated_mlp(hidden, c["intermediate_size"])
    )
    assert heads % c["num_key_value_heads"] == 0
    return 2 * c["vocab_size"] * hidden + c["num_hidden_layers"] * (block + 2 * hidden) + hidden


def lfm2(c: Config) -> int:
    """Convolutions of three tokens between gates, here and there attention; the first layers of a mixture are dense."""
    hidden, layers = c["hidden_size"], c["num_hidden_layers"]
    kinds = c.get("layer_types") or ["full_attention" if i in c["full_attn_idxs"] else "conv" for i in range(layers)]
    attending = kinds.count("full_attention")
    convolution = 4 * hidden * hidden + c["conv_L_cache"] * hidden
    mixers = attending * grouped_attention(c, Family(qk_norm="head")) + (layers - attending) * convolution
    inner = c["intermediate_size"] * 2 // 3 if c.get("block_auto_adjust_ff_dim") else c["intermediate_size"]
    dense = c.get("num_dense_layers", layers)
    experts = c.get("num_experts", 0) * (gated_mlp(hidden, c.get("moe_intermediate_size", 0)) + hidden + 1)
    fed = dense * gated_mlp(hidden, inner) + (layers - dense) * experts
    return c["vocab_size"] * hidden + mixers + fed + (2 * layers + 1) * hidden


def nemotron_nas(c: Config) -> int:
    """Layers lack a part here and there; keys and widths are each layer's own."""
    hidden, heads = c["hidden_size"], c["num_attention_heads"]
    total = 2 * c["vocab_size"] * hidden + hidden
    for block in c["block_configs"]:
        if not block["attention"]["no_op"]:
            total += hidden + 2 * hidden * (hidden + hidden // block["attention"]["n_heads_in_group"])
            assert heads % block["attention"]["n_heads_in_group"] == 0
        if not block["ffn"]["no_op"]:
            total += hidden + gated_mlp(hidden, -(-int(2 * block["ffn"]["ffn_mult"] * hidden / 3) // 256) * 256)
    return total


def kimi_linear(c: Config) -> int:
    hidden, said = c["hidden_size"], c["linear_attn_config"]
    layers, heads, width = c["num_hidden_layers"], said["num_heads"], said["head_dim"]
    inner = heads * width
    gates = 2 * (hidden * width + width * inner) + hidden * heads
    delta = 4 * hidden * inner + gates + 3 * inner * said["short_conv_kernel_size"] + heads + inner + width
    full = len(said["full_attn_layers"])
    expert = gated_mlp(hidden, c["moe_intermediate_size"])
    experts = (c["num_experts"] + c["num_shared_experts"]) * expert + c["num_experts"] * (hidden + 1)
    dense = c["first_k_dense_replace"]
    fed = dense * gated_mlp(hidden, c["intermediate_size"]) + (layers - dense) * experts
    mixers = (layers - full) * delta + full * latent_attention({"q_lora_rank": 0, **c})
    return 2 * c["vocab_size"] * hidden + mixers + fed + (2 * layers + 1) * hidden


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
    "falcon_h1": falcon_h1,
    "gpt2": gpt2,
    "gpt_bigcode": gpt2,
    "gpt_neox": gpt_neox,
    "gptj": gptj,
    "kimi_linear": kimi_linear,
    "lfm2": lfm2,
    "lfm2_moe": lfm2,
    "mamba": mamba,
    "mpt": mpt,
    "nemotron-nas": nemotron_nas,
    "nemotron_h": nemotron_h,
    "opt": opt,
    "roberta": encoder,
}


def weight_count(config: Config) -> int | None:
    """Weights, each counted once; None for families that nobody has written down here."""
    family = config.get("model_type")
    if family in DECODERS:
        return decoder(config, DECODERS[family])
    return OTHERS[family](config) if family in OTHERS else None
