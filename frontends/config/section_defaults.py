"""What a section of a config leaves out because it equals the default of its class.

Configs are saved whole, but sections of models of several modalities as differences from their class: Gemma 3 of 4 B
parameters leaves out its vocabulary and its heads. Source: huggingface/transformers 5.24, ``to_diff_dict`` and the
classes' own declarations; a class's None, which means another size, is no default.
"""

from __future__ import annotations

from collections.abc import Mapping

from ircost.frontends.config.config_file import Config

_WIDTHS = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
_TEXT = ("vocab_size", "max_position_embeddings", *_WIDTHS)
_IMAGES = ("image_size", "patch_size", "num_channels", *_WIDTHS)


def _sizes(names: tuple[str, ...], *sizes: int, **others: int) -> dict[str, int]:
    return {**dict(zip(names, sizes, strict=True)), **others}


DEFAULTS: Mapping[str, Mapping[str, int]] = {
    "gemma3_text": _sizes(
        *(_TEXT, 262208, 131072, 2304, 9216, 26, 8), num_key_value_heads=4, head_dim=256, sliding_window=4096
    ),
    "llama": _sizes(_TEXT, 32000, 2048, 4096, 11008, 32, 32),
    "llama4_text": _sizes(
        *(_TEXT, 202048, 131072, 5120, 8192, 48, 40),
        num_key_value_heads=8,
        head_dim=128,
        intermediate_size_mlp=16384,
        num_local_experts=16,
        num_experts_per_tok=1,
    ),
    "mistral": _sizes(_TEXT, 32000, 131072, 4096, 14336, 32, 32, num_key_value_heads=8),
    "qwen2_vl_text": _sizes(_TEXT, 152064, 32768, 8192, 29568, 80, 64, num_key_value_heads=8),
    "qwen2_5_vl_text": _sizes(_TEXT, 152064, 32768, 8192, 29568, 80, 64, num_key_value_heads=8),
    "clip_text_model": _sizes(_TEXT, 49408, 77, 512, 2048, 12, 8),
    "clip_vision_model": _sizes(_IMAGES, 224, 32, 3, 768, 3072, 12, 12),
    "siglip_text_model": _sizes(_TEXT, 32000, 64, 768, 3072, 12, 12),
    "siglip_vision_model": _sizes(_IMAGES, 224, 16, 3, 768, 3072, 12, 12),
    "llama4_vision_model": _sizes(_IMAGES, 448, 14, 3, 768, 5632, 34, 16),
}


def fill(section: Config, model_type: str) -> None:
    """Puts in what a section of that type leaves out; of types that are not known here nothing."""
    for name, size in DEFAULTS.get(model_type, {}).items():
        section.fill(name, size)
