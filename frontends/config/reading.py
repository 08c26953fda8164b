"""From a config to the parts that one stack of layers is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ircost.frontends.config.architecture import Architecture, Idle
from ircost.frontends.config.attention_reading import FULL, HEADS, KV_HEADS, AttentionReader
from ircost.frontends.config.config_file import LARGEST, Config
from ircost.frontends.config.family import Family
from ircost.frontends.config.feed_forward_reading import INNER, FeedForwardReader
from ircost.frontends.config.layer_parts import (
    AlternatingUpdates,
    Attention,
    BiasTable,
    DenseAndExperts,
    Embedding,
    Experts,
    FeedForward,
    Head,
    Layer,
    LayerInputs,
    Mamba2,
    Mixer,
    Norm,
    SideBySide,
    Stack,
    alike_once,
)
from ircost.frontends.config.recurrent import KINDS
from ircost.frontends.config.tower_parts import Pooler
from ircost.ir.types import DType

# Names of one thing, by family.
EPSILON = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps", "norm_epsilon", "layernorm_epsilon")
POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "seq_length")
# Ends of names of classes that have something else than a head of the vocabulary. Source: huggingface/transformers,
# ``modeling_layers.py``; code beside checkpoints of Qwen's reward models and of NVIDIA's models of vectors.
OTHER_HEADS = ("ForTokenClassification", "ForQuestionAnswering", "ForRewardModel", "BidirectionalModel")
# Read by layers that not every pattern has; and what says when experts run.
NEMOTRON_PARTS = (
    "intermediate_size",
    *("n_routed_experts", "n_shared_experts", "moe_intermediate_size", "moe_shared_expert_intermediate_size"),
    *("moe_latent_size", "moe_shared_expert_overlap", "num_experts_per_tok", "routed_scaling_factor", "n_group"),
    *("topk_group", "norm_topk_prob", "time_step_rank"),
)
# Of LFM2: how weights were drawn, and other names of sizes.
LFM2_PARTS = (
    *("block_mlp_init_scale", "block_out_init_scale", "block_use_xavier_init", "conv_use_xavier_init"),
    *("block_norm_eps", "full_attn_idxs", "theta"),
)
# What files of a family say, and what its class does whatever they say.
TOLD = {
    "nemotron_h": NEMOTRON_PARTS,
    "falcon_h1": ("attn_layer_indices",),
    "glm_moe_dsa": ("moe_router_dtype",),
    "gemma3n_text": ("altup_coef_clip", "altup_lr_multiplier"),  # of training
    "youtu": ("embedding_initializer_range",),
    "gemma4_text": ("vocab_size_per_layer_input",),
    "lfm2": LFM2_PARTS,
    "lfm2_moe": (*LFM2_PARTS, "norm_topk_eps"),
    "dots1": ("scoring_func",),
    "afmoe": ("load_balance_coeff", "use_grouped_mm"),
    "hunyuan_v1_moe": ("intermediate_size", "cla_share_factor", "moe_drop_tokens", "moe_random_routing_dropped_token"),
    "mimo_v2_flash": ("attention_chunk_size",),  # layers with a window have one, and no chunks
    # The width of shared experts is that of routed ones, whatever is said. Source: BailingMoeV2SparseMoeBlock.
    **dict.fromkeys(
        ("bailing_moe", "bailing_moe_v2"),
        ("moe_shared_expert_intermediate_size", "mtp_loss_scaling_factor", "router_dtype"),
    ),
    "hy_v3": ("enable_moe_fp32_combine",),  # the format of one sum
    "ernie4_5_moe": ("moe_norm_min", "moe_capacity", "moe_gate", "moe_gate_act", "moe_use_aux_free", "use_moe"),
}
# Keys that name what is built here, and may name something else.
EXPECTED: Mapping[str, Mapping[str, object]] = {
    "qwen3_5_text": {"attn_output_gate": True},
    "qwen3_5_moe_text": {"attn_output_gate": True},
    "nemotron_h": {"attention_bias": False},
    "glm_moe_dsa": {"indexer_rope_interleave": True},
    **{name: {"use_bidirectional_attention": "vision"} for name in ("gemma4_text", "gemma4_unified_text")},  # of images
    "falcon_h1": {"mamba_use_mlp": True},
    "kimi_linear": {"mla_use_nope": True, "moe_router_activation_func": "sigmoid", "use_grouped_topk": True},
    "hunyuan_v1_moe": {"use_mixed_mlp_moe": True, "norm_topk_prob": True, "moe_layer_num_skipped": 0},
    "afmoe": {
        **{"attention_bias": False, "route_norm": True, "score_func": "sigmoid"},
        **dict.fromkeys(("n_group", "topk_group", "num_expert_groups", "num_limited_groups"), 1),
    },
    "hy_v3": {"route_norm": True, "moe_router_use_sigmoid": True, "moe_router_enable_expert_bias": True},
    "mimo_v2_flash": {"add_swa_attention_sink_bias": True, "add_full_attention_sink_bias": False},
    **{name: {"use_bias": False, "moe_router_enable_expert_bias": True} for name in ("bailing_moe", "bailing_moe_v2")},
    "mistral4": {"rope_interleave": True, "n_group": 1, "topk_group": 1},
    "lfm2": {"block_use_swiglu": True, "use_pos_enc": True},
    "lfm2_moe": {"use_expert_bias": True, "block_use_swiglu": True, "use_pos_enc": True},
    "minimax_m2": {"qk_norm_type": "per_layer", "scoring_func": "sigmoid", "use_routing_bias": True},
    "minimax_text_01": {"postnorm": True, "shared_intermediate_size": 0},
}
# Letters and names of a pattern of layers.
PATTERN = {
    **{"M": "mixer", "*": "attention", "-": "feed-forward", "E": "experts"},
    **{"mamba": "mixer", "linear_attention": "mixer", "mlp": "feed-forward", "moe": "experts"},
    **{"attention": "attention", "full_attention": "attention"},
}
WITH_STATE = ("linear_attention", "mamba", "conv")


class Reader(AttentionReader):
    def __init__(self, config: Config, family: Family, name: str) -> None:
        super().__init__(config, family, name)
        for key in family.needed:
            if key not in config.values:
                config.raw(key)
        self.norm = self._norm()

    def architecture(self, name: str, dtype: DType) -> Architecture:
        family, stack, head = self.family, self.stack(), self.head()
        outlet = Pooler("pooler", "first", self.hidden, True, "tanh") if family.has_pooler else self._scores()
        is_decoder = family.is_causal and outlet is None and not self._is_bare()
        return Architecture(
            name=name,
            family=self.name,
            hidden=self.hidden,
            embedding=self.embedding(),
            stack=stack,
            head=head if is_decoder else None,
            dtype=dtype,
            max_context=self.max_context(),
            is_decoder=is_decoder,
            outlet=outlet,
            idle=tuple(self._masked_head()) if family.has_masked_head else (),
        )

    def _class(self) -> str:
        """The class that a decoder was saved as; empty where nothing is said, and where it attends to an encoder."""
        names = self.config.listed("architectures", default=[])
        return str(names[0]) if names and self.family.is_causal and not self.family.has_cross else ""

    def _is_bare(self) -> bool:
        """Whether it has nothing behind its layers: a model of vectors.

        Raises:
            ConfigError: it has something else than a head of the vocabulary, or than scores of the last token.
        """
        name = self._class()
        if name.endswith(OTHER_HEADS):
            raise self.config.error(
                f"'architectures' says {name}: what that has in place of a head of the vocabulary is not known here",
                help="take 'architectures' out for the language model",
            )
        return name.lower() == f"{self.name.replace('_', '')}model"

    def _scores(self) -> Pooler | None:
        """Of the last token, which rerankers and models of rewards have in place of a head of the vocabulary.

        Source: huggingface/transformers, ``GenericForSequenceClassification``.
        """
        if not self._class().endswith("ForSequenceClassification"):
            return None
        named = self.config.raw("id2label", default={})
        usual = len(named) if isinstance(named, dict) and named else 2
        return Pooler("score", "last", self.config.size("num_labels", default=usual), False)

    def _masked_head(self) -> Iterator[Idle]:
        """The layer that is for training: encoders hand out what the last layer makes."""
        config = self.config
        yield Idle("head.dense.weight", (self.hidden, self.hidden))
        yield Idle("head.norm.weight", (self.hidden,))
        rest = {
            "head.dense.bias": (config.flag("classifier_bias"), self.hidden),
            "head.norm.bias": (self.norm.has_bias, self.hidden),
            "head.bias": (config.flag("decoder_bias", default=True), config.size("vocab_size")),
        }
        yield from (Idle(name, (width,)) for name, (is_there, width) in rest.items() if is_there)

    def max_context(self) -> int:
        own = ("model_max_length",) if self.name == "kimi_linear" else ()  # elsewhere that is a tokenizer's
        limit = self.config.size(*own, *POSITIONS, default=0, least=0)
        if limit:
            limit = max(limit, self._stretched_context())
        return max(limit - self.family.offset, 0) if self.family.is_offset_counted else limit

    def _stretched_context(self) -> int:
        """Tokens that YaRN stretches a model to, whatever it was trained for; 0 where nothing is said of it.

        Raises:
            ConfigError: what is said of it is no number, or more than any model takes.

        Source: Peng et al., "YaRN: Efficient Context Window Extension of Large Language Models", 2023; configs of
        Qwen 2.5 and 3 leave ``max_position_embeddings`` at the length before, and servers multiply.
        """
        for name in ("rope_scaling", "rope_parameters"):
            said = self.config.values.get(name)
            if not isinstance(said, dict):
                continue
            # A section of its own: that its keys are read here must not count where nothing else reads them.
            whole = Config(said, self.config.file, f"{self.config.path}{name}.")
            own = whole.section("full_attention") or whole
            if own.raw("rope_type", "type", default="") != "yarn":
                continue
            before = own.number("original_max_position_embeddings", default=0.0)
            factor = own.number("factor", default=0.0)
            if not 0 <= before * factor <= LARGEST:
                raise own.error(f"'factor' is {factor:g}, which makes no context out of {before:g} positions")
            if before * factor:
                return int(before * factor)
        return 0

    def stack(self) -> Stack:
        config = self.config
        layers = alike_once(self._layer(place) for place in range(self.layers))
        config.passed("num_nextn_predict_layers", "rope_interleave", "max_window_layers", "head_dim")
        if self.family.dense_inner:
            config.passed(self.family.dense_inner, *INNER, "attn_temperature_tuning", "floor_scale", "attn_scale")
        if self.family.states is not None:
            config.passed(*HEADS, *KV_HEADS)
        if True in (self.family.head_norm, self.family.whole_norm):
            config.passed("use_qk_norm")
        config.passed(*TOLD.get(self.name, ()))
        for key, expected in EXPECTED.get(self.name, {}).items():
            if (value := config.raw(key, default=expected)) != expected:
                raise config.error(f"'{key}' is {value}, and what it changes is not known")
        has_wide_sums = config.flag("residual_in_fp32", default=not self.family.has_feed_forward)
        return Stack(layers, self._final_norm(), self._bias_table(), has_wide_sums)

    def _bias_table(self) -> BiasTable | None:
        config, family = self.config, self.family
        if not family.has_bias_table:
            return None
        buckets = config.size("relative_attention_num_buckets", default=32)
        farthest = config.size("relative_attention_max_distance", default=128)
        return BiasTable(buckets, farthest, config.size(*HEADS), not family.is_causal)

    # ---- norms, embedding, head

    def _norm(self) -> Norm:
        family = self.family
        epsilon = self.config.number(*EPSILON, default=family.epsilon)
        if family.norm == "rms":
            return Norm("rms", epsilon)
        has_scale = self.says(family.has_norm_scale)
        return Norm("layer", epsilon, has_scale, has_scale and self.says(family.has_norm_bias))

    def _final_norm(self) -> Norm | None:
        """Models with norms behind the sums have none at the end."""
        return self.norm if self.family.final_norm and self._placement() != "post" else None

    def embedding(self) -> Embedding:
        family, config = self.family, self.config
        rows, max_context = 0, self.max_context()
        if family.positions:
            rows = max_context + family.offset
        return Embedding(
            vocabulary=config.size("vocab_size"),
            hidden=self.hidden,
            width=config.size("word_embed_proj_dim", "embedding_size", default=self.hidden),
            positions=rows,
            offset=family.offset,
            token_types=config.size("type_vocab_size", default=2, least=0) if family.token_types else 0,
            norm=self.norm if family.embedding_norm else None,
            factor=self._embedding_factor(),
        )

    def _embedding_factor(self) -> float:
        own = self.hidden**0.5 if self.says(self.family.is_embedding_scaled) else 1.0
        return self.config.number("embedding_multiplier", "scale_emb", default=own)

    def head(self) -> Head | None:
        """Encoders hand out what their last layer makes."""
        config, family = self.config, self.family
        names = ("tie_embedding",) if self.name.startswith("lfm2") else ()
        tied = config.flag(*names, "tie_word_embeddings", default=family.is_tied)
        factor = config.number("logit_scale", default=family.logit_factor) / config.number(
            "logits_scaling", default=1.0
        )
        factor *= config.number("lm_head_multiplier", default=1.0)
        factor *= config.number("dim_model_base", default=float(self.hidden)) / self.hidden
        if not family.is_causal:
            return None
        return Head(
            vocabulary=config.size("vocab_size"),
            is_tied=tied,
            has_bias=self.says(family.head_bias),
            softcap=self.cap("final_logit_softcapping", family.logit_cap),
            factor=factor,
            scale=self.hidden**-0.5
            if family.is_head_scaled and config.flag("scale_decoder_outputs", default=tied)
            else 1.0,
        )

    # ---- layers

    def _placement(self) -> str:
        config, family = self.config, self.family
        if family.placement == "parallel two" and not config.flag("use_parallel_residual", default=True):
            return "pre"
        if self.name == "falcon":
            if not config.flag("parallel_attn", default=True):
                return "pre"
            is_new = config.flag("new_decoder_architecture")
            norms = config.size("num_ln_in_parallel_attn", default=2 if is_new else 1)
            return "parallel two" if is_new and norms == 2 else "parallel"
        if self.name == "opt":
            return "pre" if config.flag("do_layer_norm_before", default=True) else "post"
        if self.name == "stablelm":
            return "parallel" if config.flag("use_parallel_residual") else "pre"
        if self.name == "bloom" and config.flag("apply_residual_connection_post_layernorm"):
            raise config.error("'apply_residual_connection_post_layernorm' is true, which is not known here")
        return family.placement

    def _factors(self, is_attention: bool) -> tuple[tuple[float, float], tuple[float, float]]:
        """Of what comes into a layer's parts and what they make (MiniMax-01)."""
        if self.family.placement != "normed":
            usual = self.config.number("scale_depth", default=self.layers**0.5) / self.layers**0.5
            both = 1.0, self.config.number("residual_multiplier", default=usual)
            return both, both
        self.config.passed("shared_moe_mode")
        keys = [
            [(f"layernorm_{kind}_attention_{part}", f"{kind[:6]}_attn_{part}_factor") for part in ("alpha", "beta")]
            for kind in ("full", "linear")
        ]
        mlp = [(f"layernorm_mlp_{part}", f"mlp_{part}_factor") for part in ("alpha", "beta")]
        full, linear, fed = (tuple(self.config.number(*names, default=1.0) for names in pair) for pair in (*keys, mlp))
        first, second = full if is_attention else linear
        return (first, second), (fed[0], fed[1])

    def _is_attention(self, place: int) -> bool:
        """Whether a layer attends, in families whose others keep a state."""
        config, states = self.config, self.family.states
        if states is None:
            return True
        if states.attention == "beside":
            return True
        if states.attention == "period":
            period, offset = config.size("attn_layer_period", default=8), config.size("attn_layer_offset", default=4)
            return place % period == offset
        if states.attention == "pattern":
            return self._kind(place) == "attention"
        if states.attention == "indices":
            return place in config.listed("attn_layer_indices")
        kinds = config.listed("layer_types", "attn_type_list", default=[]) if states.attention else []
        every = config.size(states.interval, default=4) if states.attention == "interval" else 0
        attending = config.listed("full_attn_idxs", of=(int,), default=[]) or self._counted_from_one()
        if kinds:
            self.check_per_layer("layer_types", kinds)
            if kinds[place] not in (0, 1, *FULL, *WITH_STATE):
                raise config.error(
                    f"'layer_types' names '{kinds[place]}'", help=f"known: {', '.join(FULL + WITH_STATE)}"
                )
            return kinds[place] in (1, *FULL)
        if attending:
            return place in attending
        if states.attention == "listed":
            raise config.error("'layer_types' is missing: which layers attend must be told")
        return bool(every) and (place + 1) % every == 0

    def _counted_from_one(self) -> list[int]:
        """Places of layers that attend, which Kimi Linear numbers from 1 on.

        Raises:
            ConfigError: a layer is in neither of both lists, or in both.
        """
        said = self.config.section("linear_attn_config")
        if said is None or "full_attn_layers" not in said:
            return []
        full, kept = (said.listed(key, of=(int,)) for key in ("full_attn_layers", "kda_layers"))
        if sorted((*full, *kept)) != [*range(1, self.layers + 1)]:
            raise said.error(f"'full_attn_layers' and 'kda_layers' are not the numbers from 1 to {self.layers}")
        return [number - 1 for number in full]

    def _searched_layer(self, place: int) -> Layer:
        """Of a model whose layers each have parts of their own, or lack one (Llama-Nemotron).

        Source: Bercovich et al., "Puzzle", 2024; nvidia/Llama-3_3-Nemotron-Super-49B-v1, ``modeling_decilm.py``.
        """
        block = self._block(place)
        said, fed = block.section("attention"), block.section("ffn")
        if said is None or fed is None:
            raise block.error("'attention' or 'ffn' is missing")
        mixer, feed_forward = None, None
        if not said.flag("no_op"):
            heads, each = self.config.size(*HEADS), said.size("n_heads_in_group")
            if heads % each:
                raise said.error(f"{heads} heads do not divide into groups of {each}")
            mixer = replace(self.attention(place), kv_heads=heads // each)
        if not fed.flag("no_op"):
            wide = int(2 * fed.number("ffn_mult") * self.hidden / 3)
            activation, has_bias = self.activation(), self.says(self.family.mlp_bias)
            feed_forward = FeedForward(-(-wide // 256) * 256, activation, True, has_bias)
        for section in (said, fed):
            section.passed("n_heads_in_group", "ffn_mult")
        block.check_all_read()
        return Layer(mixer, feed_forward, self.norm)

    def _block(self, place: int) -> Config:
        blocks = self.config.raw("block_configs")
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            raise self.config.error("'block_configs' is no list of sections")
        self.check_per_layer("block_configs", blocks)
        return Config(blocks[place], self.config.file, f"{self.config.path}block_configs[{place}].")

    def _layer(self, place: int) -> Layer:
        if self.name == "nemotron-nas":
            return self._searched_layer(place)
        mixer_sum, feed_forward_sum = self._factors(self._is_attention(place))
        kind = self._kind(place)
        mixer = None if kind in ("feed-forward", "experts") else self._mixer(place)
        cross = None
        if self.family.has_cross:
            assert isinstance(mixer, Attention), "families with an encoder have plain attention"
            cross = replace(mixer, is_causal=False, has_bias_table=False)
        return Layer(
            mixer=mixer,
            cross=cross,
            feed_forward=self._fed(place, kind),
            norm=self.norm,
            placement=self._placement(),
            has_mixer_norm=place > 0 or self.family.has_first_norm,
            has_scale=self.family.has_layer_scale,
            inputs=self._layer_inputs(),
            updates=self._updates(),
            mixer_sum=mixer_sum,
            feed_forward_sum=feed_forward_sum,
        )

    def _kind(self, place: int) -> str:
        """What a layer is by its model's pattern (Nemotron-H); where there is none, mixer and feed-forward both."""
        if self.family.states is None or self.family.states.attention != "pattern":
            return "both" if self.family.has_feed_forward else "mixer"
        pattern = [*self.config.text("hybrid_override_pattern", default="")]
        kinds = pattern or self.config.listed("layers_block_type", "layer_types")
        self.check_per_layer("hybrid_override_pattern", kinds)
        if kinds[place] not in PATTERN:
            raise self.config.error(f"'hybrid_override_pattern' names '{kinds[place]}'", help=f"known: {[*PATTERN]}")
        return PATTERN[kinds[place]]

    def _mixer(self, place: int) -> Mixer:
        states = self.family.states
        if states is not None and states.attention == "beside":
            return self._side_by_side(states.kind, place)
        if states is not None and not self._is_attention(place):
            return KINDS[states.kind](self.config, self.hidden, self.norm)
        return self.latent(place) if self.family.has_latent else self.attention(place)

    def _side_by_side(self, kind: str, place: int) -> SideBySide:
        config = self.config
        state = KINDS[kind](config, self.hidden, self.norm)
        assert isinstance(state, Mamba2), "no others stand beside attention"
        names = [(f"{part}_in_multiplier", f"{part}_out_multiplier") for part in ("attention", "ssm")]
        attended, kept = ((config.number(a, default=1.0), config.number(b, default=1.0)) for a, b in names)
        return SideBySide(self.attention(place), state, attended, kept)

    def _layer_inputs(self) -> LayerInputs | None:
        config = self.config
        width = config.size("hidden_size_per_layer_input", default=0, least=0) if self.family.has_layer_inputs else 0
        if not width:
            return None
        vocabulary = config.size("vocab_size_per_layer_input", default=262144)
        return LayerInputs(vocabulary, width, self._reader().activation(), self.norm)

    def _updates(self) -> AlternatingUpdates | None:
        config = self.config
        if not self.family.has_updates:
            return None
        if (place := config.size("altup_active_idx", default=0, least=0)) != 0:
            raise config.error(f"'altup_active_idx' is {place}", help="the first state is what is known here")
        states, rank = config.size("altup_num_inputs", default=4, least=2), config.size("laurel_rank", default=64)
        return AlternatingUpdates(states, rank, config.flag("altup_correct_scale", default=True), self.norm)

    def _reader(self) -> FeedForwardReader:
        return FeedForwardReader(self.config, self.family, self.name)

    def feed_forward(self, place: int) -> FeedForward | Experts:
        return self._reader().layer(place)

    def _fed(self, place: int, kind: str) -> FeedForward | Experts | DenseAndExperts | None:
        """Of a layer that a pattern names, that which it names."""
        reader, routing = self._reader(), self.family.experts
        if kind == "experts" and routing is not None:
            self._check_nemotron_experts()
            return reader.experts(routing)
        if kind == "feed-forward":
            self.config.size("intermediate_size")
            return reader.dense()
        if self.family.has_full_heads:
            return self._gemma_fed(reader, place)
        if self.name == "gemma3n_text":
            return self._sparse_fed(reader, place)
        return self.feed_forward(place) if kind == "both" else None

    def _sparse_fed(self, reader: FeedForwardReader, place: int) -> FeedForward:
        """Of Gemma 3n, whose layers may have widths and shares of zeros of their own."""
        config = self.config
        sizes = config.raw("intermediate_size")
        usual = [0.95 if self.layers > 10 and n < 10 else 0.0 for n in range(self.layers)]
        shares = config.listed("activation_sparsity_pattern", of=(int, float), default=usual)
        self.check_per_layer("activation_sparsity_pattern", shares)
        if not 0 <= shares[place] < 1:
            raise config.error(f"'activation_sparsity_pattern' holds {shares[place]}, 0 and more and below 1 expected")
        widths = config.listed("intermediate_size", of=(int,)) if isinstance(sizes, list) else []
        if widths:
            self.check_per_layer("intermediate_size", widths)
        inner = widths[place] if widths else config.size("intermediate_size")
        return FeedForward(inner, reader.activation(), True, sparsity=float(shares[place]))

    def _gemma_fed(self, reader: FeedForwardReader, place: int) -> FeedForward | DenseAndExperts:
        """A dense layer, beside which there may be experts; twice as wide, maybe, where keys are those of another."""
        dense, routing = reader.dense(), self.family.experts
        if self.config.flag("use_double_wide_mlp") and place >= self.first_shared():
            dense = replace(dense, inner=2 * dense.inner)
        if routing is None:
            return dense
        self.config.passed("num_experts", "top_k_experts", "moe_intermediate_size")
        if not self.config.flag("enable_moe_block"):
            return dense
        bare = replace(self.norm, has_scale=False)
        return DenseAndExperts(dense, replace(reader.experts(routing), router_norm=bare, has_scales=True), self.norm)

    def _check_nemotron_experts(self) -> None:
        """Raises:
        ConfigError: no width of the shared layer; several of them, which transformers takes for one, and vLLM for a
            wider one; biases between experts and the width of the model.
        """
        config = self.config
        config.size("moe_shared_expert_intermediate_size")
        shared = config.size("n_shared_experts", default=1, least=0)
        if shared != 1:
            raise config.error(f"'n_shared_experts' is {shared}", help="one shared layer is what is known here")
        if config.flag("mlp_bias"):
            raise config.error("'mlp_bias' is true, which of experts is not known here")
