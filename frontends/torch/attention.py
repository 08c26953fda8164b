"""Scaled dot-product attention."""

from __future__ import annotations

import math

from ircost.frontends.torch.call import Call, lowering
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import boolean


@lowering("scaled_dot_product_attention")
def scaled_dot_product_attention(
    call: Call,
    q: Value,
    k: Value,
    v: Value,
    attn_mask: Value | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    """Rows where a boolean mask hides all are 0, as PyTorch has them."""
    call.need_eval(dropout_p > 0)
    factor = 1 / math.sqrt(q.type.shape[-1]) if scale is None else scale
    masks = [causal_mask(q, k)] if is_causal else []
    is_guarded = attn_mask is not None and attn_mask.type.dtype == boolean
    if attn_mask is not None:
        masks.append(added_mask(attn_mask, q))
    heads = [four_axes(x) for x in (q, k, v)]
    masks = [four_axes(mask) if mask.type.rank > 4 else mask for mask in masks]
    result = ops.attention(*heads, *masks, scale=float(factor), is_guarded=is_guarded)
    return call.reshaped(result)


def four_axes(x: Value) -> Value:
    """[..., h, m, d] as [b, h, m, d]."""
    shape = x.type.shape
    if x.type.rank == 4:
        return x
    if x.type.rank < 4:
        return ops.reshape(x, shape=(*(1,) * (4 - x.type.rank), *shape))
    lead = math.prod(shape[:-3])
    return ops.reshape(x, shape=(lead, *shape[-3:]))


def causal_mask(q: Value, k: Value) -> Value:
    """[m, n]: 0 up to each query's own position, counted from the first key, and minus infinity behind it."""
    m, n = q.type.shape[-2], k.type.shape[-2]
    is_seen = ops.greater_equal(ops.ramp((m, 1), 0), ops.ramp((1, n), 1))
    return ops.where(is_seen, ops.scalar_like(0.0, q), ops.scalar_like(-math.inf, q))


def added_mask(mask: Value, q: Value) -> Value:
    """Numbers that are added to scores: a boolean mask says what is seen."""
    if mask.type.dtype != boolean:
        return mask if mask.type.dtype == q.type.dtype else ops.cast(mask, to=q.type.dtype)
    return ops.where(mask, ops.scalar_like(0.0, q), ops.scalar_like(-math.inf, q))
