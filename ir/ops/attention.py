"""Attention and the rotary embedding."""

from __future__ import annotations

from ircost.ir.composite import composite
from ircost.ir.errors import ShapeError
from ircost.ir.graph import Value
from ircost.ir.ops.contraction import contract
from ircost.ir.ops.elementwise import add, isnan, mul, neg, tanh, where
from ircost.ir.ops.movement import slice
from ircost.ir.ops.normalization import scalar_like, softmax
from ircost.ir.ops.shape import concat, reshape


@composite
def attention(
    q: Value, k: Value, v: Value, *mask: Value, scale: float, is_guarded: bool = False, softcap: float = 0.0
) -> Value:
    """softmax(scale q k' + mask) v; heads of k and v serve as many heads of q each as there are more of these.

    Shapes: q [b, h, m, d], k [b, g, n, d], v [b, g, n, e] with h a multiple of g; masks broadcast to [b, h, m, n] and
    are added; out [b, h, m, e]. Scores s become softcap tanh(s / softcap) unless that is 0. ``is_guarded`` gives rows
    of 0 where all of a row is masked, which would be NaN.
    Source: Vaswani et al. 2017; Ainslie et al., "GQA", 2023; ONNX Attention-23.
    """
    if not q.type.rank == k.type.rank == v.type.rank == 4 or q.type.shape[1] % k.type.shape[1]:
        raise ShapeError(f"attention: q is {q.type}, k is {k.type}, v is {v.type}", help="[batch, heads, rows, width]")
    b, h, m, _ = q.type.shape
    g = k.type.shape[1]
    if h != g:
        q = reshape(q, shape=(b, g, h // g, *q.type.shape[2:]))
        k, v = (reshape(x, shape=(b, g, 1, *x.type.shape[2:])) for x in (k, v))
    scores = contract(q, k, notation="... m d, ... n d -> ... m n")
    scores = mul(scores, scalar_like(scale, scores)) if scale != 1.0 else scores
    if softcap:
        scores = mul(tanh(mul(scores, scalar_like(1 / softcap, scores))), scalar_like(softcap, scores))
    for bias in mask:
        scores = add(scores, bias if h == g else grouped_mask(bias, g, h))
    shares = softmax(scores, axis=scores.type.rank - 1)
    if is_guarded:
        shares = where(isnan(shares), scalar_like(0.0, shares), shares)
    out = contract(shares, v, notation="... m n, ... n e -> ... m e")
    return reshape(out, shape=(b, h, m, v.type.shape[-1])) if h != g else out


def grouped_mask(mask: Value, groups: int, heads: int) -> Value:
    """[b, h or 1, m, n] such that it broadcasts to [b, g, h / g, m, n]."""
    shape = (1,) * (4 - mask.type.rank) + mask.type.shape
    apart = (1, 1) if shape[1] == 1 else (groups, heads // groups)
    return reshape(mask, shape=(shape[0], *apart, *shape[2:]))


@composite
def rotary_embedding(x: Value, cos: Value, sin: Value) -> Value:
    """x cos + [-x2, x1] sin for the halves x1, x2 of x along its last axis.

    Shapes: x and out [.., d], cos and sin broadcast to that. Source: Su et al., "RoFormer", 2021.
    """
    *lead, d = x.type.shape
    low, high = (slice(x, starts=(*(0 for _ in lead), at), size=(*lead, d // 2)) for at in (0, d // 2))
    return add(mul(x, cos), mul(concat(neg(high), low, axis=x.type.rank - 1), sin))
