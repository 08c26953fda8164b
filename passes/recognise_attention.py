"""Attention and rotary embeddings that somebody wrote out, as the composites that they are."""

from __future__ import annotations

from dataclasses import dataclass

from ircost.ir import ops
from ircost.ir.attributes import int_of, ints_of
from ircost.ir.graph import Op, Value
from ircost.ir.rewrite import RewritePattern
from ircost.passes.match import Match, Operand, call, flattened, product, total, uniform
from ircost.passes.recognise_activations import FormPattern
from ircost.passes.recognise_norms import softmax_axis

X, COS, SIN = Operand("x"), Operand("cos"), Operand("sin")
MOST_MASKS = 3


class WrittenRotaryEmbedding(FormPattern):
    """x cos + concat(-x2, x1) sin  ->  rotary_embedding(x, cos, sin)"""

    root = "add"
    TURNED = call("concat", call("neg", call("slice", X)), call("slice", X))
    forms = (total(product(X, COS), product(TURNED, SIN)),)

    def replacement(self, op: Op, found: Match) -> Value | None:
        x = found.values["x"]
        second, first = (inner for inner in found.inner if inner.name == "slice")
        turned = next(inner for inner in found.inner if inner.name == "concat")
        rank, width = x.type.rank, x.type.shape[-1]
        halves = [starts_of_half(half, rank, width) for half in (first, second)]
        if int_of(turned.attrs, "axis") % rank != rank - 1 or halves != [0, width // 2] or x.type != op.result.type:
            return None
        return ops.rotary_embedding(x, found.values["cos"], found.values["sin"])


def starts_of_half(op: Op, rank: int, width: int) -> int | None:
    """Where a slice of half of the last axis begins; None for any other slice."""
    *lead, start = ints_of(op.attrs, "starts")
    whole = (*op.operands[0].type.shape[:-1], width // 2)
    steps = ints_of(op.attrs, "steps")
    return start if not any(lead) and op.result.type.shape == whole and set(steps) <= {1} else None


@dataclass(frozen=True, slots=True)
class Scores:
    """What goes into a softmax: scale q k' + masks. ``keys`` lie [.., d, n], as the product wants them."""

    q: Value
    keys: Value
    scale: float
    masks: tuple[Value, ...]


class WrittenAttention(RewritePattern):
    """softmax(scale q k' + masks) v  ->  attention(q, k, v, masks); rows that are all masked may be guarded"""

    root = "matmul"

    def rewrite(self, op: Op) -> Value | None:
        if op.result.type.rank != 4:
            return None
        shares, v = op.operands
        guarded = behind_guard(shares)
        softmax = only_producer(shares, "softmax") if guarded is None else guarded
        if softmax is None or softmax_axis(softmax) != 3:
            return None
        scores = scores_of(softmax.operands[0])
        if scores is None:
            return None
        k, v = without_repeat(untransposed(scores.keys)), without_repeat(v)
        heads = scores.q.type.shape[1]
        if k.type.shape[1] != v.type.shape[1] or heads % k.type.shape[1] or not all(map(is_mask, scores.masks)):
            return None
        made = ops.attention(scores.q, k, v, *scores.masks, scale=scores.scale, is_guarded=guarded is not None)
        return made if made.type == op.result.type else None


def is_mask(value: Value) -> bool:
    return value.type.rank <= 4


def only_producer(value: Value, name: str) -> Op | None:
    """The op behind a value that nobody else reads, if it has that name."""
    op = value.producer
    return op if op is not None and op.name == name and len(value.uses) == 1 else None


def behind_guard(value: Value) -> Op | None:
    """The softmax p of where(isnan(p), 0, p); None where there is no guard."""
    op = only_producer(value, "where")
    if op is None or uniform(op.operands[1]) != 0.0:
        return None
    test, inner = op.operands[0].producer, op.operands[2]
    if test is None or test.name != "isnan" or test.operands[0] is not inner or len(inner.uses) != 2:
        return None
    return inner.producer if inner.producer is not None and inner.producer.name == "softmax" else None


def scores_of(value: Value) -> Scores | None:
    """The parts of scale q k' + masks, in whatever order they are added and wherever the scale stands."""
    parts = flattened(value, is_product=False, limit=1 + MOST_MASKS)
    if len(value.uses) != 1 or parts is None or parts.inverse or parts.constant:
        return None
    for i, term in enumerate(parts.terms):
        found = scaled_product(term) if len(term.uses) == 1 else None
        if found is not None:
            return Scores(*found, masks=(*parts.terms[:i], *parts.terms[i + 1 :]))
    return None


def scaled_product(value: Value) -> tuple[Value, Value, float] | None:
    """q, keys and the scale of a product of both; constants may stand at either, or behind the product."""
    parts = flattened(value, is_product=True, limit=1)
    if parts is None or len(parts.terms) != 1 or parts.inverse:
        return None
    op = only_producer(parts.terms[0], "matmul")
    if op is None or op.result.type.rank != 4:
        return None
    sides = [flattened(operand, is_product=True, limit=1) for operand in op.operands]
    scale, bare = parts.constant, []
    for operand, side in zip(op.operands, sides, strict=True):
        is_plain = side is not None and len(side.terms) == 1 and not side.inverse and side.constant
        if is_plain and side is not None and side.terms[0].type == operand.type:
            scale *= side.constant
            bare.append(side.terms[0])
        else:
            bare.append(operand)
    return bare[0], bare[1], scale


def untransposed(keys: Value) -> Value:
    """k [b, h, n, d] for keys [b, h, d, n]: behind the transpose that made them, or by another one."""
    op = keys.producer
    if op is not None and op.name == "reshape":
        inner = untransposed_flat(op)
        if inner is not None:
            return inner
    if op is not None and op.name == "transpose":
        perm = ints_of(op.attrs, "perm")
        swapped = (*perm[:-2], perm[-1], perm[-2])
        source = op.operands[0]
        return source if swapped == tuple(range(4)) else ops.transpose(source, perm=swapped)
    return ops.transpose(keys, perm=(0, 1, 3, 2))


def untransposed_flat(op: Op) -> Value | None:
    """x of reshape(transpose(reshape(x))), where batch and heads were one axis while the others changed places."""
    turned = op.operands[0].producer
    b, h, d, n = op.result.type.shape
    if turned is None or turned.name != "transpose" or ints_of(turned.attrs, "perm") != (0, 2, 1):
        return None
    source = turned.operands[0]
    behind = source.producer
    if behind is not None and behind.name == "reshape" and behind.operands[0].type.shape == (b, h, n, d):
        return behind.operands[0]
    return ops.reshape(source, shape=(b, h, n, d)) if source.type.shape == (b * h, n, d) else None


def behind_reshapes(value: Value) -> Value:
    """What a chain of reshapes begins with."""
    while value.producer is not None and value.producer.name == "reshape":
        value = value.producer.operands[0]
    return value


def without_repeat(value: Value) -> Value:
    """x [b, g, n, d] of reshape(broadcast(reshape(x))), which serves each head several times; else the value."""
    op = value.producer
    if op is None or op.name != "reshape":
        return value
    wide = behind_reshapes(op.operands[0]).producer
    if wide is None or wide.name != "broadcast" or wide.result.type.rank != 5:
        return value
    narrow = wide.operands[0]
    b, g, _, n, d = wide.result.type.shape
    if narrow.type.shape != (b, g, 1, n, d) or value.type.shape != (b, wide.result.type.elements // (b * n * d), n, d):
        return value
    behind = narrow.producer
    if behind is not None and behind.name == "reshape" and behind.operands[0].type.shape == (b, g, n, d):
        return behind.operands[0]
    return ops.reshape(narrow, shape=(b, g, n, d))


ATTENTION: tuple[type[RewritePattern], ...] = (WrittenRotaryEmbedding, WrittenAttention)
