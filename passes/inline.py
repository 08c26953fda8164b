"""Functions written out where they are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ircost.ir.clone import inline_body
from ircost.ir.graph import Module, Op, Value
from ircost.ir.rewrite import RewritePattern, apply_patterns
from ircost.passes.base import Pass, PassContext, register_pass


class CallOfFunction(RewritePattern):
    """call @f(x)  ->  the body of @f with x for its argument"""

    root = "call"

    def __init__(self, module: Module) -> None:
        self.module = module

    def rewrite(self, op: Op) -> Sequence[Value] | None:
        callee = self.module.functions[str(op.attrs["callee"])]
        return inline_body(callee.body, op.operands)


@register_pass("inline")
@dataclass(frozen=True, slots=True)
class Inline(Pass):
    """Write functions out where they are called.

    What runs a list of kernels, as runtimes of microcontrollers do, lets go of a value at the last kernel that reads
    it; a call holds its operands to its end. The functions stay, called by nobody. Outputs stay bit-identical.
    """

    is_exact = True

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        return apply_patterns(module, (CallOfFunction(module),))
