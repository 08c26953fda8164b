"""Computes at compile time what depends on constants in memory only. Weights in files are never read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ircost.ir.fold import folded
from ircost.ir.graph import Op, Value
from ircost.ir.rewrite import RewritePattern
from ircost.passes.base import Pass, register_pass


class FoldConstants(RewritePattern):
    """op(constant, ...)  ->  constant"""

    root = None

    def rewrite(self, op: Op) -> Sequence[Value] | None:
        return folded(op)


@register_pass("fold-constants")
@dataclass(frozen=True, slots=True)
class FoldConstantsPass(Pass):
    """Replace ops on constants by their results, up to 4,096 elements each."""

    is_exact = True

    def patterns(self) -> tuple[RewritePattern, ...]:
        return (FoldConstants(),)
