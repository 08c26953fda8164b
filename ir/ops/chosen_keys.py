"""Attention to keys that a small product chooses: an indexer's scores, the highest of them, and attention to those."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ircost.ir.composite import CompositeOp, composite
from ircost.ir.counts import Counts
from ircost.ir.errors import ShapeError
from ircost.ir.graph import Op, Value
from ircost.ir.ops.attention import attention
from ircost.ir.ops.cached_attention import joined
from ircost.ir.ops.constant import iota
from ircost.ir.ops.contraction import contract
from ircost.ir.ops.elementwise import add, as_format, less_equal, mul, relu, where
from ircost.ir.ops.indexing import gather, top_k
from ircost.ir.ops.normalization import scalar_like
from ircost.ir.ops.reduction import reduce_sum
from ircost.ir.ops.shape import reshape
from ircost.ir.ops.visibility import Visibility
from ircost.ir.structured import StructuredOp
from ircost.ir.types import TensorType, f32, i32


class IndexScores(CompositeOp):
    """Scores that nobody sees are not computed, as kernels are given the keys that each query sees."""

    def counts_within(self, op: Op, inner: Op, counts: Counts) -> Counts:
        view = index_view(op)
        is_of_scores = any(value.type.shape[-1:] == (view.keys,) for value in inner.results)
        if view.is_all or not is_of_scores or not isinstance(inner.definition, StructuredOp):
            return counts
        return counts.share(view.pairs, view.queries * view.keys)


def index_view(op: Op) -> Visibility:
    """Which keys each query of `index_scores` sees."""
    queries, keys = op.result.type.shape[1:]
    return Visibility(queries, keys, bool(op.attrs["is_causal"]), 0)


@partial(composite, kind=IndexScores)
def index_scores(
    q: Value,
    k: Value,
    weights: Value,
    *more: Value,
    has_cache: bool = False,
    has_scales: bool = False,
    is_causal: bool = False,
) -> Value:
    """How much each query wants each key: relu(q k') of each head, summed up by weights that each query has.

    Heads share one key a token, of which the first are in a cache; what nobody sees is -inf. Scales multiply keys.

    Shapes: q [b, m, h, d], new keys k [b, m, d], weights [b, m, h]; then with ``has_cache`` those of the past
    [b, p, d]; with ``has_scales`` those of the new keys [b, m, 1], and behind a cache of the past [b, p, 1]. Out
    [b, m, p + m] in f32.
    Source: DeepSeek-AI, "DeepSeek-V3.2", 2025, 2.1, equation 1; deepseek-ai/DeepGEMM, ``fp8_mqa_logits``.
    """
    b, m, h, d = q.type.shape
    if k.type.shape != (b, m, d) or weights.type.shape != (b, m, h):
        raise ShapeError(f"index_scores: q is {q.type}, k is {k.type}, weights are {weights.type}")
    past, scales = more[:has_cache], more[has_cache:]
    k = joined(past, k)
    n = k.type.shape[1]
    scores = relu(contract(q, k, notation="b m h d, b n d -> b m h n", out=f32))
    scores = mul(scores, reshape(as_format(weights, f32), shape=(b, m, h, 1)))
    scores = reduce_sum(scores, axes=(2,))
    if has_scales:
        scores = mul(scores, reshape(joined(scales[1:], scales[0]), shape=(b, 1, n)))
    view = Visibility(m, n, is_causal, 0)
    return scores if view.is_all else where(view.mask(), scores, scalar_like(float("-inf"), scores))


class ChosenKeys(CompositeOp):
    """Of each row no more is read than its query sees."""

    def operand_bytes(self, op: Op) -> Sequence[int]:
        scores = op.operands[0].type
        view = Visibility(scores.shape[1], scores.shape[2], bool(op.attrs["is_causal"]), 0)
        return (scores.size_bytes * view.pairs // max(view.queries * view.keys, 1),)


@partial(composite, kind=ChosenKeys)
def chosen_keys(scores: Value, *, k: int, is_causal: bool = False) -> Value:
    """Numbers of the ``k`` keys with the highest scores, the highest first.

    Shapes: scores [b, m, n], -inf where a query does not see a key; out [b, m, k] of i32.
    Source: DeepSeek-AI, "DeepSeek-V3.2", 2025, 2.1, equation 2.
    """
    if scores.type.rank != 3:
        raise ShapeError(f"chosen_keys: scores are {scores.type}", help="[batch, queries, keys]")
    _, places = top_k.results(scores, k=k, axis=2)
    return as_format(places, i32)


class ChosenAttention(CompositeOp):
    """Of latents no more is read than queries chose."""

    def operand_bytes(self, op: Op) -> Sequence[int]:
        whole = [operand.type.size_bytes for operand in op.operands]
        _, queries, chosen = op.operands[-1].type.shape
        latents = op.operands[1:-1]
        rows = sum(latent.type.shape[1] for latent in latents)
        met = min(queries * chosen, rows)
        return whole[0], *(n * met // max(rows, 1) for n in whole[1:-1]), whole[-1]


@partial(composite, kind=ChosenAttention)
def chosen_attention(q: Value, latent: Value, *more: Value, latent_width: int, scale: float) -> Value:
    """`latent_attention` to those tokens alone that each query chose; kernels read them where they are.

    A choice that stands behind a query's own position is none: rows with fewer tokens before them than are chosen.

    Shapes: q [b, m, h, d], latent of the new tokens [b, m, 1, d], of the past [b, p, 1, d] where there is one, numbers
    of tokens [b, m, k], integers; out [b, m, h, latent_width].
    Source: DeepSeek-AI, "DeepSeek-V3.2", 2025, 2.1; deepseek-ai/FlashMLA, its sparse kernels.
    """
    *past, chosen = more
    keys = joined(past, latent)
    b, n, _, width = keys.type.shape
    m, h = q.type.shape[1:3]
    k = chosen.type.shape[2]
    first = iota.create((), {"axis": 0}, result_types=(TensorType((b, 1, 1), i32),)).result
    places = as_format(chosen, i32)
    rows = gather(reshape(keys, shape=(b * n, width)), add(places, mul(first, scalar_like(n, first))), axis=0)
    rows = reshape(rows, shape=(b * m, 1, k, width))
    masks = []
    if n - m + 1 < k:
        own = iota.create((), {"axis": 1}, result_types=(TensorType((1, m, 1), i32),)).result
        is_seen = less_equal(places, add(own, scalar_like(n - m, own)))
        zero = scalar_like(0.0, q)
        mask = where(is_seen, zero, scalar_like(float("-inf"), q))
        masks = [reshape(mask, shape=(b * m, 1, 1, k))]
    each = reshape(q, shape=(b * m, h, 1, width))
    mixed = attention(each, rows, rows, *masks, scale=scale, value_width=latent_width)
    return reshape(mixed, shape=(b, m, h, latent_width))


def seen_keys(op: Op) -> float:
    """Keys that a query of `index_scores` sees, on the mean."""
    view = index_view(op)
    return view.pairs / max(view.queries, 1)
