"""What a family of models may be made of: the columns of the tables in ``families.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Routing:
    """Where a family's mixtures of experts are told.

    Args:
        count, chosen, inner, factor: keys; of several of one meaning, ``a|b``, the first that is there counts.
        router, is_normalised: as in `Experts`; text names a key. scoring, is_usually_normalised, usual_factor: what
            they and the factor are where that key is missing.
        shared_inner: key of the shared layer's width; shared_count: key of how many experts make it up, shared_usual
            where no key says, and shared_width: key of the width of one, where it is another than of the rest.
        first, last, step: keys of the first and of the last layer with experts, and of every how many there are some.
            offset: key of the first one's place in each step. dense_before: layers without any where no key says.
        listed: key with ``sparse`` or ``dense`` for each layer, which says it in place of those.
        latent: key of the width of the projection before routed experts.
    """

    count: str
    chosen: str = "num_experts_per_tok"
    inner: str = "moe_intermediate_size"
    factor: str = "routed_scaling_factor"
    router: str = "softmax"
    scoring: str = "softmax"
    is_normalised: bool | str = True
    is_usually_normalised: bool = True
    usual_factor: float = 1.0
    shared_inner: str = ""
    shared_count: str = ""
    shared_usual: int = 0
    shared_width: str = ""
    is_shared_gated: bool = False
    has_router_bias: bool = False
    has_bias: bool = False
    is_interleaved: bool = False
    limit: float = 0.0
    first: str = ""
    last: str = ""
    step: str = ""
    offset: str = ""
    dense_before: int = 0
    listed: str = ""
    dense_layers: str = ""
    groups: tuple[str, str] | None = None
    latent: str = ""


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
            ``pattern``: a key with a letter for each, of which some are feed-forward layers alone. ``beside``: in each
            layer, beside the state.
        interval: key of every so many layers, of which the last attends.
    """

    kind: str
    attention: str = ""
    interval: str = "full_attention_interval"


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
        has weights of its own; is_norm_behind: behind the rotation; has_plain_norm: none has any.
    head_width: of a head where no key says; 0: hidden size over heads.
    window: ``all`` where every layer has the window of ``sliding_window``; ``alternate`` every other, the first one
        first; ``thirds``: all but the first of every ``global_attn_every_n_layers``; ``pattern``: all but each
        ``sliding_window_pattern``-th; ``flag``: where ``use_sliding_window`` says so; ``from``: from layer
        ``max_window_layers`` on; ``listed``: where ``hybrid_layer_pattern`` has a 1.
    window_before: key of how many tokens before its own one sees there, in place of the window's width.
    window_heads: key of heads where there is a window.
    window_kv_heads: key of heads of keys and values where there is a window; twice as many as elsewhere where it is
        missing. value_width: key of the width of their values. has_chunks: whether attention may see chunks alone.
    has_sinks: of every layer, or ``where windows are``.
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
    is_gated_output: what attention puts out is multiplied by a sigmoid of a projection; is_gated_by_head: each head's
        by that of its own number. limits: keys of clips by layer, of experts and of what all tokens pass.
    images: of vision towers, which read those.
    has_usual_values: heads of latent attention have values as wide as the hidden size over heads where no key says.
    indexer: whether latent attention sees what one chooses: how its keys turn, ``half`` or ``interleaved``.
    has_layer_inputs: a vector for each token and layer, where ``hidden_size_per_layer_input`` is not 0.
    has_updates: several states of each token.
    is_tuned: queries grow with their position as ``llama_4_scaling_beta`` says.
    has_full_heads: layers without a window, of which the last layer is one, have heads of other widths and numbers.
    has_value_norm: of each head of values, without weights. has_layer_scale: what a layer hands on has a learnt factor.
    score_scalar: whose root scores are divided by, score_cap, logit_cap and logit_factor: of scores and of logits,
        where no key says; 0: a head's width, and no caps.
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
    is_norm_behind: bool = False
    has_value_norm: bool = False
    has_full_heads: bool = False
    has_layer_scale: bool = False
    has_layer_inputs: bool = False
    has_updates: bool = False
    has_plain_norm: bool = False
    head_width: int = 0
    kv_heads: int = 0
    window: str = ""
    is_rotary_windowed: bool | str = False
    dense_inner: str = ""
    has_sinks: bool | str = False
    is_tuned: bool = False
    has_chunks: bool = False
    value_width: str = ""
    is_tied: bool = False
    is_causal: bool = True
    has_latent: bool = False
    has_usual_values: bool = False
    indexer: str = ""
    final_norm: bool = True
    has_pooler: bool = False
    experts: Routing | None = None
    has_k_bias: bool = True
    has_bias_table: bool = False
    is_scaled: bool = True
    score_scalar: float = 0.0
    score_cap: float = 0.0
    logit_cap: float = 0.0
    logit_factor: float = 1.0
    is_head_scaled: bool = False
    sides: Sides | None = None
    has_cross: bool = False
    images: Images | None = None
    states: States | None = None
    has_feed_forward: bool = True
    is_gated_output: bool = False
    is_gated_by_head: bool = False
    limits: tuple[str, str] | None = None
    has_first_norm: bool = True
    has_masked_head: bool = False
    rotary_key: str = ""
    window_keys: tuple[str, ...] = ()
    window_before: str = ""
    window_heads: str = ""
    window_kv_heads: str = ""
    window_width: int = 0
    window_base: float = 0.0
    window_pattern: int = 6
    no_rope_interval: int = 0
    needed: tuple[str, ...] = ()
