"""The form that all other passes expect: folded, merged, nothing dead, nothing done twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ircost.ir.graph import Module
from ircost.ir.rewrite import RewritePattern, apply_patterns, erase_dead_ops
from ircost.passes.absorb_transposes import AbsorbTransposes
from ircost.passes.algebra import Algebra
from ircost.passes.base import Pass, PassContext, register_pass
from ircost.passes.cancel_transposes import CancelTransposes
from ircost.passes.fold_constants import FoldConstantsPass
from ircost.passes.fold_control_flow import FoldControlFlow
from ircost.passes.merge_equal_ops import merge_equal_ops
from ircost.passes.merge_reshapes import MergeReshapes

PARTS: tuple[type[Pass], ...] = (
    FoldConstantsPass,
    FoldControlFlow,
    Algebra,
    CancelTransposes,
    MergeReshapes,
    AbsorbTransposes,
)


@register_pass("canonicalize")
@dataclass(frozen=True, slots=True)
class Canonicalize(Pass):
    """Fold constants and control flow, simplify by identities, merge what repeats, drop what is dead.

    Runs to a fixpoint: a second run changes nothing.
    """

    def patterns(self) -> tuple[RewritePattern, ...]:
        return tuple(pattern for part in PARTS for pattern in part().patterns())

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        fired = apply_patterns(module, self.patterns())
        while merged := merge_equal_ops(module):
            fired["merged"] += merged
            fired += apply_patterns(module, self.patterns())
        fired["dead"] += erase_dead_ops(module)
        return +fired


@register_pass("dce")
@dataclass(frozen=True, slots=True)
class DeadCode(Pass):
    """Drop pure ops whose results nothing uses."""

    is_exact = True

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        return Counter({"dead": erase_dead_ops(module)})
