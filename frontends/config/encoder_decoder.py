"""Models of an encoder and a decoder that attends to it: both sides read from one config."""

from __future__ import annotations

from dataclasses import replace

from ircost.frontends.config.architecture import Architecture
from ircost.frontends.config.config_file import Config
from ircost.frontends.config.family import Family, Sides
from ircost.frontends.config.reading import Reader
from ircost.frontends.config.tower_parts import Entrance, Frames, Tower
from ircost.ir.types import DType


def encoder_decoder(
    config: Config, family: Family, family_name: str, sides: Sides, name: str, dtype: DType
) -> Architecture:
    """Layers of both sides are those of one family; the decoder's attend to the encoder's output, too."""
    own = Reader(config.renamed(sides.decoder), replace(family, has_cross=True), family_name)
    other = Reader(config.renamed(sides.encoder), replace(family, is_causal=False), family_name)
    entrance: Entrance = replace(other.embedding(), is_shared=True)
    if sides.bands:
        entrance = Frames(config.size(sides.bands), other.hidden, other.max_context())
    tower = Tower("encoder", entrance, other.stack(), max_context=other.max_context())
    config.passed("is_encoder_decoder", "is_gated_act", "dense_act_fn", "num_hidden_layers", "normalize_embedding")
    return replace(own.architecture(name, dtype), tower=tower)
