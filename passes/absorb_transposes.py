"""Transposes of a matrix product's operands, taken into the product: matrix units read either order."""

from __future__ import annotations

from dataclasses import dataclass

from ircost.ir import ops
from ircost.ir.attributes import ints_of
from ircost.ir.graph import Op, Value
from ircost.ir.rewrite import RewritePattern
from ircost.passes.base import Pass, register_pass


class MatmulOfTranspose(RewritePattern):
    """matmul(x, transpose(y))  ->  contract(x, y), "... m k, ... n k -> ... m n"; and so for x"""

    root = "matmul"

    def rewrite(self, op: Op) -> Value | None:
        lhs, rhs = op.operands
        left, right = untransposed(lhs), untransposed(rhs)
        if left is None and right is None:
            return None
        notation = f"... {'m k' if left is None else 'k m'}, ... {'k n' if right is None else 'n k'} -> ... m n"
        return ops.contract(left or lhs, right or rhs, notation=notation, out=op.attrs["out"])


def untransposed(value: Value) -> Value | None:
    """x, where the value is x with its last two axes swapped and nothing else moved."""
    producer = value.producer
    if producer is None or producer.name != "transpose":
        return None
    perm = ints_of(producer.attrs, "perm")
    rank = len(perm)
    return producer.operands[0] if perm == (*range(rank - 2), rank - 1, rank - 2) else None


@register_pass("absorb-transposes")
@dataclass(frozen=True, slots=True)
class AbsorbTransposes(Pass):
    """Read an operand of a matrix product in its own order, instead of transposing it first.

    Saves a read and a write of the operand, or a second copy of a weight.
    """

    def patterns(self) -> tuple[RewritePattern, ...]:
        return (MatmulOfTranspose(),)
