"""What a model is run on: a phase, and how many tokens of how many sequences."""

from __future__ import annotations

from dataclasses import dataclass

from ircost.frontends.config.config_file import ConfigError
from ircost.ir.errors import did_you_mean
from ircost.ir.types import DType

PHASES = {
    "prefill": "a prompt from its first token; the logits of the last one",
    "chunk": "a part of a prompt behind what is in the cache already",
    "decode": "one new token for each sequence",
    "verify": "a few drafted tokens for each sequence, and the logits of all of them",
    "encode": "whole sequences at once, no cache",
    "denoise": "one step of a diffusion model: --seq counts an image's patches, --dim source a prompt's tokens",
}


@dataclass(frozen=True, slots=True)
class Workload:
    """One forward pass.

    Args:
        phase: a key of ``PHASES``.
        batch: sequences. rows: new tokens of each. context: tokens that the last one attends to, itself included.
        cache_dtype: number format of cached keys and values; that of the activations where None.
        source: tokens of its encoder's output that a decoder attends to; 0: there is none.
    """

    phase: str
    batch: int
    rows: int
    context: int
    cache_dtype: DType | None = None
    source: int = 0

    @property
    def past(self) -> int:
        """Tokens of each sequence in the cache before this pass."""
        return self.context - self.rows

    @property
    def logit_rows(self) -> int:
        """Positions of each sequence whose logits are wanted."""
        return self.rows if self.phase in ("verify", "encode", "denoise") else 1


def workload_of(
    phase: str = "prefill",
    *,
    batch: int = 1,
    seq: int | None = None,
    context: int | None = None,
    cache_dtype: DType | None = None,
    source: int = 0,
) -> Workload:
    """A workload by what users say of one.

    Args:
        seq: new tokens: of a prompt, of a chunk of it, or drafted ones and the one before them.
        context: tokens attended to, the new ones included. source: those of an encoder's output.

    Raises:
        ConfigError: the phase is not known, a size is missing, does not fit, or is not used by the phase.
    """
    if phase not in PHASES:
        raise ConfigError(f"no phase '{phase}'", help=did_you_mean(phase, PHASES))
    for name, size in (("--batch", batch), ("--seq", seq), ("--context", context), ("--dim source", source or None)):
        if size is not None and size < 1:
            raise ConfigError(f"{name} is {size}, 1 at least")
    if phase in ("prefill", "encode", "denoise"):
        if context is not None and seq is not None and context != seq:
            raise ConfigError(
                f"{phase} of {seq} tokens with a context of {context}", help="--phase chunk runs behind a cache"
            )
        rows = _needed(phase, "--seq", seq if seq is not None else context)
        return Workload(phase, batch, rows, rows, cache_dtype, source)
    attended = _needed(phase, "--context", context)
    if phase == "decode":
        if seq not in (None, 1):
            raise ConfigError(f"decode of {seq} tokens at once", help="--phase verify runs several")
        rows = 1
    else:
        rows = _needed(phase, "--seq", seq)
    if rows > attended:
        raise ConfigError(f"{rows} new tokens in a context of {attended}: the context counts the new ones, too")
    return Workload(phase, batch, rows, attended, cache_dtype, source)


def _needed(phase: str, option: str, size: int | None) -> int:
    if size is None:
        raise ConfigError(f"{phase} needs {option}", help=f"such as {option} 2048")
    return size
