"""Attention of new tokens over a cache and themselves, tokens before heads, as the projections leave them."""

from __future__ import annotations

from collections.abc import Sequence

from ircost.ir.composite import composite
from ircost.ir.errors import ShapeError
from ircost.ir.graph import Value
from ircost.ir.ops.attention import attention
from ircost.ir.ops.elementwise import cast
from ircost.ir.ops.movement import transpose
from ircost.ir.ops.shape import concat

HEADS_FIRST = (0, 2, 1, 3)


@composite
def cached_attention(
    q: Value,
    k: Value,
    v: Value,
    *more: Value,
    scale: float,
    has_cache: bool = False,
    is_causal: bool = False,
    window: int = 0,
    softcap: float = 0.0,
    has_sinks: bool = False,
    has_scales: bool = False,
    has_alibi: bool = False,
) -> Value:
    """`attention` over keys and values of which the first are in a cache; the new ones join it where they are.

    Kernels read a cache page by page, wherever pages lie, so that putting both together moves nothing.

    Shapes: q [b, m, h, d], new keys k [b, m, g, d] and values v [b, m, g, e]; then with ``has_cache`` those of the past
    [b, p, g, d] and [b, p, g, e], in a number format of their own, to which the new ones are converted; with
    ``has_scales`` those of the new keys and values [b, m, g, blocks], and behind a cache of the past; then masks that
    broadcast to [b, h, m, p + m], with ``has_alibi`` slopes [h], and sinks [h] where there are some. Out [b, m, h, e].
    Without a cache and ``is_causal``, keys and values may be those of another sequence [b, n, g, d] (cross attention).
    Source: Kwon et al., "PagedAttention", SOSP 2023.
    """
    is_own = has_cache or is_causal
    if q.type.rank != 4 or q.type.shape[: 1 + is_own] != k.type.shape[: 1 + is_own]:
        raise ShapeError(f"cached_attention: q is {q.type}, k is {k.type}", help="[batch, tokens, heads, width]")
    past, rest = (more[:2], more[2:]) if has_cache else ((), more)
    k, v = joined(past[:1], k), joined(past[1:], v)
    count = (4 if has_cache else 2) * has_scales
    scales, rest = rest[:count], rest[count:]
    end = len(rest) - has_sinks - has_alibi
    mixed = attention(
        *(heads_first(x) for x in (q, k, v)),
        *rest[:end],
        *(heads_first(joined(scales[i + 2 : i + 3], scales[i])) for i in range(2 * has_scales)),
        *rest[end:],
        scale=scale,
        is_causal=is_causal,
        window=window,
        softcap=softcap,
        has_sinks=has_sinks,
        has_scales=has_scales,
        has_alibi=has_alibi,
    )
    return heads_first(mixed)


@composite
def latent_attention(
    q: Value, latent: Value, *past: Value, latent_width: int, scale: float, is_causal: bool = False
) -> Value:
    """Attention over one vector a token that all heads share: as a key whole, as a value its first elements.

    Shapes: q [b, m, h, d], latent of the new tokens [b, m, 1, d], of the past [b, p, 1, d] where there is one; out
    [b, m, h, latent_width]. Source: DeepSeek-AI, "DeepSeek-V2", arXiv:2405.04434, 2.1 (the absorbed form).
    """
    k = heads_first(joined(past, latent))
    return heads_first(attention(heads_first(q), k, k, scale=scale, is_causal=is_causal, value_width=latent_width))


def joined(past: Sequence[Value], new: Value) -> Value:
    """[b, p + m, g, d] in the number format of the past."""
    if not past:
        return new
    (old,) = past
    new = cast(new, to=old.type.dtype) if new.type.dtype != old.type.dtype else new
    return concat(old, new, axis=1)


def heads_first(x: Value) -> Value:
    """[b, t, h, d] as [b, h, t, d], and back."""
    return transpose(x, perm=HEADS_FIRST)
