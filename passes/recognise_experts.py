"""Recognises mixtures of experts that are written out: each row with the weights of its experts."""

from __future__ import annotations

from dataclasses import dataclass

from ircost.ir import ops
from ircost.ir.attributes import int_of, ints_of
from ircost.ir.graph import Op, Value
from ircost.ir.rewrite import RewritePattern
from ircost.passes.match import behind_reshapes, flattened


class WrittenExpertMatmul(RewritePattern):
    """weights[expert] x, row by row  ->  expert_matmul(x, expert, weights): the weights are copied for no row"""

    root = "matmul"

    def rewrite(self, op: Op) -> Value | None:
        picked, x = op.operands
        gathered = picked.producer
        if gathered is None or x.type.rank != 3 or x.type.shape[2] != 1 or len(picked.uses) != 1:
            return None
        if gathered.name not in ("gather", "gather_nd") or not picks_whole_experts(gathered):
            return None
        weights, expert = gathered.operands
        rows = x.type.shape[0]
        if expert.type.elements != rows:
            return None
        flat = ops.reshape(x, shape=x.type.shape[:2])
        product = ops.expert_matmul(flat, ops.reshape(expert, shape=(rows,)), weights)
        return ops.reshape(product, shape=op.result.type.shape)


def picks_whole_experts(op: Op) -> bool:
    """Whether a gather takes entries of the first axis of [e, n, k]."""
    weights, places = op.operands
    if weights.type.rank != 3:
        return False
    if op.name == "gather":
        return int_of(op.attrs, "axis") % 3 == 0
    return places.type.shape[-1] == 1 and not int_of(op.attrs, "batch_dims")


@dataclass(frozen=True, slots=True)
class Routed:
    """Rows through one layer of their experts."""

    x: Value
    expert: Value
    weights: Value


class WrittenMixtureOfExperts(RewritePattern):
    """sum over k of shares down[e](silu(up1[e] x) up2[e] x)  ->  mixture_of_experts(x, shares, e, up, down)"""

    root = "reduce_sum"

    def rewrite(self, op: Op) -> Value | None:
        weighted = behind_reshapes(op.operands[0])
        if op.operands[0].type.rank != 3 or ints_of(op.attrs, "axes") not in ((1,), (-2,)) or op.attrs["keepdims"]:
            return None
        t, k, width = op.operands[0].type.shape
        parts = flattened(weighted, is_product=True, limit=2)
        if parts is None or parts.inverse or len(parts.terms) != 2 or parts.constant != 1.0:
            return None
        for out, shares in (parts.terms, parts.terms[::-1]):
            down = layer_of(out)
            if down is not None and shares.type.elements == t * k and out.type.elements == t * k * width:
                return mixture(down, in_shape(behind_reshapes(shares), t, k), t, k)
        return None


def mixture(down: Routed, shares: Value, t: int, k: int) -> Value | None:
    """Both layers around the gate; None where they are no such pair."""
    gate = behind_reshapes(down.x).producer
    if gate is None or gate.name != "swiglu":
        return None
    halves = [behind_reshapes(half).producer for half in gate.operands]
    if any(half is None or half.name != "slice" for half in halves):
        return None
    (first, second) = halves
    assert first is not None and second is not None
    starts = [ints_of(half.attrs, "starts") for half in (first, second)]
    up = layer_of(first.operands[0])
    if up is None or first.operands != second.operands or starts != [(0, 0), (0, first.result.type.shape[-1])]:
        return None
    if behind_reshapes(up.expert) is not behind_reshapes(down.expert):
        return None
    x = rows_before_repeat(up.x, t, k)
    if x is None:
        return None
    experts = in_shape(behind_reshapes(up.expert), t, k)
    return ops.mixture_of_experts(x, shares, experts, up.weights, down.weights)


def layer_of(value: Value) -> Routed | None:
    op = behind_reshapes(value).producer
    return Routed(*op.operands) if op is not None and op.name == "expert_matmul" else None


def rows_before_repeat(value: Value, t: int, k: int) -> Value | None:
    """x [t, h] of rows [t * k, h] that repeat each row of x k times."""
    op = behind_reshapes(value).producer
    width = value.type.shape[-1]
    if op is None or op.name != "broadcast" or op.result.type.shape != (t, k, width):
        return None
    narrow = op.operands[0]
    return in_shape(behind_reshapes(narrow), t, width) if narrow.type.shape == (t, 1, width) else None


def in_shape(value: Value, *shape: int) -> Value:
    return value if value.type.shape == shape else ops.reshape(value, shape=shape)


EXPERTS: tuple[type[RewritePattern], ...] = (WrittenExpertMatmul, WrittenMixtureOfExperts)
