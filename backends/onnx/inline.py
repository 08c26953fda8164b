"""A copy of a module with everything in it that ONNX has an operator for, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from ircost.backends.onnx.emitter import Scope, emitted
from ircost.ir import ops
from ircost.ir.clone import clone_module, inline_body
from ircost.ir.graph import Module, Op, Value
from ircost.ir.rewrite import RewritePattern, apply_patterns
from ircost.ir.types import f16, f32


def flattened(module: Module) -> Module:
    """A copy whose main function calls nothing and has no kernels and no views."""
    copy = clone_module(module)
    apply_patterns(copy, [Called(copy), Fused()])
    for name in [name for name in copy.functions if copy.functions[name] is not copy.main]:
        del copy.functions[name]
    return copy


def open_composites(module: Module, scope: Scope) -> None:
    """Puts bodies in place of composites that no operator stands for."""
    apply_patterns(module, [Decomposed(scope)])


def widen_products(module: Module) -> None:
    """Lets products of half precision be computed in single precision, with weights stored so.

    Processors have no arithmetic for half precision, and onnxruntime would convert the weights anew at each run.
    """
    apply_patterns(module, [WidenedProduct()])


class Called(RewritePattern):
    """call(f, x)  ->  the body of f on x"""

    root = "call"

    def __init__(self, module: Module) -> None:
        self.module = module

    def rewrite(self, op: Op) -> Sequence[Value] | None:
        return inline_body(self.module.functions[str(op.attrs["callee"])].body, op.operands)


class Fused(RewritePattern):
    """kernel(x) { body }  ->  body on x; so of a view"""

    root = ("kernel", "view")

    def rewrite(self, op: Op) -> Sequence[Value] | None:
        return inline_body(op.regions[0], op.operands)


class WidenedProduct(RewritePattern):
    """matmul(a, b)  ->  cast(matmul(cast(a), cast(b))), in single precision, of half precision; so of a convolution"""

    root = ("matmul", "contract", "conv", "conv_transpose")

    def rewrite(self, op: Op) -> Value | None:
        if op.result.type.dtype != f16 or any(x.type.dtype != f16 for x in op.operands):
            return None
        wide = [ops.cast(x, to=f32) for x in op.operands]
        made = op.definition.create(wide, {**op.attrs, "out": None})
        return ops.cast(made.result, to=f16)


class Decomposed(RewritePattern):
    """composite(x) { body }  ->  body on x, where no operator is the same"""

    root = None

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def rewrite(self, op: Op) -> Sequence[Value] | None:
        if not op.definition.is_composite or emitted(op, self.scope) is not None:
            return None
        return inline_body(op.regions[0], op.operands)
