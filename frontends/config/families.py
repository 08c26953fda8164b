"""What each ``model_type`` is made of, where its config does not say: one row a family, no code of its own.

Values are the defaults of the classes in Hugging Face transformers (5.x), which a ``config.json`` may leave out; where
a field is text, it names the key that decides. Source: huggingface/transformers, ``configuration_*.py`` and
``modeling_*.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Routing:
    """Where a family's mixtures of experts are told.

    Args:
        count, chosen, inner: keys. router, is_normalised: as in `Experts`; text names a key. scoring: the
            router where that key is missing.
        shared_inner: key of the shared layer's width; shared_count: key of how many experts make it up.
        first, step: keys of the first layer with experts, and of every how many there are some. offset: key of the
            first one's place in each step.
    """

    count: str
    chosen: str = "num_experts_per_tok"
    inner: str = "moe_intermediate_size"
    router: str = "softmax"
    scoring: str = "softmax"
    is_normalised: bool | str = True
    shared_inner: str = ""
    shared_count: str = ""
    is_shared_gated: bool = False
    has_router_bias: bool = False
    has_bias: bool = False
    is_interleaved: bool = False
    limit: float = 0.0
    first: str = ""
    step: str = ""
    offset: str = ""
    dense_layers: str = ""
    groups: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Sides:
    """Where an encoder and its decoder are told apart: the usual name of a key -> the one of each side.

    Args:
        bands: key of the bands of a spectrum, where the encoder listens.
    """

    encoder: Mapping[str, str]
    decoder: Mapping[str, str]
    bands: str = ""


@dataclass(frozen=True, slots=True)
class States:
    """Layers with a state in place of a cache.

    Args:
        kind: as in ``recurrent.py``. attention: how those that attend instead are told: not at all (none do),
            ``period`` and ``interval`` of layers, ``indices``, ``listed``: a key with the kind of each, or
            ``pattern``: a key with a letter for each, of which some are feed-forward layers alone.
    """

    kind: str
    attention: str = ""


@dataclass(frozen=True, slots=True)
class Images:
    """How a vision tower cuts images.

    Args:
        class_token: ``first``, ``last``, or none. has_norm: one before the layers. image, patch: pixels of an edge
            where no key says.
    """

    class_token: str = ""
    has_bias: bool = True
    has_norm: bool = False
    image: int = 224
    patch: int = 16


@dataclass(frozen=True, slots=True)
class Family:
    """Args:
    norm: ``rms`` or ``layer``; epsilon: of it, where no key says; has_norm_scale, has_norm_bias: of a layer norm.
    placement: as in `Layer`. post_key: a key that, when false, puts the norms behind the sums.
    qkv_bias, out_bias, mlp_bias, head_bias: whether there are such; text names a key (or several
        of one meaning, ``a|b``), ``!key`` one that denies it.
    rotary: ``half``, ``interleaved`` or none; rotary_share: the rotated part of a head, and rotary_base: of its
        angles, where no key says.
    positions: whether positions are a learnt table; offset: rows before its first; is_offset_counted: whether the
        limit of positions counts those, too.
    head_norm, whole_norm: of queries and keys, whether there are such; text names a key. is_norm_by_head: each head
        has weights of its own; has_plain_norm: none has any.
    head_width: of a head where no key says; 0: hidden size over heads.
    window: ``all`` where every layer has the window of ``sliding_window``; ``alternate`` every other, the first one
        first; ``thirds``: all but the first of every ``global_attn_every_n_layers``; ``pattern``: all but each
        ``sliding_window_pattern``-th; ``flag``: where ``use_sliding_window`` says so.
    is_rotary_windowed: layers without a window have no positions; ``where windows are``: unless none has one.
    has_pooler: the first token passes a layer of its own behind the last one (BERT).
    dense_inner: key of the width of layers without experts, where it has a name of its own.
    sides: of models with an encoder; has_cross: its decoder's layers, which attend to that.
    states: of layers that keep one. has_feed_forward: behind each mixer.
    has_first_norm: before the first layer's mixer. has_masked_head: its checkpoints have one for masked words.
    rotary_key: which must say ``rope``. rotary_base: where no key says. window_keys: of its width, beside
        ``sliding_window``.
    window_width, window_pattern: where no key says; window_base: as rotary_base, of layers with one; 0: the
        same. no_rope_interval: every such layer has no positions.
    needed: keys of sizes for which the class has numbers of its own that fit no other model.
    is_gated_output: what attention puts out is multiplied by a sigmoid of a projection.
    images: of vision towers, which read those.
    is_scaled: whether scores are divided by the root of a head's width; is_head_scaled: what a tied head reads, by
        that of the hidden size.
    """

    norm: str = "rms"
    epsilon: float = 1e-6
    has_norm_scale: bool | str = True
    has_norm_bias: bool | str = True
    placement: str = "pre"
    activation: str = "silu"
    is_gated: bool = True
    qkv_bias: bool | str = False
    out_bias: bool | str = False
    mlp_bias: bool | str = False
    head_bias: bool | str = False
    rotary: str = "half"
    rotary_share: float = 1.0
    rotary_base: float = 10000.0
    positions: bool = False
    offset: int = 0
    is_offset_counted: bool = False
    token_types: bool = False
    has_alibi: bool = False
    embedding_norm: bool = False
    is_embedding_scaled: bool | str = False
    head_norm: bool | str = False
    whole_norm: bool | str = False
    is_norm_by_head: bool = False
    has_plain_norm: bool = False
    head_width: int = 0
    kv_heads: int = 0
    window: str = ""
    is_rotary_windowed: bool | str = False
    dense_inner: str = ""
    has_sinks: bool = False
    is_tied: bool = False
    is_causal: bool = True
    has_latent: bool = False
    final_norm: bool = True
    has_pooler: bool = False
    experts: Routing | None = None
    has_k_bias: bool = True
    has_bias_table: bool = False
    is_scaled: bool = True
    is_head_scaled: bool = False
    sides: Sides | None = None
    has_cross: bool = False
    images: Images | None = None
    states: States | None = None
    has_feed_forward: bool = True
    is_gated_output: bool = False
    has_first_norm: bool = True
    has_masked_head: bool = False
    rotary_key: str = ""
    window_keys: tuple[str, ...] = ()
    window_width: int = 0
    window_base: float = 0.0
    window_pattern: int = 6
    no_rope_interval: int = 0
    needed: tuple[str, ...] = ()


_LLAMA = Family(qkv_bias="attention_bias", out_bias="attention_bias", mlp_bias="mlp_bias")
_GPT2 = Family(
    norm="layer",
    epsilon=1e-5,
    activation="gelu_new",
    is_gated=False,
    qkv_bias=True,
    out_bias=True,
    mlp_bias=True,
    rotary="",
    positions=True,
    is_tied=True,
)
_BERT = replace(
    _GPT2,
    epsilon=1e-12,
    placement="post",
    activation="gelu",
    is_causal=False,
    final_norm=False,
    token_types=True,
    embedding_norm=True,
    has_pooler=True,
)
_ROBERTA = replace(_BERT, offset=2, is_offset_counted=True)
_VISION = replace(_GPT2, activation="quick_gelu", positions=False, is_causal=False)
_GEMMA = Family(
    activation="gelu_pytorch_tanh",
    is_embedding_scaled=True,
    is_tied=True,
    head_width=256,
    qkv_bias="attention_bias",
    out_bias="attention_bias",
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

# Keys of one side of Whisper's and BART's configs.
_SIDE_KEYS = {
    side: {
        "num_hidden_layers": f"{side}_layers",
        "num_attention_heads": f"{side}_attention_heads",
        "intermediate_size": f"{side}_ffn_dim",
    }
    for side in ("encoder", "decoder")
}

FAMILIES: dict[str, Family] = {
    "llama": _LLAMA,
    "smollm3": replace(
        _LLAMA, window="flag", is_tied=True, needed=("num_key_value_heads",), no_rope_interval=4, rotary_base=2000000.0
    ),
    "mistral": Family(window="all", needed=("num_key_value_heads",), window_width=4096),
    "ministral": Family(window="all", needed=("num_key_value_heads",), window_width=4096),
    "internlm2": Family(qkv_bias="bias", out_bias="bias"),
    "internlm3": Family(
        head_width=128,
        qkv_bias="qkv_bias|attention_bias",
        out_bias="bias|mlp_bias",
        mlp_bias="bias|mlp_bias",
        needed=("num_key_value_heads",),
        epsilon=1e-05,
    ),
    "qwen2": Family(qkv_bias=True, window="flag", needed=("num_key_value_heads",)),
    "qwen3": Family(
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        head_norm=True,
        head_width=128,
        window="flag",
        needed=("num_key_value_heads",),
    ),
    "gemma": replace(_GEMMA, needed=("num_key_value_heads",)),
    "gemma2": replace(_GEMMA, placement="both", window="alternate", needed=("num_key_value_heads",), window_width=4096),
    "gemma3_text": replace(
        _GEMMA,
        placement="both",
        window="pattern",
        head_norm=True,
        needed=("num_key_value_heads",),
        window_width=4096,
        rotary_base=1000000.0,
        window_base=10000.0,
    ),
    "phi": Family(
        norm="layer",
        placement="parallel",
        activation="gelu_new",
        is_gated=False,
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        head_bias=True,
        rotary_share=0.5,
        head_norm="qk_layernorm",
        epsilon=1e-05,
    ),
    "phi3": Family(window="all", epsilon=1e-05),
    "gpt2": _GPT2,
    "gpt_bigcode": replace(_GPT2, activation="gelu_pytorch_tanh"),
    "gpt_neox": Family(
        norm="layer",
        placement="parallel two",
        activation="gelu",
        is_gated=False,
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        mlp_bias=True,
        rotary_share=0.25,
        epsilon=1e-05,
    ),
    "gptj": Family(
        norm="layer",
        placement="parallel",
        activation="gelu_new",
        is_gated=False,
        mlp_bias=True,
        head_bias=True,
        rotary="interleaved",
        epsilon=1e-05,
    ),
    "opt": replace(
        _GPT2,
        activation="relu",
        offset=2,
        has_norm_scale="layer_norm_elementwise_affine",
        qkv_bias="enable_bias",
        out_bias="enable_bias",
        mlp_bias="enable_bias",
        needed=("word_embed_proj_dim", "ffn_dim"),
    ),
    "bloom": replace(_GPT2, positions=False, has_alibi=True, embedding_norm=True),
    "falcon": Family(
        norm="layer",
        placement="parallel",
        activation="gelu",
        is_gated=False,
        qkv_bias="bias",
        out_bias="bias",
        mlp_bias="bias",
        is_tied=True,
        epsilon=1e-05,
    ),
    "mpt": Family(
        norm="layer",
        has_norm_bias="!no_bias",
        activation="gelu",
        is_gated=False,
        qkv_bias="!no_bias",
        out_bias="!no_bias",
        mlp_bias="!no_bias",
        rotary="",
        has_alibi=True,
        is_tied=True,
        epsilon=1e-05,
    ),
    "starcoder2": Family(
        norm="layer",
        activation="gelu_pytorch_tanh",
        is_gated=False,
        qkv_bias="use_bias",
        out_bias="use_bias",
        mlp_bias="use_bias",
        window="all",
        is_tied=True,
        needed=("num_key_value_heads",),
        epsilon=1e-05,
    ),
    "stablelm": Family(
        norm="layer",
        qkv_bias="use_qkv_bias",
        rotary_share=0.25,
        head_norm="qk_layernorm",
        is_norm_by_head=True,
        placement="pre",
        epsilon=1e-05,
    ),
    "cohere": Family(
        norm="layer",
        has_norm_bias=False,
        placement="parallel",
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        rotary="interleaved",
        head_norm="use_qk_norm",
        is_norm_by_head=True,
        is_tied=True,
        epsilon=1e-05,
        rotary_base=500000.0,
    ),
    "olmo": Family(
        norm="layer", has_norm_scale=False, has_norm_bias=False, qkv_bias="attention_bias", out_bias="attention_bias"
    ),
    "olmo2": Family(
        placement="behind", whole_norm=True, qkv_bias="attention_bias", out_bias="attention_bias", epsilon=1e-05
    ),
    "olmo3": Family(
        placement="behind",
        whole_norm=True,
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        window_width=4096,
        window_pattern=4,
        window="pattern",
        epsilon=1e-05,
        rotary_base=500000.0,
    ),
    "cohere2": Family(
        norm="layer",
        has_norm_bias=False,
        placement="parallel",
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        rotary="interleaved",
        window="pattern",
        is_rotary_windowed=True,
        is_tied=True,
        window_width=4096,
        window_pattern=4,
        epsilon=1e-05,
    ),
    "glm": Family(
        qkv_bias="attention_bias",
        rotary="interleaved",
        rotary_share=0.5,
        head_width=128,
        needed=("num_key_value_heads",),
        epsilon=1.5625e-07,
    ),
    "glm4": Family(
        placement="both",
        qkv_bias="attention_bias",
        rotary="interleaved",
        rotary_share=0.5,
        head_width=128,
        needed=("num_key_value_heads",),
        epsilon=1.5625e-07,
    ),
    "baichuan": Family(),
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
        experts=Routing(
            count="num_experts",
            is_normalised="norm_topk_prob",
            shared_inner="shared_expert_intermediate_size",
            is_shared_gated=True,
            step="decoder_sparse_step",
            dense_layers="mlp_only_layers",
        ),
        needed=("num_key_value_heads",),
    ),
    "qwen3_moe": Family(
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        head_norm=True,
        window="flag",
        experts=Routing(
            count="num_experts",
            is_normalised="norm_topk_prob",
            step="decoder_sparse_step",
            dense_layers="mlp_only_layers",
        ),
        needed=("num_key_value_heads",),
    ),
    "qwen3_next": Family(
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        head_norm=True,
        head_width=256,
        rotary_share=0.25,
        is_gated_output=True,
        states=States("delta net", "interval"),
        experts=Routing(
            count="num_experts",
            is_normalised="norm_topk_prob",
            shared_inner="shared_expert_intermediate_size",
            is_shared_gated=True,
            step="decoder_sparse_step",
            dense_layers="mlp_only_layers",
        ),
        needed=("num_key_value_heads",),
    ),
    "minimax_text_01": Family(
        placement="normed",
        states=States("lightning", "listed"),
        experts=Routing(count="num_local_experts", inner="intermediate_size"),
        needed=("num_key_value_heads",),
        epsilon=1e-05,
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
        needed=("num_key_value_heads", "mamba_num_heads", "intermediate_size"),
    ),
    "mamba": Family(rotary="", states=States("mamba"), has_feed_forward=False, is_tied=True, epsilon=1e-05),
    "falcon_mamba": Family(
        rotary="", states=States("falcon mamba"), has_feed_forward=False, is_tied=True, epsilon=1e-05
    ),
    "mamba2": Family(rotary="", states=States("mamba2"), has_feed_forward=False, epsilon=1e-05),
    "deepseek": Family(
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        experts=replace(_DEEPSEEK, router="softmax", groups=None),
    ),
    "deepseek_v2": Family(has_latent=True, qkv_bias="attention_bias", rotary="interleaved", experts=_DEEPSEEK),
    "deepseek_v3": Family(
        has_latent=True,
        qkv_bias="attention_bias",
        rotary="interleaved",
        experts=replace(_DEEPSEEK, scoring="sigmoid"),
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
        no_rope_interval=4,
        epsilon=1e-05,
        rotary_base=500000.0,
    ),
    "bert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "exaone": Family(epsilon=1e-05),
    "exaone4": Family(
        placement="behind",
        head_norm=True,
        window="pattern",
        window_width=4096,
        window_pattern=4,
        is_rotary_windowed="where windows are",
        needed=("num_key_value_heads",),
        epsilon=1e-05,
    ),
    "granite": replace(_LLAMA, needed=("attention_multiplier",)),
    "granitemoe": Family(
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        experts=Routing(count="num_local_experts", inner="intermediate_size", router="softmax of chosen"),
        needed=("attention_multiplier",),
    ),
    "nemotron": Family(
        norm="layer",
        activation="relu2",
        is_gated=False,
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        mlp_bias="mlp_bias",
        rotary_share=0.5,
        epsilon=1e-05,
    ),
    "arcee": replace(_LLAMA, activation="relu2", is_gated=False, epsilon=1e-05),
    "persimmon": Family(
        norm="layer",
        activation="relu2",
        is_gated=False,
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        rotary_share=0.5,
        head_norm="qk_layernorm",
        epsilon=1e-05,
    ),
    "helium": Family(
        qkv_bias="attention_bias",
        mlp_bias="mlp_bias",
        rotary="interleaved",
        head_width=128,
        needed=("num_key_value_heads",),
        epsilon=1e-08,
        rotary_base=100000.0,
    ),
    "ernie4_5": Family(
        qkv_bias="use_bias",
        out_bias="use_bias",
        mlp_bias="use_bias",
        rotary="interleaved",
        head_width=128,
        is_tied=True,
        needed=("num_key_value_heads",),
        epsilon=1e-05,
        rotary_base=500000.0,
    ),
    "hunyuan_v1_dense": Family(qkv_bias="attention_bias", out_bias="attention_bias", head_norm=True, epsilon=1e-05),
    "seed_oss": Family(
        qkv_bias="attention_bias",
        out_bias="attention_out_bias",
        mlp_bias="mlp_bias",
        head_width=128,
        needed=("num_key_value_heads",),
    ),
    "glm4_moe": Family(
        qkv_bias="attention_bias",
        head_norm="use_qk_norm",
        rotary_share=0.5,
        experts=replace(_DEEPSEEK, router="sigmoid"),
        needed=("num_key_value_heads",),
        epsilon=1e-05,
    ),
    "orion": Family(norm="layer", epsilon=1e-05),
    "xverse": Family(),
    "modernbert": Family(
        norm="layer",
        has_norm_bias="norm_bias",
        activation="gelu",
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        mlp_bias="mlp_bias",
        rotary_base=160000.0,
        window="thirds",
        window_keys=("local_attention",),
        embedding_norm=True,
        is_causal=False,
        is_tied=True,
        has_first_norm=False,
        has_masked_head=True,
        epsilon=1e-05,
        window_base=10000.0,
    ),
    "vit": replace(
        _BERT,
        placement="pre",
        qkv_bias="qkv_bias",
        positions=False,
        final_norm=True,
        images=Images("first"),
    ),
    "clip_text_model": replace(_GPT2, activation="quick_gelu"),
    "clip_vision_model": replace(_VISION, final_norm=False, images=Images("first", False, True, patch=32)),
    "siglip_text_model": replace(_GPT2, activation="gelu_pytorch_tanh", is_causal=False, epsilon=1e-06),
    "siglip_vision_model": replace(_VISION, activation="gelu_pytorch_tanh", images=Images(), epsilon=1e-06),
    "llama4_vision_model": replace(
        _VISION, activation="gelu", rotary="interleaved", images=Images("last", False, True, 448, 14)
    ),
    "t5": Family(
        activation="relu",
        is_gated=False,
        rotary="",
        is_scaled=False,
        has_bias_table=True,
        is_tied=True,
        is_head_scaled=True,
        head_width=64,
        sides=Sides({}, {"num_layers": "num_decoder_layers"}),
        needed=("d_ff",),
    ),
    "bart": replace(
        _GPT2,
        placement="post",
        activation="gelu",
        offset=2,
        embedding_norm=True,
        is_embedding_scaled="scale_embedding",
        final_norm=False,
        sides=Sides(_SIDE_KEYS["encoder"], _SIDE_KEYS["decoder"]),
    ),
    "whisper": replace(
        _GPT2,
        activation="gelu",
        is_embedding_scaled="scale_embedding",
        has_k_bias=False,
        sides=Sides(
            {**_SIDE_KEYS["encoder"], "max_position_embeddings": "max_source_positions"},
            {**_SIDE_KEYS["decoder"], "max_position_embeddings": "max_target_positions"},
            bands="num_mel_bins",
        ),
    ),
    "distilbert": replace(_BERT, token_types=False, has_pooler=False, needed=("hidden_dim",)),
}

# Other names of the same family.
ALIASES = {
    "kimi_k2": "deepseek_v3",
    "RefinedWeb": "falcon",
    "RefinedWebModel": "falcon",
}
# Models of several modalities -> the family of their text, where a config says no more.
TEXT_OF = {
    "llama4": "llama4_text",
    "gemma3": "gemma3_text",
    "qwen2_vl": "qwen2",
    "qwen2_vl_text": "qwen2",
    "qwen2_5_vl": "qwen2",
    "qwen2_5_vl_text": "qwen2",
    "qwen3_vl": "qwen3",
    "qwen3_vl_text": "qwen3",
    "mistral3": "mistral",
    "internvl": "qwen2",
    "internvl_chat": "qwen2",
}
# Those whose vision tower is not known here: what runs is the text.
TEXT_ALONE = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "mistral3", "internvl", "internvl_chat")
