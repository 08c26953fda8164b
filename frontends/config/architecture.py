"""What a transformer is made of: sizes and kinds of its parts. A config is read into it; modules are built from it."""

from __future__ import annotations

from dataclasses import dataclass

from ircost.frontends.config.denoiser_parts import Denoiser, Latents
from ircost.frontends.config.layer_parts import Embedding, Head, Stack
from ircost.frontends.config.tower_parts import Contrast, Outlet, Patches, Tower
from ircost.ir.types import DType


@dataclass(frozen=True, slots=True)
class Idle:
    """A weight that a checkpoint holds, and that no phase reads: of a head for training."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Quantisation:
    """Number formats of the weights of layers; embedding, router and norms stay as they are.

    Args:
        weights: their format. block: elements of a row that share a scale; 0: all of them. rows: that share it, too.
        scales: the scales' format. has_zeros: whether each scale has a zero point.
        activations: format that the input of a product is quantised to; None: weights are widened on the way.
        skipped: modules that stay wide, as the checkpoint names them; layers know which of their parts those are.
        cache: format of cached keys and values; None: nothing is said of them.
        mixed: forms that modules have each its own of, and those modules; all others are wide. None: all have this one.
        head: the form of a head that has weights of its own; None: it is wide.
    """

    weights: DType
    scales: DType
    block: int = 0
    rows: int = 1
    has_zeros: bool = False
    activations: DType | None = None
    skipped: tuple[str, ...] = ()
    cache: DType | None = None
    mixed: tuple[tuple[Quantisation, tuple[str, ...]], ...] = ()
    head: Quantisation | None = None


@dataclass(frozen=True, slots=True)
class Architecture:
    """A model.

    Args:
        name: of the model, as the user knows it. family: HF's ``model_type``.
        head: none where the last layer's result is what is wanted. outlet: what comes behind that.
        dtype: of weights and activations; is_dtype_said: whether the config names it.
        max_context: tokens that it was made for; 0: no limit is known.
        tower: runs in phase ``encode``; a decoder attends to what it makes, or reads it among its tokens.
        contrast: the model and its tower run at once, and what they make is compared.
        denoiser: of a diffusion transformer, which has no stack. idle: what a checkpoint holds beside all that.
        unbuilt: a part of the model that is not known here.
    """

    name: str
    family: str
    hidden: int
    embedding: Embedding | Patches | Latents
    stack: Stack
    head: Head | None
    dtype: DType
    max_context: int = 0
    is_decoder: bool = True
    quantisation: Quantisation | None = None
    outlet: Outlet | None = None
    tower: Tower | None = None
    contrast: Contrast | None = None
    denoiser: Denoiser | None = None
    idle: tuple[Idle, ...] = ()
    unbuilt: str = ""
    is_dtype_said: bool = True

    @property
    def phases(self) -> tuple[str, ...]:
        if self.denoiser is not None:
            return ("denoise",)
        decoding = ("prefill", "chunk", "decode", "verify") if self.is_decoder else ()
        return decoding + ("encode",) * (not self.is_decoder or self.tower is not None)

    @property
    def has_source(self) -> bool:
        """Whether it attends to an encoder's output, or to a prompt's."""
        if self.denoiser is not None:
            return bool(self.denoiser.prompt)
        return any(layer.cross is not None for layer in self.stack.layers)

    def image_tokens(self, phase: str) -> int:
        """Tokens that an image becomes, where the phase reads images; else 0."""
        encoder = self.tower.entrance if self.tower is not None and phase == "encode" else self.embedding
        return encoder.tokens if isinstance(encoder, Patches) else 0

    def longest(self, phase: str) -> int:
        """Tokens that the phase was made for; 0: no limit is known."""
        is_tower = phase == "encode" and self.is_decoder and self.tower is not None
        return self.tower.max_context if is_tower and self.tower is not None else self.max_context

    @property
    def usual_tokens(self) -> int:
        """Patches of the image that a diffusion model was made for; else 0."""
        return self.embedding.tokens if isinstance(self.embedding, Latents) else 0

    @property
    def usual_source(self) -> int:
        """Tokens of an encoder that it attends to, where it was made for so many; else 0."""
        if self.denoiser is not None:
            return self.denoiser.prompt_tokens
        return self.tower.max_context if self.tower is not None else 0
