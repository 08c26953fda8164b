"""Composites written out by exporters, recognised by their structure."""

from __future__ import annotations

from dataclasses import dataclass

from ircost.ir.rewrite import RewritePattern
from ircost.passes.base import Pass, register_pass
from ircost.passes.recognise_activations import ACTIVATIONS
from ircost.passes.recognise_attention import ATTENTION
from ircost.passes.recognise_cells import CELLS
from ircost.passes.recognise_experts import EXPERTS
from ircost.passes.recognise_masks import WrittenCausalMask
from ircost.passes.recognise_norms import NORMS


@register_pass("recognise")
@dataclass(frozen=True, slots=True)
class Recognise(Pass):
    """Name what was written out: softmax, norms, activations, attention and its masks, experts, LSTM cells.

    Rotary embeddings too. Each becomes one op, which a device may run as one kernel: what passes between its parts
    never reaches memory. Outputs agree to rounding; constants of a form may differ by a thousandth.
    """

    def patterns(self) -> tuple[RewritePattern, ...]:
        named: tuple[type[RewritePattern], ...] = (
            *NORMS,
            *ACTIVATIONS,
            *ATTENTION,
            WrittenCausalMask,
            *EXPERTS,
            *CELLS,
        )
        return tuple(pattern() for pattern in named)
