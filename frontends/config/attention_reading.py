"""From a config to the attention of each layer: heads, positions, windows, latents, and who chooses the keys."""

from __future__ import annotations

from dataclasses import replace

from ircost.frontends.config.config_file import NO_DEFAULT, Config
from ircost.frontends.config.family_reading import FamilyReader
from ircost.frontends.config.layer_parts import Attention, Indexer, LatentAttention, Norm, Rotary
from ircost.ir.types import f8e4m3

HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
KV_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv")
WINDOWED = ("sliding_attention", "chunked_attention", "local_attention", "sliding_window", "local")
ROTARY_SCALING = (
    *("rope_type", "type", "factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
    *(
        "beta_fast",
        "beta_slow",
        "mscale",
        "mscale_all_dim",
        "attention_factor",
        "short_factor",
        "long_factor",
        "truncate",
    ),
    *("partial_rotary_factor", "mrope_section", "mrope_interleaved", "max_position_embeddings"),
)  # what changes angles, and no shape
# Of every so many layers the last has no window.
WINDOW_PATTERN = ("sliding_window_pattern", "_sliding_window_pattern", "global_attn_every_n_layers")
FULL = ("full_attention", "global_attention", "attention", "full", "global")
INDEXED = ("indexed_attention", "deepseek_sparse_attention")


class AttentionReader(FamilyReader):
    """Attributes:
    norm: of the family's layers, which heads and latents may have too; whoever reads them sets it.
    """

    norm: Norm

    def attention(self, place: int) -> Attention:
        config, family = self.config, self.family
        heads, kv_heads, width = self._heads(place)
        has_rotary = self._has_rotary(place)
        scalar = config.number("query_pre_attn_scalar", default=family.score_scalar or float(width))
        scale = scalar**-0.5 if family.is_scaled else 1.0
        if self.name == "gpt2":
            self._check_gpt2_scale()
        norm = replace(self.norm, has_bias=False, has_scale=not family.has_plain_norm)
        return Attention(
            heads=heads,
            kv_heads=kv_heads,
            width=width,
            value_width=self._value_width(width),
            scale=config.number("attention_multiplier", default=scale),
            is_causal=family.is_causal,
            has_qkv_bias=self.says(family.qkv_bias),
            has_k_bias=family.has_k_bias,
            has_out_bias=self.says(family.out_bias),
            head_norm=(norm if family.is_norm_by_head or family.has_plain_norm else self.norm)
            if self.says(family.head_norm) and (has_rotary or not family.has_plain_norm)
            else None,
            is_norm_by_head=family.is_norm_by_head,
            is_norm_behind=family.is_norm_behind,
            whole_norm=self.norm if self.says(family.whole_norm) else None,
            rotary=self._rotary(width, bool(self._window(place))) if has_rotary else None,
            window=self._window(place),
            chunk=config.size("attention_chunk_size", default=0, least=0) if family.has_chunks and has_rotary else 0,
            softcap=self.cap("attn_logit_softcapping", family.score_cap),
            has_sinks=bool(self._window(place)) if family.has_sinks == "where windows are" else bool(family.has_sinks),
            has_alibi=self._has_alibi(),
            has_bias_table=family.has_bias_table,
            is_gated=family.is_gated_output,
            is_gated_by_head=family.is_gated_by_head,
            tuning=self._tuning(has_rotary),
            key_factor=config.number("key_multiplier", default=1.0),
            value_factor=config.number("attention_value_scale", default=1.0),
            value_norm=replace(norm, has_scale=False) if family.has_value_norm else None,
            has_values=not self._keys_are_values(place),
            is_shared=place >= self.first_shared(),
            is_kept=self._is_kept(place),
        )

    def cap(self, key: str, usual: float) -> float:
        """What a key says, or where there is none the usual one; null says that there is no cap."""
        return self.config.number(key, default=0.0 if key in self.config.values else usual)

    def first_shared(self) -> int:
        """The first layer that has no keys and values of its own."""
        return self.layers - self.config.size("num_kv_shared_layers", default=0, least=0)

    def _is_kept(self, place: int) -> bool:
        """Whether later layers see its keys and values: the last before those of its kind, with a window or without."""
        first = self.first_shared()
        if not place < first < self.layers:
            return False
        kinds = [bool(self._window(n)) for n in range(place, first)]
        return kinds.count(kinds[0]) == 1

    def _tuning(self, has_rotary: bool) -> tuple[float, float, int] | None:
        """Source: huggingface/transformers, ``Llama4TextAttention``, ``get_llama_4_attn_scale`` of Ministral 3."""
        config = self.config
        said = config.section("rope_parameters") if self.family.is_tuned else None
        if said is not None and "llama_4_scaling_beta" in said:
            floor = said.number("original_max_position_embeddings")
            return floor, said.number("llama_4_scaling_beta"), 0
        floor, factor = config.number("floor_scale", default=8192.0), config.number("attn_scale", default=0.1)
        is_tuned = self.name == "llama4_text" and config.flag("attn_temperature_tuning", default=True)
        return (floor, factor, 1) if is_tuned and not has_rotary else None

    def _check_gpt2_scale(self) -> None:
        if not self.config.flag("scale_attn_weights", default=True):
            raise self.config.error("'scale_attn_weights' is false, which is not known here")
        self.config.passed("scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn")

    def _heads(self, place: int) -> tuple[int, int, int]:
        config, family = self.config, self.family
        heads = config.size(*HEADS)
        width = config.size("head_dim", "attention_head_dim", "d_kv", default=family.head_width or None)
        if family.has_full_heads:
            return self._heads_of_kind(place, heads, width)
        if width is None:
            if self.hidden % heads:
                raise config.error(
                    f"hidden size {self.hidden} does not divide by {heads} heads", help="give head_dim, or mend either"
                )
            width = self.hidden // heads
        if family.window_heads and self._window(place):
            heads = config.size(family.window_heads)
        kv_heads = self._kv_heads(heads)
        if family.window_kv_heads and self._window(place):
            self._check_alike(swa_num_attention_heads=heads, swa_head_dim=width)
            kv_heads = config.size(family.window_kv_heads, default=2 * kv_heads)
        if heads % kv_heads:
            raise config.error(f"{heads} heads cannot share {kv_heads} heads of keys and values evenly")
        return heads, kv_heads, width

    def _check_alike(self, **sizes: int) -> None:
        """Raises:
        ConfigError: layers with a window have other sizes than those without.
        """
        for key, size in sizes.items():
            if (said := self.config.size(key, default=size)) != size:
                raise self.config.error(
                    f"'{key}' is {said}, and {size} without a window", help="both alike are known here"
                )

    def _value_width(self, width: int) -> int:
        if not self.family.value_width:
            return width
        found = self.config.size(self.family.value_width, default=width)
        self._check_alike(swa_v_head_dim=found)
        return found

    def _heads_of_kind(self, place: int, heads: int, width: int) -> tuple[int, int, int]:
        """Layers without a window have wider heads, and where their values are keys, another number of these.

        In what transformers 5.24 saves a section says what differs, by the number of the layer.
        """
        config, kv_heads = self.config, self._kv_heads(heads)
        said = config.section("per_layer_config")
        wide = config.size("global_head_dim", default=512)
        others = config.size("num_global_key_value_heads", default=kv_heads)
        if said is not None:
            own = said.section(str(place)) or said.section(str(place).zfill(len(str(self.layers - 1)))) or said
            width, kv_heads = own.size("head_dim", default=width), own.size(*KV_HEADS, default=kv_heads)
        elif not self._window(place):
            width, kv_heads = wide, others if self._keys_are_values(place) else kv_heads
        if heads % kv_heads:
            raise config.error(f"{heads} heads cannot share {kv_heads} heads of keys and values evenly")
        return heads, kv_heads, width

    def _keys_are_values(self, place: int) -> bool:
        return self.config.flag("attention_k_eq_v") and not self._window(place)

    def _kv_heads(self, heads: int) -> int:
        config = self.config
        if self.name == "falcon" and config.flag("new_decoder_architecture"):
            config.passed("multi_query")
        elif self.name == "falcon":
            config.passed(*KV_HEADS)
            return 1 if config.flag("multi_query", default=True) else heads
        if self.name == "gpt_bigcode":
            config.passed(*KV_HEADS)
            return 1 if config.flag("multi_query", default=True) else heads
        attention = config.section("attn_config")
        if attention is not None and "kv_n_heads" in attention:
            return attention.size("kv_n_heads")
        return config.size(*KV_HEADS, default=heads)

    def _has_rotary(self, place: int) -> bool:
        if not self.family.rotary or self._has_alibi():
            return False
        if self.family.rotary_key and self.config.text(self.family.rotary_key, default="") != "rope":
            return False
        if self.family.is_rotary_windowed and not self._window(place):
            return self.family.is_rotary_windowed == "where windows are" and not self._has_windows()
        listed = self.config.listed("no_rope_layers", default=[])
        every = self.config.size("no_rope_layer_interval", default=self.family.no_rope_interval, least=0)
        if listed:
            self.check_per_layer("no_rope_layers", listed)
            return bool(listed[place])
        return not (every and (place + 1) % every == 0)

    def _has_windows(self) -> bool:
        return any(self._window(place) for place in range(self.layers))

    def _rotary(self, width: int, is_windowed: bool) -> Rotary:
        config, family = self.config, self.family
        said = self._rotary_section(is_windowed)
        names = ("partial_rotary_factor", "rotary_pct", "rope_pct")
        share = said.number(*names, default=config.number(*names, default=family.rotary_share))
        is_spread = said is not config and said.raw("rope_type", default="") == "proportional"
        turning, share = (int(share * width // 2), 1.0) if is_spread else (0, share)
        rotated = config.size("rotary_dim", "attn_rotary_emb", default=int(width * share))
        if not 0 < rotated <= width or rotated % 2:
            raise config.error(f"{rotated} of {width} elements of a head cannot be rotated in pairs")
        own = ("rope_local_base_freq", "local_rope_theta", "swa_rope_theta") if is_windowed else ("global_rope_theta",)
        names = ("rope_theta", "rotary_emb_base", "rotary_base")
        if is_windowed and family.window_base:
            base = said.number(*own, *(names if said is not config else ()), default=family.window_base)
        else:
            base = said.number(*own, *names, default=family.rotary_base)
        return Rotary(rotated, base, family.rotary == "interleaved", turning=turning)

    def _rotary_section(self, is_windowed: bool) -> Config:
        """Since transformers 5 what is told of positions has a section, and may have one for each kind of layer."""
        said = self.config.section("rope_parameters")
        if said is None:
            return self.config
        own = said.section("sliding_attention" if is_windowed else "full_attention") or said
        for section in (said, own):
            section.passed(*ROTARY_SCALING, "full_attention", "sliding_attention")
        return own

    def _has_alibi(self) -> bool:
        attention = self.config.section("attn_config")
        if attention is not None:
            attention.passed("attn_impl", "attn_pdrop", "attn_uses_sequence_id", "prefix_lm", "alibi_bias_max")
            if attention.text("attn_type", default="multihead_attention") == "multiquery_attention":
                raise attention.error("'attn_type' is 'multiquery_attention'", help='say "kv_n_heads": 1')
            attention.passed("softmax_scale", "clip_qkv")
            return attention.flag("alibi", default=self.family.has_alibi)
        if self.name == "baichuan" and not {"alibi", "max_position_embeddings"} & self.config.values.keys():
            raise self.config.error(
                "'max_position_embeddings' is missing, as in Baichuan's 13B, which has ALiBi",
                help='say "alibi": true, or give max_position_embeddings',
            )
        return self.config.flag("alibi", default=self.family.has_alibi)

    def _window(self, place: int) -> int:
        config, family = self.config, self.family
        kinds = config.listed("layer_types", default=[])
        if self.name == "minimax_m2" and set(config.listed("attn_type_list", default=[])) - {1}:
            raise config.error("'attn_type_list' names others than 1, full attention")
        is_said = any(key in config.values for key in ("sliding_window", *family.window_keys))
        usual = 0 if is_said else family.window_width  # null says that there is none
        window = config.size("sliding_window", *family.window_keys, default=usual, least=0)
        if family.window_before:
            window = config.size(family.window_before, default=window - 1, least=0) + 1
        config.passed(*WINDOW_PATTERN)
        if self.name == "gemma2":
            config.passed("sliding_window_size")  # in published files, and read by nobody
        if family.has_full_heads and place == self.layers - 1:
            return 0  # whatever is said of it. Source: huggingface/transformers, ``Gemma4TextConfig``
        if kinds:
            self.check_per_layer("layer_types", kinds)
            if kinds[place] not in (*WINDOWED, *FULL):
                raise config.error(f"'layer_types' names '{kinds[place]}'", help=f"known: {', '.join(WINDOWED + FULL)}")
            return window if kinds[place] in WINDOWED else 0
        if family.window == "listed":
            flags = config.listed("hybrid_layer_pattern", of=(int,))
            self.check_per_layer("hybrid_layer_pattern", flags)
            return window if flags[place] else 0
        if family.window == "pattern":
            pattern = config.size(*WINDOW_PATTERN, default=family.window_pattern)
            return window if (place + 1) % pattern else 0
        if family.window == "from":
            return window if place >= config.size("max_window_layers", default=self.layers, least=0) else 0
        if family.window == "flag":
            first = config.size("max_window_layers", default=0, least=0)
            return window if config.flag("use_sliding_window") and place >= first else 0
        is_windowed = {
            "": False,
            "all": True,
            "alternate": place % 2 == 0,
            "thirds": place % config.size("global_attn_every_n_layers", default=3) != 0,
        }[family.window]
        if window and not family.window:
            raise config.error(f"'sliding_window' is {window}, and which layers of a {self.name} have it is not known")
        return window if is_windowed else 0

    def latent(self, place: int) -> LatentAttention:
        config = self.config
        plain, rotated = config.size("qk_nope_head_dim"), config.size("qk_rope_head_dim")
        config.passed(*KV_HEADS, "qk_head_dim")
        base = self._rotary_section(False).number("rope_theta", default=self._said_base())
        has_indexer = self._has_indexer(place)
        heads = config.size(*HEADS)
        usual_values = self.hidden // heads if self.family.has_usual_values else NO_DEFAULT
        return LatentAttention(
            heads=heads,
            query_rank=config.size("q_lora_rank", default=0),
            latent=config.size("kv_lora_rank"),
            plain=plain,
            shared=rotated,
            rotary=Rotary(rotated, base, self.family.rotary == "interleaved") if self.family.rotary else None,
            value_width=config.size("v_head_dim", default=usual_values),
            norm=self.norm,
            scale=(plain + rotated) ** -0.5,
            has_bias=self.says(self.family.qkv_bias),
            tuning=self._tuning(has_rotary=True),
            is_gated=self.family.is_gated_output,
            indexer=self._indexer(Rotary(rotated, base, self.family.indexer == "interleaved")) if has_indexer else None,
            takes_choice=bool(self.family.indexer) and not has_indexer,
        )

    def _said_base(self) -> float:
        return self.config.number("rope_theta", default=self.family.rotary_base)

    def _indexer(self, rotary: Rotary) -> Indexer:
        config = self.config
        width = config.size("index_head_dim")
        if rotary.width > width:
            raise config.error(f"{rotary.width} of {width} elements of an indexer's key cannot turn")
        norm = Norm("layer", 1e-6, has_bias=True)
        return Indexer(config.size("index_n_heads"), width, rotary, norm, config.size("index_topk"), f8e4m3)

    def _has_indexer(self, place: int) -> bool:
        """Whether a layer chooses by itself: listed, by letters, every so many, or all of them.

        Source: huggingface/transformers, ``GlmMoeDsaConfig``.
        """
        config = self.config
        if not self.family.indexer:
            return False
        if others := set(config.listed("layer_types", default=[])) - set(INDEXED):
            raise config.error(f"'layer_types' names '{min(others)}'", help=f"known: {', '.join(INDEXED)}")
        kinds = config.listed("indexer_types", default=[])
        letters = config.raw("index_topk_pattern", default="")
        every = config.size("index_topk_freq", default=1)
        first = config.size("index_skip_topk_offset", default=2, least=0)
        kinds = kinds or [{"F": "full", "S": "shared"}.get(str(letter), letter) for letter in letters]
        if not kinds:
            return max(place - first + 1, 0) % every == 0
        self.check_per_layer("indexer_types", kinds)
        if kinds[place] not in ("full", "shared"):
            raise config.error(f"'indexer_types' names '{kinds[place]}'", help="known: full, shared")
        if place == 0 and kinds[0] == "shared":
            raise config.error("'indexer_types' says that the first layer sees what one before it chose")
        return bool(kinds[place] == "full")
