"""Encoders beside a language model: what they take in, and what becomes of what they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ircost.frontends.config.layer_parts import Attention, Embedding, FeedForward, Norm, Stack


@dataclass(frozen=True, slots=True)
class Patches:
    """Images cut to squares, each of which becomes a token.

    Args:
        image, patch: pixels of an edge; what does not make up a whole patch is left out.
        class_token: ``first``, ``last``, or none. has_positions: a learnt table. norm: behind.
    """

    channels: int
    image: int
    patch: int
    hidden: int
    has_bias: bool
    class_token: str = ""
    has_positions: bool = True
    norm: Norm | None = None

    @property
    def side(self) -> int:
        return self.image // self.patch

    @property
    def tokens(self) -> int:
        return self.side**2 + bool(self.class_token)


@dataclass(frozen=True, slots=True)
class Frames:
    """Spectra of sound: two convolutions over three frames each, of which the second halves their number (Whisper).

    Args:
        bands: of a spectrum. positions: rows of the table of positions.
    """

    bands: int
    hidden: int
    positions: int


Entrance: TypeAlias = Embedding | Patches | Frames


@dataclass(frozen=True, slots=True)
class Pooler:
    """One token of a sequence through a layer of its own.

    Args:
        token: ``first`` or ``last``. norm: of it, before. activation: behind; none where empty.
        name: of the weights.
    """

    name: str
    token: str
    width: int
    has_bias: bool
    activation: str = ""
    norm: Norm | None = None


@dataclass(frozen=True, slots=True)
class AttentionPooler:
    """A learnt query attends to all tokens; then a feed-forward layer (SigLIP)."""

    attention: Attention
    feed_forward: FeedForward
    norm: Norm


@dataclass(frozen=True, slots=True)
class AverageProjector:
    """Squares of patches as their average, normed and projected (Gemma 3).

    Args:
        tokens: that come out. width: of the language model.
    """

    tokens: int
    norm: Norm
    width: int


@dataclass(frozen=True, slots=True)
class LayersProjector:
    """Patches without the class token through two linear layers (LLaVA)."""

    width: int
    activation: str
    has_bias: bool
    class_token: str = "first"


@dataclass(frozen=True, slots=True)
class ShuffleProjector:
    """Squares of patches side by side as one token, through three linear layers (Llama 4).

    Args:
        ratio: of an edge in tokens, behind to before. inner, out: widths of the first two. width: of the last.
    """

    ratio: float
    inner: int
    out: int
    width: int
    activation: str
    has_bias: bool


Outlet: TypeAlias = Pooler | AttentionPooler | AverageProjector | LayersProjector | ShuffleProjector


@dataclass(frozen=True, slots=True)
class Tower:
    """An encoder of its own beside the main stack: of text, of sound, or of images.

    Args:
        name: what its weights' names begin with. max_context: tokens that it was made for; 0: no limit is known.
        idle: layers and a norm that its checkpoint holds, and that nothing reads.
    """

    name: str
    entrance: Entrance
    stack: Stack
    outlet: Outlet | None = None
    max_context: int = 0
    idle: Stack | None = None


@dataclass(frozen=True, slots=True)
class Contrast:
    """How alike texts and images are: products of vectors of length 1, times a learnt factor (CLIP).

    Args:
        has_bias: learnt, too (SigLIP).
    """

    has_bias: bool
