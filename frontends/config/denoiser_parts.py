"""What diffusion transformers are made of."""

from __future__ import annotations

from dataclasses import dataclass

from ircost.frontends.config.layer_parts import Attention, FeedForward, Norm


@dataclass(frozen=True, slots=True)
class Latents:
    """Compressed images that noise is taken away from, cut to patches.

    Args:
        channels, out: of what comes in, and of what comes out. edge: of the usual image, in latents.
        has_learnt_positions: one for each patch of the usual image. table: rows and columns of a table of sines, from
            the middle of which positions are cut; 0: none. is_packed: patches come as tokens.
    """

    channels: int
    out: int
    patch: int
    edge: int
    hidden: int
    has_learnt_positions: bool = False
    table: int = 0
    is_packed: bool = False

    @property
    def tokens(self) -> int:
        """Of the usual image."""
        return (self.edge // (1 if self.is_packed else self.patch)) ** 2

    @property
    def most_tokens(self) -> int:
        """0: no limit is known."""
        return self.tokens if self.has_learnt_positions else self.table**2


@dataclass(frozen=True, slots=True)
class Conditioning:
    """What a step is told beside its latents: the time, and others where there are some.

    Args:
        width: of the sines of a number. pooled: width of a prompt's vector. labels: rows of a table; 0: none.
        has_guidance: how closely to follow the prompt, a number (FLUX.1 dev).
    """

    width: int
    pooled: int = 0
    labels: int = 0
    has_guidance: bool = False


@dataclass(frozen=True, slots=True)
class ModulatedLayer:
    """Attention and a feed-forward layer, each with a norm that the condition scales and shifts (DiT)."""

    attention: Attention
    feed_forward: FeedForward
    norm: Norm


@dataclass(frozen=True, slots=True)
class JointLayer:
    """Two streams, of the image and of the prompt, that attend to one another (MM-DiT).

    Args:
        is_last: the prompt goes no further.
    """

    attention: Attention
    feed_forward: FeedForward
    norm: Norm
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class SingleLayer:
    """Both streams as one; attention and feed-forward layer read one norm (FLUX.1)."""

    attention: Attention
    feed_forward: FeedForward
    norm: Norm


@dataclass(frozen=True, slots=True)
class Denoiser:
    """A diffusion transformer.

    Args:
        norm: behind the layers. prompt: width of a prompt's tokens; 0: none. prompt_tokens: of a usual one.
        axes: elements of a head that turn with a patch's place along each axis; none where positions are added.
    """

    latents: Latents
    conditioning: Conditioning
    layers: tuple[ModulatedLayer | JointLayer | SingleLayer, ...]
    norm: Norm
    prompt: int = 0
    prompt_tokens: int = 0
    axes: tuple[int, ...] = ()
