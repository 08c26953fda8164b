"""Layers of known networks, by the sizes that decide how long they take: half of what is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ircost.datasets.model_configs import known_models

# Stages of ResNet-50, and its stem: width of the bottleneck, pixels a side. Source: arXiv:1512.03385, table 1.
RESNET_STAGES = ((64, 56), (128, 28), (256, 14), (512, 7))


@dataclass(frozen=True, slots=True)
class TransformerLayer:
    """Sizes of a decoder's or encoder's layer.

    Args:
        hidden, inner: width of the layer, and inside of its feed-forward part.
        gates: whether that has two matrices into it.
    """

    hidden: int
    inner: int
    heads: int
    kv_heads: int
    head_dim: int
    gates: bool

    @property
    def products(self) -> tuple[tuple[int, int], ...]:
        """(n, k) of its weights: queries, keys and values at once, the way out, into the feed-forward part and back."""
        attended = self.heads * self.head_dim
        return (
            (attended + 2 * self.kv_heads * self.head_dim, self.hidden),
            (self.hidden, attended),
            (self.inner * (1 + self.gates), self.hidden),
            (self.hidden, self.inner),
        )


def transformer_layers() -> list[TransformerLayer]:
    """One of each of the bundled configurations that has them under these names, each once."""
    return list(dict.fromkeys(layer for model in known_models() for layer in _layers_of(model.config)))


def _layers_of(config: Mapping[str, Any]) -> Iterator[TransformerLayer]:
    sizes = [config.get(name) for name in ("hidden_size", "intermediate_size", "num_attention_heads")]
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        return
    hidden, inner, heads = map(int, sizes)  # type: ignore[arg-type]
    kv_heads, head_dim = config.get("num_key_value_heads") or heads, config.get("head_dim") or hidden // heads
    if isinstance(kv_heads, int) and isinstance(head_dim, int) and heads % kv_heads == 0:
        gates = config.get("hidden_act") in ("silu", "gelu_pytorch_tanh")
        yield TransformerLayer(hidden, inner, heads, kv_heads, head_dim, gates)


def resnet_layers() -> list[tuple[int, int, int, int, int]]:
    """(in channels, out channels, pixels a side, kernel, stride) of ResNet-50's convolutions."""
    found = [(3, 64, 224, 7, 2)]
    for width, side in RESNET_STAGES:
        found += [(4 * width, width, side, 1, 1), (width, width, side, 3, 1), (width, 4 * width, side, 1, 1)]
        if width > RESNET_STAGES[0][0]:
            found += [(width, width, 2 * side, 3, 2), (2 * width, 4 * width, 2 * side, 1, 2)]
    return found
