"""Folds control flow whose condition or trip count is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ircost.ir import ops
from ircost.ir.attributes import int_of
from ircost.ir.clone import inline_body
from ircost.ir.graph import Op, Value
from ircost.ir.rewrite import RewritePattern
from ircost.passes.base import Pass, register_pass


class IfOfConstant(RewritePattern):
    """if(true, a, b)  ->  a;  if(false, a, b)  ->  b"""

    root = "if"

    def rewrite(self, op: Op) -> Sequence[Value] | None:
        condition = ops.constant_value(op.operands[0])
        if condition is None:
            return None
        return inline_body(op.regions[0 if bool(condition.reshape(())) else 1], ())


class ScanOfNoStep(RewritePattern):
    """scan of length 0, states only  ->  the states"""

    root = "scan"

    def rewrite(self, op: Op) -> Sequence[Value] | None:
        states = int_of(op.attrs, "states")
        if int_of(op.attrs, "length") != 0 or len(op.results) != states:
            return None
        return op.operands[:states]


@register_pass("fold-control-flow")
@dataclass(frozen=True, slots=True)
class FoldControlFlow(Pass):
    """Replace an `if` on a constant by its branch, and a scan that never steps by its states."""

    is_exact = True

    def patterns(self) -> tuple[RewritePattern, ...]:
        return IfOfConstant(), ScanOfNoStep()
