"""Encoders of text and of images, and models of an encoder and a decoder: a row each.

Values are the defaults of the classes in Hugging Face transformers; see ``families.py``.
"""

from __future__ import annotations

from dataclasses import replace

from ircost.frontends.config.decoder_families import GPT2
from ircost.frontends.config.family import Family, Images, Sides

_BERT = replace(
    GPT2,
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
_VISION = replace(GPT2, activation="quick_gelu", positions=False, is_causal=False)

# Keys of one side of Whisper's and BART's configs.
_SIDE_KEYS = {
    side: {
        "num_hidden_layers": f"{side}_layers",
        "num_attention_heads": f"{side}_attention_heads",
        "intermediate_size": f"{side}_ffn_dim",
    }
    for side in ("encoder", "decoder")
}

ENCODERS: dict[str, Family] = {
    "bert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
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
    "clip_text_model": replace(GPT2, activation="quick_gelu"),
    "clip_vision_model": replace(_VISION, final_norm=False, images=Images("first", False, True, patch=32)),
    "siglip_text_model": replace(GPT2, activation="gelu_pytorch_tanh", is_causal=False, epsilon=1e-06),
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
        GPT2,
        placement="post",
        activation="gelu",
        offset=2,
        embedding_norm=True,
        is_embedding_scaled="scale_embedding",
        final_norm=False,
        sides=Sides(_SIDE_KEYS["encoder"], _SIDE_KEYS["decoder"]),
    ),
    "whisper": replace(
        GPT2,
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
