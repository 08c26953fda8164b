"""Linear attention: a state [key width, value width] for each head in place of a cache that grows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ircost.ir.composite import composite
from ircost.ir.errors import ShapeError
from ircost.ir.graph import Value
from ircost.ir.ops.contraction import contract
from ircost.ir.ops.elementwise import add, as_format, exp, mul, rsqrt, sub
from ircost.ir.ops.movement import broadcast
from ircost.ir.ops.normalization import scalar_like
from ircost.ir.ops.recurrence import ChunkedRecurrence, optional, over_time, state_or_zeros
from ircost.ir.ops.reduction import reduce_sum
from ircost.ir.ops.shape import reshape
from ircost.ir.types import f32

NORM_EPSILON = 1e-6  # Source: fla-org/flash-linear-attention, fla/modules/l2norm.py


@partial(composite, kind=ChunkedRecurrence)
def linear_attention(
    q: Value, k: Value, v: Value, g: Value, *state: Value, scale: float = 1.0, has_state: bool = False
) -> tuple[Value, ...]:
    """S = exp(g) S + k v', out = scale q S, token by token: retention, lightning attention, gated linear attention.

    Shapes: q and k [b, t, g, d], v [b, t, h, e] with h a multiple of g, neighbours sharing q and k; g, the logarithm
    of what is kept of the state: [h] for all tokens, [b, t, h], or [b, t, h, d] where each row of the state has its
    own; state [b, h, d, e]. Results: out [b, t, h, e], state as it came, in f32 where none did.
    Source: Sun et al., "Retentive Network", 2023; Yang et al., "Gated Linear Attention", ICML 2024; MiniMax-01, 2025.
    """
    return mixed(q, k, v, g, None, optional(state, (has_state,))[0], scale)


@partial(composite, kind=ChunkedRecurrence)
def gated_delta_rule(
    q: Value,
    k: Value,
    v: Value,
    g: Value,
    beta: Value,
    *state: Value,
    scale: float,
    is_normalised: bool = True,
    has_state: bool = False,
) -> tuple[Value, ...]:
    """S = exp(g) S, then S = S + k (beta (v - k S))', out = scale q S: what the state says of k moves towards v.

    ``is_normalised`` makes q and k unit vectors first. With g for each row of the state it is Kimi delta attention.

    Shapes: as of `linear_attention`; beta [b, t, h]. Results: out [b, t, h, e], state.
    Source: Yang, Kautz, Hatamizadeh, "Gated Delta Networks", ICLR 2025; Kimi Team, "Kimi Linear", arXiv:2510.26692.
    """
    if is_normalised:
        q, k = unit_vectors(q), unit_vectors(k)
    return mixed(q, k, v, g, beta, optional(state, (has_state,))[0], scale)


def mixed(
    q: Value, k: Value, v: Value, g: Value, beta: Value | None, state: Sequence[Value], scale: float
) -> tuple[Value, Value]:
    """The recurrence of both; without ``beta`` what the state says of k plays no part.

    States are in f32 while time runs, products of operands in their own format sum up in f32, as kernels do it.
    """
    b, t, groups, d = check_widths(q, k, v)
    heads, e = v.type.shape[2:]
    each, dtype = heads // groups, v.type.dtype
    kept = exp(as_format(of_each_token(g, b, t), f32))
    kept = reshape(kept, shape=(b, t, groups, each, *kept.type.shape[3:]))
    values = reshape(v, shape=(b, t, groups, each, e))
    sequences = [q, k, values, kept]
    if beta is not None:
        sequences.append(reshape(as_format(beta, f32), shape=(b, t, groups, each, 1)))
    given = state_or_zeros(state, (b, heads, d, e))
    first = reshape(as_format(given, f32), shape=(b, groups, each, d, e))

    def step(before: Value, q: Value, k: Value, v: Value, kept: Value, *beta: Value) -> tuple[Value, Value]:
        rows = kept.type.shape[3] if kept.type.rank == 4 else 1
        shrunk = mul(before, reshape(kept, shape=(b, groups, each, rows, 1)))
        if beta:
            said = contract(k, as_format(shrunk, dtype), notation="b g d, b g r d e -> b g r e", out=f32)
            v = as_format(mul(sub(as_format(v, f32), said), beta[0]), dtype)
        after = add(shrunk, contract(k, v, notation="b g d, b g r e -> b g r d e", out=f32))
        out = contract(q, as_format(after, dtype), notation="b g d, b g r d e -> b g r e", out=f32)
        return after, as_format(out if scale == 1.0 else mul(out, scalar_like(scale, out)), dtype)

    out, last = over_time(step, first, sequences)
    return reshape(out, shape=(b, t, heads, e)), as_format(reshape(last, shape=given.type.shape), given.type.dtype)


def check_widths(q: Value, k: Value, v: Value) -> tuple[int, int, int, int]:
    """Batch, tokens, heads and width of q and k.

    Raises:
        ShapeError: they do not fit each other, or v.
    """
    is_fitting = q.type == k.type and q.type.rank == v.type.rank == 4 and q.type.shape[:2] == v.type.shape[:2]
    if not is_fitting or v.type.shape[2] % q.type.shape[2] or v.type.dtype != q.type.dtype:
        raise ShapeError(f"q is {q.type}, k is {k.type}, v is {v.type}", help="[batch, tokens, heads, width]")
    b, t, groups, d = q.type.shape
    return b, t, groups, d


def of_each_token(g: Value, batch: int, tokens: int) -> Value:
    """[h] as [b, t, h]."""
    return g if g.type.rank > 1 else broadcast(g, shape=(batch, tokens, g.type.shape[0]))


def unit_vectors(x: Value) -> Value:
    """x over the length of its last axis, in f32 on the way."""
    wide = as_format(x, f32)
    squares = reduce_sum(mul(wide, wide), axes=(x.type.rank - 1,), keepdims=True)
    return as_format(mul(wide, rsqrt(add(squares, scalar_like(NORM_EPSILON, squares)))), x.type.dtype)
