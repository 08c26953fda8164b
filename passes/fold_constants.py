"""Computes at compile time what depends on constants in memory only. Weights in files are never read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ircost.ir import ops
from ircost.ir.errors import InterpreterError
from ircost.ir.graph import Op, Value
from ircost.ir.interpreter import evaluate_op
from ircost.ir.rewrite import RewritePattern
from ircost.passes.base import Pass, register_pass

# A result larger than this stays an op: it would bloat the module, and runs once at load anyway.
MAX_FOLDED_ELEMENTS = 4096
# An operand larger than this is not written out: a splat of terabytes is a few bytes of text.
MAX_OPERAND_ELEMENTS = 1 << 24


class FoldConstants(RewritePattern):
    """op(constant, ...)  ->  constant"""

    root = None

    def rewrite(self, op: Op) -> Sequence[Value] | None:
        if not is_foldable(op):
            return None
        operands = [ops.constant_value(operand) for operand in op.operands]
        if any(array is None for array in operands):
            return None
        try:
            results = evaluate_op(op, [array for array in operands if array is not None])
        except InterpreterError:
            return None  # an index out of range: the run that meets it will say so
        return [ops.constant_of(array, result.type.dtype) for array, result in zip(results, op.results, strict=True)]


def is_foldable(op: Op) -> bool:
    """Whether the op's results follow from its operands and are small enough to hold."""
    definition = op.definition
    if not definition.is_pure or definition.is_terminator or op.name in ("constant", "call"):
        return False
    if op.regions and not definition.is_isolated:
        return False
    if any(operand.type.elements > MAX_OPERAND_ELEMENTS for operand in op.operands):
        return False
    return all(r.type.elements <= MAX_FOLDED_ELEMENTS and not r.type.bounded for r in op.results)


@register_pass("fold-constants")
@dataclass(frozen=True, slots=True)
class FoldConstantsPass(Pass):
    """Replace ops on constants by their results, up to 4,096 elements each."""

    def patterns(self) -> tuple[RewritePattern, ...]:
        return (FoldConstants(),)
