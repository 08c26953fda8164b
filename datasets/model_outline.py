"""What a ``config.json`` says at a glance: layers, width, context, number formats; under whichever key its family has.

For lists of models. Whoever builds a graph reads all keys, and refuses those it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Stacks that run one after another are two entries; in each the first key that is there counts.
LAYERS = (
    ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers"),
    ("num_decoder_layers", "decoder_layers", "num_single_layers"),
)
HIDDEN = ("hidden_size", "n_embd", "d_model", "dim")
CONTEXT = ("model_max_length", "max_position_embeddings", "n_positions", "max_seq_len", "max_target_positions")
FORMATS = ("torch_dtype", "dtype")


def layer_counts(config: Mapping[str, Any]) -> tuple[int, ...]:
    """Layers of the text model, or of the only one there is; encoder, then decoder, where it has both.

    >>> layer_counts({"text_config": {"num_hidden_layers": 34}, "vision_config": {"num_hidden_layers": 27}})
    (34,)
    >>> layer_counts({"encoder_layers": 6, "num_hidden_layers": 6, "decoder_layers": 12})
    (6, 12)
    """
    found = [first(main_part(config), keys) for keys in LAYERS]
    return tuple(int(count) for count in found if count is not None)


def hidden_size(config: Mapping[str, Any]) -> int | None:
    """Width of the residual stream, in elements."""
    part = main_part(config)
    width: int | None = first(part, HIDDEN)
    if width is None and "attention_head_dim" in part:  # diffusers
        width = part["num_attention_heads"] * part["attention_head_dim"]
    return width


def context_tokens(config: Mapping[str, Any]) -> int | None:
    """Longest sequence the model is made for; None where it has no limit, or does not say."""
    longest: int | None = first(main_part(config), CONTEXT)
    return longest


def number_formats(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Format of the weights as stored, then of those that are quantised; by the config's own names."""
    quantised = config.get("quantization_config", {}).get("quant_method")
    found = (first(config, FORMATS) or first(main_part(config), FORMATS), quantised)
    return tuple(name for name in found if name)


def main_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The text model of a multimodal one."""
    part: Mapping[str, Any] = config.get("text_config", config)
    return part


def first(config: Mapping[str, Any], keys: Sequence[str]) -> Any:
    """The value of the first key that is there, and not null."""
    return next((config[key] for key in keys if config.get(key) is not None), None)
