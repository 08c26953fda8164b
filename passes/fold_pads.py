"""Folds padding before a convolution or a pool into the op's own padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ircost.ir.attributes import float_of, ints_of
from ircost.ir.graph import Op, Value, sole_producer
from ircost.ir.rewrite import RewritePattern
from ircost.passes.base import Pass, register_pass

Pairs: TypeAlias = tuple[tuple[int, int], ...]
# What each op takes its own padding for.
NEUTRAL = {"conv": 0.0, "sum_pool": 0.0, "max_pool": float("-inf")}


class PadOfWindow(RewritePattern):
    """conv(pad(x, p), w, pads = q)  ->  conv(x, w, pads = q + p); so of sums and maxima over windows

    for zeros around the spatial axes alone, or the lowest number where maxima are taken.
    """

    root = tuple(NEUTRAL)

    def rewrite(self, op: Op) -> Value | None:
        padded = sole_producer(op.operands[0], "pad")
        if padded is None or float_of(padded.attrs, "value") != NEUTRAL[op.name]:
            return None
        around: Pairs = padded.attrs["pads"]  # type: ignore[assignment]
        own: Pairs = op.attrs["pads"] or ((0, 0),) * (len(around) - 2)  # type: ignore[assignment]
        if any(around[0]) or any(around[1]) or any(n < 0 for pair in around for n in pair):
            return None
        pads = tuple((a + c, b + d) for (a, b), (c, d) in zip(own, around[2:], strict=True))
        if op.name != "conv" and any(max(pair) >= n for pair, n in zip(pads, ints_of(op.attrs, "window"), strict=True)):
            return None  # a window may lie in the padding alone, which runtimes refuse
        made = op.definition.create([padded.operands[0], *op.operands[1:]], {**op.attrs, "pads": pads})
        return made.result


@register_pass("fold-pads")
@dataclass(frozen=True, slots=True)
class FoldPads(Pass):
    """Let convolutions and pools pad their operands: saves a read and a write. Outputs stay bit-identical."""

    def patterns(self) -> tuple[RewritePattern, ...]:
        return (PadOfWindow(),)
