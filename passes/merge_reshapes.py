"""Chains of reshapes, and movements that move nothing."""

from __future__ import annotations

from dataclasses import dataclass

from ircost.ir import ops
from ircost.ir.attributes import int_of, ints_of
from ircost.ir.graph import Op, Value
from ircost.ir.rewrite import RewritePattern
from ircost.passes.base import Pass, register_pass


class ReshapeOfReshape(RewritePattern):
    """reshape(reshape(x, s), t)  ->  reshape(x, t)"""

    root = "reshape"

    def rewrite(self, op: Op) -> Value | None:
        inner = op.operands[0].producer
        if inner is None or inner.name != "reshape":
            return None
        return ops.reshape(inner.operands[0], shape=op.result.type.shape)


class NothingMoves(RewritePattern):
    """reshape, broadcast, slice or pad to the same shape  ->  x"""

    root = ("reshape", "broadcast", "slice", "pad")

    def rewrite(self, op: Op) -> Value | None:
        (x,) = op.operands
        if x.type != op.result.type:
            return None
        if op.name == "slice" and any(step < 0 for step in ints_of(op.attrs, "steps")):
            return None  # the whole axis, backwards
        if op.name == "pad" and any(pair != (0, 0) for pair in op.attrs["pads"]):  # type: ignore[union-attr]
            return None  # shifted: as much is cropped as is added
        return x


class ConcatOfOne(RewritePattern):
    """concat(x)  ->  x;  concat(x, empty)  ->  concat(x)"""

    root = "concat"

    def rewrite(self, op: Op) -> Value | None:
        parts = [operand for operand in op.operands if operand.type.elements]
        if len(parts) == 1 and parts[0].type == op.result.type:
            return parts[0]
        if 0 < len(parts) < len(op.operands):
            return ops.concat(*parts, axis=int_of(op.attrs, "axis"))
        return None


@register_pass("merge-reshapes")
@dataclass(frozen=True, slots=True)
class MergeReshapes(Pass):
    """Merge chains of reshapes; drop reshapes, broadcasts, slices, pads and concatenations that change nothing."""

    is_exact = True

    def patterns(self) -> tuple[RewritePattern, ...]:
        return NothingMoves(), ReshapeOfReshape(), ConcatOfOne()
