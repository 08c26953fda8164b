"""A copy of a module with everything in it that ONNX has an operator for, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from ircost.backends.onnx.emitter import Scope, emitted
from ircost.ir.clone import clone_module, inline_body
from ircost.ir.graph import Module, Op, Value
from ircost.ir.rewrite import RewritePattern, apply_patterns


def flattened(module: Module) -> Module:
    """A copy whose main function calls nothing and has no kernels."""
    copy = clone_module(module)
    apply_patterns(copy, [Called(copy), Fused()])
    for name in [name for name in copy.functions if copy.functions[name] is not copy.main]:
        del copy.functions[name]
    return copy


def open_composites(module: Module, scope: Scope) -> None:
    """Puts bodies in place of composites that no operator stands for."""
    apply_patterns(module, [Decomposed(scope)])


class Called(RewritePattern):
    """call(f, x)  ->  the body of f on x"""

    root = "call"

    def __init__(self, module: Module) -> None:
        self.module = module

    def rewrite(self, op: Op) -> Sequence[Value] | None:
        return inline_body(self.module.functions[str(op.attrs["callee"])].body, op.operands)


class Fused(RewritePattern):
    """kernel(x) { body }  ->  body on x"""

    root = "kernel"

    def rewrite(self, op: Op) -> Sequence[Value] | None:
        return inline_body(op.regions[0], op.operands)


class Decomposed(RewritePattern):
    """composite(x) { body }  ->  body on x, where no operator is the same"""

    root = None

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def rewrite(self, op: Op) -> Sequence[Value] | None:
        if not op.definition.is_composite or emitted(op, self.scope) is not None:
            return None
        return inline_body(op.regions[0], op.operands)
