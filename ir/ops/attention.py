"""Attention and the rotary embedding."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from typing import TypeVar

from ircost.ir.attributes import int_of
from ircost.ir.composite import CompositeOp, composite
from ircost.ir.counts import NO_COUNTS, Counts
from ircost.ir.errors import ShapeError
from ircost.ir.graph import Op, Value
from ircost.ir.ops.contraction import contract
from ircost.ir.ops.elementwise import add, as_format, cast, div, exp, isnan, maximum, mul, neg, sub, tanh, where
from ircost.ir.ops.movement import slice
from ircost.ir.ops.normalization import scalar_like, softmax
from ircost.ir.ops.reduction import reduce_max, reduce_sum
from ircost.ir.ops.shape import concat, reshape
from ircost.ir.ops.visibility import Visibility
from ircost.ir.structured import StructuredOp
from ircost.ir.types import DType

Item = TypeVar("Item")


class Attention(CompositeOp):
    """Attention as kernels do it: scores that nobody sees are not computed, keys that nobody sees are not read.

    The sum over queries of the keys that each sees takes the place of queries times keys. Which those are is known
    when a kernel is written: the body's comparisons of positions [m, n], and what they choose, count nothing. Biases by
    distance are made where the scores are, for each sequence anew.
    """

    def counts_within(self, op: Op, inner: Op, counts: Counts) -> Counts:
        view = visibility(op)
        if not isinstance(inner.definition, StructuredOp):
            return counts
        scores = (view.queries, view.keys)
        if inner.operands[0].type.shape == scores or inner.result.type.shape == scores:
            return NO_COUNTS
        times = op.operands[0].type.shape[0] if op.attrs["has_alibi"] and inner.result.type.shape[1:] == scores else 1
        is_of_scores = any(value.type.shape[-2:] == scores for value in (*inner.operands, *inner.results))
        if times == 1 and (view.is_all or not is_of_scores):
            return counts
        space = inner.definition.iteration_space(inner)
        points = space.points * view.pairs // (view.queries * view.keys)
        return inner.definition.counts_of(points, space.result_points).times(times)

    def operand_bytes(self, op: Op) -> Sequence[int]:
        view, whole = visibility(op), super().operand_bytes(op)
        if view.is_all:
            return whole
        return [int(n * seen_share(op, i, view)) for i, n in enumerate(whole)]


def visibility(op: Op) -> Visibility:
    """Which keys each query of an attention op sees."""
    q, k = (operand.type for operand in op.operands[:2])
    keys = int_of(op.attrs, "length") or k.shape[2]
    return Visibility(q.shape[2], keys, bool(op.attrs["is_causal"]), int_of(op.attrs, "window"))


def seen_share(op: Op, index: int, view: Visibility) -> Fraction:
    """How much of an operand some query sees: of keys and values by the keys, of whole masks by the pairs."""
    shape = op.operands[index].type.shape
    masks, scales, *_ = split_operands(range(3, len(op.operands)), *presence(op))
    keys = Fraction(view.seen_keys, max(view.keys, 1))
    if index in (1, 2) or (index in scales and shape[2] > 1):
        return keys
    if index in masks and shape[-1] == view.keys:
        is_whole = len(shape) > 1 and shape[-2] == view.queries
        return Fraction(view.pairs, view.queries * view.keys) if is_whole else keys
    return Fraction(1)


def presence(op: Op) -> tuple[bool, bool, bool]:
    """Whether an attention op has scales, slopes, and sinks."""
    return bool(op.attrs["has_scales"]), bool(op.attrs["has_alibi"]), bool(op.attrs["has_sinks"])


def split_operands(
    more: Sequence[Item], has_scales: bool, has_alibi: bool, has_sinks: bool
) -> tuple[Sequence[Item], ...]:
    """Masks, scales, slopes, sinks, of the operands behind q, k and v."""
    sinks = len(more) - has_sinks
    slopes = sinks - has_alibi
    scales = slopes - 2 * has_scales
    return more[:scales], more[scales:slopes], more[slopes:sinks], more[sinks:]


@partial(composite, kind=Attention)
def attention(
    q: Value,
    k: Value,
    v: Value,
    *more: Value,
    scale: float,
    is_guarded: bool = False,
    softcap: float = 0.0,
    is_causal: bool = False,
    window: int = 0,
    length: int = 0,
    value_width: int = 0,
    has_scales: bool = False,
    has_sinks: bool = False,
    has_alibi: bool = False,
) -> Value:
    """softmax(scale q k' + masks) v; heads of k and v serve as many heads of q each as there are more of these.

    Scores s become softcap tanh(s / softcap) unless that is 0. ``is_guarded`` gives rows of 0 where all of a row is
    masked, which would be NaN. ``is_causal`` and ``window`` say which keys a query sees, see `Visibility`. ``length``
    is how much of k and v is filled, where they are caches with room for more (0: all). With ``value_width`` the
    values are no more than that of the first elements of ``v``, which may be k itself: latents of DeepSeek-V2. With
    ``has_alibi`` each score loses its head's slope times the distance of the key from the query's own position.

    Shapes: q [b, h, m, d], k [b, g, n, d], v [b, g, n, e] with h a multiple of g; k and v may be in a narrower number
    format, which is converted on the way. Then masks that broadcast to [b, h, m, n] and are added; where there are
    such, scales of k and of v that broadcast to these, or [b, g, n, blocks] of a row's equal parts, and multiply them;
    slopes [h]; and sinks [h], logits that take part in the softmax's sum and see no value. Out [b, h, m, e].
    Source: Vaswani et al. 2017; Ainslie et al., "GQA", 2023; ONNX Attention-23; Xiao et al., "Efficient Streaming
    Language Models with Attention Sinks", 2024, and gpt-oss for learnt ones; for latents DeepSeek-V2, arXiv:2405.04434;
    for slopes Press et al., "ALiBi", ICLR 2022.
    """
    check_attention(q, k, v, length, window, value_width)
    check_positions(q, k, length, is_causal)
    masks, scales, slopes, sinks = split_operands(more, has_scales, has_alibi, has_sinks)
    k, v = (filled(x, q, length, scales[i : i + 1]) for i, x in enumerate((k, v)))
    if value_width:
        v = slice(v, starts=(0, 0, 0, 0), size=(*v.type.shape[:3], value_width))
    b, h, m, _ = q.type.shape
    g, n = k.type.shape[1:3]
    if h != g:
        q = reshape(q, shape=(b, g, h // g, *q.type.shape[2:]))
        k, v = (reshape(x, shape=(b, g, 1, *x.type.shape[2:])) for x in (k, v))
    scores = contract(q, k, notation="... m d, ... n d -> ... m n")
    scores = mul(scores, scalar_like(scale, scores)) if scale != 1.0 else scores
    if softcap:
        scores = mul(tanh(mul(scores, scalar_like(1 / softcap, scores))), scalar_like(softcap, scores))
    view = Visibility(m, n, is_causal, window)
    for bias in (*masks, *(distance_bias(slope, h, view, scores.type.dtype) for slope in slopes)):
        scores = add(scores, bias if h == g else grouped_mask(bias, g, h))
    if not view.is_all:
        scores = where(view.mask(), scores, scalar_like(float("-inf"), scores))
    shares = softmax_with(sinks, scores)
    if is_guarded:
        shares = where(isnan(shares), scalar_like(0.0, shares), shares)
    out = contract(shares, v, notation="... m n, ... n e -> ... m e")
    return reshape(out, shape=(b, h, m, v.type.shape[-1])) if h != g else out


def check_attention(q: Value, k: Value, v: Value, length: int, window: int, value_width: int) -> None:
    """Raises:
    ShapeError: operands do not fit each other or the attributes.
    """
    if not q.type.rank == k.type.rank == v.type.rank == 4 or q.type.shape[1] % k.type.shape[1]:
        raise ShapeError(f"attention: q is {q.type}, k is {k.type}, v is {v.type}", help="[batch, heads, rows, width]")
    if not 0 <= length <= k.type.shape[2] or not 0 <= value_width <= v.type.shape[3] or window < 0:
        raise ShapeError(
            f"attention: length {length}, window {window}, value_width {value_width} with k {k.type} and v {v.type}",
            help="a length is at most the rows of k, a value_width at most the width of v, 0 stands for all of them",
        )


def check_positions(q: Value, k: Value, length: int, is_causal: bool) -> None:
    """Raises:
    ShapeError: the first queries stand before the first key, and would see none.
    """
    queries, keys = q.type.shape[2], length or k.type.shape[2]
    if is_causal and keys < queries:
        raise ShapeError(f"attention: {queries} queries, the last beside the last of {keys} keys, and is_causal")


def filled(x: Value, q: Value, length: int, scale: Sequence[Value]) -> Value:
    """The part of a cache that is filled, in the format of ``q``."""
    b, g, n, d = x.type.shape
    if length and length != n:
        x = slice(x, starts=(0, 0, 0, 0), size=(b, g, length, d))
    x = cast(x, to=q.type.dtype) if x.type.dtype != q.type.dtype else x
    for factor in scale:
        rows = factor.type.shape[2]
        if length and rows == n and length != n:
            factor = slice(factor, starts=(0, 0, 0, 0), size=(*factor.type.shape[:2], length, factor.type.shape[3]))
        factor = cast(factor, to=q.type.dtype) if factor.type.dtype != q.type.dtype else factor
        x = by_blocks(x, factor)
    return x


def by_blocks(x: Value, scale: Value) -> Value:
    """x [.., d] times a scale that broadcasts to it, or that has one for each of several equal parts of a row."""
    *lead, d = x.type.shape
    blocks = scale.type.shape[-1]
    if blocks in (1, d) or d % blocks:
        return mul(x, scale)
    apart = reshape(x, shape=(*lead, blocks, d // blocks))
    return reshape(mul(apart, reshape(scale, shape=(*scale.type.shape, 1))), shape=x.type.shape)


def distance_bias(slopes: Value, heads: int, view: Visibility, dtype: DType) -> Value:
    """[h, m, n] in the format of the scores, multiplied out in that of the slopes [h].

    Raises:
        ShapeError: slopes are not one for each head.
    """
    if slopes.type.shape != (heads,):
        raise ShapeError(f"attention: slopes are {slopes.type}, and q has {heads} heads", help="[heads]")
    distances = as_format(view.distances(), slopes.type.dtype)
    return as_format(mul(reshape(neg(slopes), shape=(heads, 1, 1)), distances), dtype)


def softmax_with(sinks: Sequence[Value], scores: Value) -> Value:
    """Softmax along the last axis [.., m, n], with a further logit for each head that has no share in the result."""
    last = scores.type.rank - 1
    if not sinks:
        return softmax(scores, axis=last)
    lead = scores.type.shape[1:-2]
    sink = reshape(sinks[0], shape=(1, *lead, 1, 1))
    peak = maximum(reduce_max(scores, axes=(last,), keepdims=True), sink)
    exponentials = exp(sub(scores, peak))
    total = add(reduce_sum(exponentials, axes=(last,), keepdims=True), exp(sub(sink, peak)))
    return div(exponentials, total)


def grouped_mask(mask: Value, groups: int, heads: int) -> Value:
    """[b, h or 1, m, n] such that it broadcasts to [b, g, h / g, m, n]."""
    shape = (1,) * (4 - mask.type.rank) + mask.type.shape
    apart = (1, 1) if shape[1] == 1 else (groups, heads // groups)
    return reshape(mask, shape=(shape[0], *apart, *shape[2:]))


@composite
def rotary_embedding(x: Value, cos: Value, sin: Value, *, width: int = 0, is_interleaved: bool = False) -> Value:
    """x cos + [-x2, x1] sin for the halves x1, x2 of x along its last axis; of its first ``width`` elements unless 0.

    With ``is_interleaved`` pairs are neighbours, (-x[1], x[0], -x[3], x[2], ..), as in GPT-J.

    Shapes: x and out [.., d], cos and sin broadcast to its rotated part. Source: Su et al., "RoFormer", 2021.
    """
    d = x.type.shape[-1]
    if width and width != d:
        turned, rest = pieces(x, (width, d - width))
        return concat(rotary(turned, cos, sin, is_interleaved), rest, axis=x.type.rank - 1)
    return rotary(x, cos, sin, is_interleaved)


def rotary(x: Value, cos: Value, sin: Value, is_interleaved: bool) -> Value:
    *lead, d = x.type.shape
    if not is_interleaved:
        low, high = pieces(x, (d // 2, d // 2))
        return add(mul(x, cos), mul(concat(neg(high), low, axis=x.type.rank - 1), sin))
    first, second = pieces(reshape(x, shape=(*lead, d // 2, 2)), (1, 1))
    swapped = reshape(concat(neg(second), first, axis=x.type.rank), shape=x.type.shape)
    return add(mul(x, cos), mul(swapped, sin))


def pieces(x: Value, widths: Sequence[int]) -> list[Value]:
    """x cut along its last axis."""
    lead = x.type.shape[:-1]
    starts = [sum(widths[:i]) for i in range(len(widths))]
    return [
        slice(x, starts=(*(0 for _ in lead), start), size=(*lead, width))
        for start, width in zip(starts, widths, strict=True)
    ]
