"""Chains of transposes: merged, dropped, or turned into reshapes where nothing moves."""

from __future__ import annotations

from dataclasses import dataclass

from ircost.ir import ops
from ircost.ir.attributes import ints_of
from ircost.ir.graph import Op, Value
from ircost.ir.rewrite import RewritePattern
from ircost.passes.base import Pass, register_pass


class TransposeOfTranspose(RewritePattern):
    """transpose(transpose(x, p), q)  ->  transpose(x, p[q])"""

    root = "transpose"

    def rewrite(self, op: Op) -> Value | None:
        inner = op.operands[0].producer
        if inner is None or inner.name != "transpose":
            return None
        first = ints_of(inner.attrs, "perm")
        return ops.transpose(inner.operands[0], perm=tuple(first[axis] for axis in ints_of(op.attrs, "perm")))


class IdentityTranspose(RewritePattern):
    """transpose(x, [0, 1, 2, ...])  ->  x"""

    root = "transpose"

    def rewrite(self, op: Op) -> Value | None:
        perm = ints_of(op.attrs, "perm")
        return op.operands[0] if perm == tuple(range(len(perm))) else None


class TransposeOfOnes(RewritePattern):
    """transpose(x)  ->  reshape(x), where only axes of length 1 change places"""

    root = "transpose"

    def rewrite(self, op: Op) -> Value | None:
        shape = op.operands[0].type.shape
        moving = [axis for axis in ints_of(op.attrs, "perm") if shape[axis] != 1]
        if moving != sorted(moving) or op.operands[0].type.bounded:
            return None
        return ops.reshape(op.operands[0], shape=op.result.type.shape)


@register_pass("cancel-transposes")
@dataclass(frozen=True, slots=True)
class CancelTransposes(Pass):
    """Merge chains of transposes and drop those that move nothing.

    Each one dropped saves a read and a write of its operand. Outputs stay bit-identical.
    """

    is_exact = True

    def patterns(self) -> tuple[RewritePattern, ...]:
        return IdentityTranspose(), TransposeOfTranspose(), TransposeOfOnes()
