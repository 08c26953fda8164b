"""Recognises attention and rotary embeddings that are written out as simpler ops."""

from __future__ import annotations

from dataclasses import dataclass

from ircost.ir import ops
from ircost.ir.attributes import int_of, ints_of
from ircost.ir.graph import Op, Value, sole_producer
from ircost.ir.rewrite import RewritePattern
from ircost.passes.match import Match, Operand, behind_reshapes, call, flattened, product, total, uniform
from ircost.passes.recognise_activations import FormPattern
from ircost.passes.recognise_norms import softmax_axis

X, COS, SIN = Operand("x"), Operand("cos"), Operand("sin")
MOST_MASKS = 3
ROW_BY_ROW = "... m k, ... n k -> ... m n"  # how absorb-transposes writes q k'


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


class WrittenRotaryEmbeddingOfHalves(FormPattern):
    """concat(x1 cos - x2 sin, x2 cos + x1 sin)  ->  rotary_embedding(x, [cos, cos], [sin, sin])"""

    root = "concat"
    LOW, HIGH = Operand("low"), Operand("high")
    forms = (
        call(
            "concat",
            total(product(LOW, COS), less=[product(HIGH, SIN)]),
            total(product(HIGH, COS), product(LOW, SIN)),
        ),
    )

    def replacement(self, op: Op, found: Match) -> Value | None:
        low, high = (found.values[name].producer for name in ("low", "high"))
        if low is None or high is None or not low.name == high.name == "slice" or low.operands != high.operands:
            return None
        x = low.operands[0]
        rank, width = x.type.rank, x.type.shape[-1]
        halves = [starts_of_half(half, rank, width) for half in (low, high)]
        if int_of(op.attrs, "axis") % rank != rank - 1 or halves != [0, width // 2] or x.type != op.result.type:
            return None
        angles = (found.values[name] for name in ("cos", "sin"))
        return ops.rotary_embedding(x, *(ops.concat(v, v, axis=v.type.rank - 1) for v in angles))


@dataclass(frozen=True, slots=True)
class Scores:
    """What goes into a softmax: scale q k' + masks. ``k`` lies [.., n, d]."""

    q: Value
    k: Value
    scale: float
    masks: tuple[Value, ...]


class WrittenAttention(RewritePattern):
    """softmax(scale q k' + masks) v  ->  attention(q, k, v, masks); rows that are all masked may be guarded"""

    root = "matmul"

    def rewrite(self, op: Op) -> Value | None:
        shares, v = op.operands
        if op.result.type.rank not in (3, 4) or v.type.rank != shares.type.rank:
            return None
        guarded = behind_guard(shares)
        softmax = sole_producer(shares, "softmax") if guarded is None else guarded
        if softmax is None or softmax_axis(softmax) != op.result.type.rank - 1:
            return None
        scores = scores_of(softmax.operands[0])
        if scores is None or not all(map(is_mask, scores.masks)):
            return None
        q, k, v = (heads_of(x) for x in (scores.q, without_repeat(scores.k), without_repeat(v)))
        if (
            k.type.shape[1] != v.type.shape[1]
            or q.type.shape[1] % k.type.shape[1]
            or q.type.shape[0] != v.type.shape[0]
        ):
            return None
        made = ops.attention(q, k, v, *scores.masks, scale=scores.scale, is_guarded=guarded is not None)
        if op.result.type.rank == 3:
            made = ops.reshape(made, shape=made.type.shape[1:])
        return made if made.type == op.result.type else None


def heads_of(x: Value) -> Value:
    """[h, n, d] as [1, h, n, d]: batch and heads are one axis."""
    return x if x.type.rank == 4 else ops.reshape(x, shape=(1, *x.type.shape))


def is_mask(value: Value) -> bool:
    return value.type.rank <= 4


def behind_guard(value: Value) -> Op | None:
    """The softmax p of where(isnan(p), 0, p), or where(max(b) = -inf, 0, p) for a b that is added to its scores.

    None where there is no guard.
    """
    op = sole_producer(value, "where")
    if op is None or uniform(op.operands[1]) != 0.0:
        return None
    test, inner = op.operands[0].producer, op.operands[2]
    softmax = inner.producer
    if test is None or softmax is None or softmax.name != "softmax":
        return None
    is_guard = test.name == "isnan" and test.operands[0] is inner and len(inner.uses) == 2
    return softmax if is_guard or finds_hidden_rows(test, softmax) else None


def finds_hidden_rows(test: Op, softmax: Op) -> bool:
    """Whether it is max(b) = -inf along the last axis, for a b that is added to the scores of the softmax."""
    most = sole_producer(test.operands[0], "reduce_max") if test.name == "equal" else None
    scores = softmax.operands[0].producer
    if most is None or scores is None or scores.name != "add" or uniform(test.operands[1]) != float("-inf"):
        return False
    bias = most.operands[0]
    axes = [axis % bias.type.rank for axis in ints_of(most.attrs, "axes")]
    return axes == [bias.type.rank - 1] and bool(most.attrs["keepdims"]) and bias in scores.operands


def scores_of(value: Value) -> Scores | None:
    """The parts of scale q k' + masks, in whatever order they are added and wherever the scale stands."""
    parts = flattened(value, is_product=False, limit=1 + MOST_MASKS)
    if len(value.uses) != 1 or parts is None or parts.inverse or parts.constant:
        return None
    for i, term in enumerate(parts.terms):
        found = scaled_product(term) if len(term.uses) == 1 else None
        if found is not None:
            q, k, scale = found
            return Scores(q, k, scale, masks=(*parts.terms[:i], *parts.terms[i + 1 :]))
    return None


def scaled_product(value: Value) -> tuple[Value, Value, float] | None:
    """q, k and the scale of q k'; constants may stand at either, or behind the product."""
    parts = flattened(value, is_product=True, limit=1)
    if parts is None or len(parts.terms) != 1 or parts.inverse:
        return None
    op = sole_producer(parts.terms[0], "matmul") or sole_producer(parts.terms[0], "contract")
    if op is None or op.result.type.rank not in (3, 4) or op.operands[0].type.rank != op.operands[1].type.rank:
        return None
    if op.name == "contract" and op.attrs["notation"] != ROW_BY_ROW:
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
    return bare[0], untransposed(bare[1]) if op.name == "matmul" else bare[1], scale


def untransposed(keys: Value) -> Value:
    """k [.., n, d] for keys [.., d, n]: behind the transpose that made them, or by another one."""
    op, rank = keys.producer, keys.type.rank
    if op is not None and op.name == "reshape" and rank == 4:
        inner = untransposed_flat(op)
        if inner is not None:
            return inner
    swap = (*range(rank - 2), rank - 1, rank - 2)
    if op is not None and op.name == "transpose":
        perm = ints_of(op.attrs, "perm")
        swapped = tuple(perm[axis] for axis in swap)
        source = op.operands[0]
        return source if swapped == tuple(range(rank)) else ops.transpose(source, perm=swapped)
    return ops.transpose(keys, perm=swap)


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


ATTENTION: tuple[type[RewritePattern], ...] = (
    *(WrittenRotaryEmbedding, WrittenRotaryEmbeddingOfHalves, WrittenAttention),
)
