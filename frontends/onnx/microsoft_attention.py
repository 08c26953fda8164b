"""Attention operators of com.microsoft: heads side by side in one axis, caches of keys and values, rotary positions."""

from __future__ import annotations

import math

import numpy as np

from ircost.frontends.onnx.contraction import zero_point
from ircost.frontends.onnx.microsoft_fused import MICROSOFT
from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.ops.quantised import integer_product
from ircost.ir.types import i64


@lowering("RotaryEmbedding", domain=MICROSOFT)
def rotary_embedding(node: Node) -> Value:
    """Of [b, s, h * d] or [b, h, s, d]; positions are one offset, or one for each token."""
    x, ids = node[0], node[1]
    if x.type.rank == 4:
        heads = x
    else:
        width = node[2].type.shape[1] * 2
        heads = by_head(x, node.int("num_heads", 0) or x.type.shape[-1] // width)
    batch, _, steps, _ = heads.type.shape
    if ids.type.elements == 1:
        ids = ops.add(ops.reshape(ids, shape=(1,)), ops.ramp((steps,), 0))
    turned = rotated(heads, *caches(node, 2, ids, batch), bool(node.int("interleaved", 0)))
    return turned if x.type.rank == 4 else side_by_side(turned)


def caches(node: Node, index: int, ids: Value, batch: int) -> tuple[Value, Value]:
    """Cosines and sines at the positions ``ids`` [s] or [b, s], as [b or 1, 1, s, r / 2]."""

    def at_positions(table: Value) -> Value:
        rows = ops.gather(table, ids, axis=0)
        return ops.reshape(rows, shape=(batch if ids.type.rank == 2 else 1, 1, *rows.type.shape[-2:]))

    return at_positions(node[index]), at_positions(node[index + 1])


def rotated(x: Value, cos: Value, sin: Value, interleaved: bool) -> Value:
    """The first r elements of each head turned, the others as they are; pairs are neighbours, or halves apart."""
    *lead, width = x.type.shape
    rotary = 2 * cos.type.shape[-1]
    if rotary < width:
        first, rest = (
            ops.slice(x, starts=(0, 0, 0, at), size=(*lead, n)) for at, n in ((0, rotary), (rotary, width - rotary))
        )
        return ops.concat(rotated(first, cos, sin, interleaved), rest, axis=3)
    if interleaved:
        x = ops.reshape(x, shape=(*lead, rotary // 2, 2))
        x = ops.reshape(ops.transpose(x, perm=(0, 1, 2, 4, 3)), shape=(*lead, rotary))
    turned = ops.rotary_embedding(x, ops.concat(cos, cos, axis=3), ops.concat(sin, sin, axis=3))
    if interleaved:
        turned = ops.reshape(turned, shape=(*lead, 2, rotary // 2))
        turned = ops.reshape(ops.transpose(turned, perm=(0, 1, 2, 4, 3)), shape=(*lead, rotary))
    return turned


@lowering("MultiHeadAttention", domain=MICROSOFT)
def multi_head_attention(node: Node) -> list[Value]:
    """Queries, keys and values [b, s, h * d] each, or keys and values by head already; biases of all three in one.

    Keys and values may be packed, [b, n, h, 2, d], and the queries with them, [b, s, h, 3, d].
    """
    heads = node.int("num_heads", 0)
    q, k, v = unpacked(node)
    if node.get(3) is not None:
        q, k, v = with_biases([q, k, v], node[3])
    q, k, v = (x if x.type.rank == 4 else by_head(x, heads) for x in (q, k, v))
    k, v = (cached(node.get(i), x) for i, x in ((6, k), (7, v)))
    masks = [] if node.get(5) is None else [node[5]]
    if node.get(4) is not None:
        masks.append(padding_mask(node, node[4], q, k))
    is_causal = bool(node.int("unidirectional", 0))
    return [attended(node, q, k, v, masks, is_causal), k, v][: max(node.output_count, 1)]


def unpacked(node: Node) -> list[Value]:
    """Queries, keys and values, each [b, s, h * d] or as they come."""
    if node.get(1) is not None and node.get(2) is not None:
        return [node[0], node[1], node[2]]
    several, alone = (node[0], []) if node.get(1) is None else (node[1], [node[0]])
    if several.type.rank != 5:
        raise node.error(f"packed keys and values are {several.type}, five axes expected")
    batch, steps, heads, count, width = several.type.shape
    return [
        *alone,
        *(
            ops.reshape(
                ops.slice(several, starts=(0, 0, 0, i, 0), size=(batch, steps, heads, 1, width)),
                shape=(batch, steps, heads * width),
            )
            for i in range(count)
        ),
    ]


@lowering("Attention", domain=MICROSOFT)
def attention(node: Node) -> list[Value]:
    """The three projections in one product, then attention over all heads."""
    x, weight = node[0], node[1]
    projected = ops.matmul(x, weight)
    if node.get(2) is not None:
        projected = ops.add(projected, node[2])
    return projected_attention(node, projected, mask=node.get(3), past=node.get(4), bias=node.get(5))


@lowering("QAttention", domain=MICROSOFT)
def quantised_attention(node: Node) -> list[Value]:
    """The same, where the projections are one product of quantised tensors."""
    total = integer_product(node[0], node[1], zero_point(node, 6, -2), zero_point(node, 7, -1))
    scale = ops.mul(node[3], node[4])
    projected = ops.add(ops.mul(ops.cast(total, to=scale.type.dtype), scale), node[2])
    return projected_attention(node, projected, mask=node.get(5), past=node.get(8), bias=None)


def projected_attention(
    node: Node, projected: Value, mask: Value | None, past: Value | None, bias: Value | None
) -> list[Value]:
    """Attention of [b, s, widths of q, k and v]; the cache is [2, b, h, n, d], and the second output alike."""
    hidden = projected.type.shape[-1] // 3
    widths = node.ints("qkv_hidden_sizes", (hidden,) * 3)
    q, k, v = (by_head(part, node.int("num_heads", 1)) for part in pieces(projected, widths))
    if past is not None:
        k, v = (cached(one_of_two(past, i), x) for i, x in enumerate((k, v)))
    masks = [] if bias is None else [bias]
    if mask is not None:
        masks.append(padding_mask(node, mask, q, k))
    is_causal = bool(node.int("unidirectional", 0))
    if is_causal and mask is not None:  # what both masks hide is told from what one of them hides
        masks.append(position_mask(q, k, hidden=node.float("mask_filter_value", -10000.0)))
        is_causal = False
    present = [ops.reshape(x, shape=(1, *x.type.shape)) for x in (k, v)] if node.output_count > 1 else []
    return [attended(node, q, k, v, masks, is_causal), *([ops.concat(*present, axis=0)] if present else [])]


def one_of_two(past: Value, index: int) -> Value:
    shape = past.type.shape[1:]
    return ops.reshape(ops.slice(past, starts=(index, 0, 0, 0, 0), size=(1, *shape)), shape=shape)


@lowering("GroupQueryAttention", domain=MICROSOFT)
def group_query_attention(node: Node) -> list[Value]:
    """Causal attention of several heads on each head of keys and values, with a cache that new ones are put behind.

    Every row of the batch is taken to be as long as the cache and the new tokens together.
    """
    heads, groups = node.int("num_heads", 0), node.int("kv_num_heads", 0)
    q, k, v = packed_or_not(node, heads, groups)
    q, k, v = by_head(q, heads), by_head(k, groups), by_head(v, groups)
    past = node.get(3)
    if node.int("do_rotary", 0):
        begin = past.type.shape[2] if past is not None else 0
        cos, sin = caches(node, 7, rotary_positions(node, q.type.shape[2], begin), q.type.shape[0])
        q, k = (rotated(x, cos, sin, bool(node.int("rotary_interleaved", 0))) for x in (q, k))
    k, v = cached(past, k), cached(node.get(4), v)
    note = f"GroupQueryAttention '{node.name}': all rows are taken to be {k.type.shape[2]} long"
    node.importer.context.notes.append(note)
    masks = [] if node.get(10) is None else [node[10]]
    window, is_causal = max(node.int("local_window_size", -1), 0), bool(node.int("causal", 1))
    return [attended(node, q, k, v, masks, is_causal, window, head_sinks(node, heads, q)), k, v]


def rotary_positions(node: Node, steps: int, begin: int) -> Value:
    """[s] or [b, s]: behind the cache, unless they are given; of a first prompt the first one is all that counts."""
    ids = node.get(9)
    if begin and ids is not None:
        return ids
    first = ops.constant_of(np.array(begin)) if ids is None else ops.slice(ids, starts=(0, 0), size=(1, 1))
    return ops.add(ops.ramp((steps,), 0), ops.reshape(first, shape=()))


def head_sinks(node: Node, heads: int, q: Value) -> Value | None:
    """Logits [h] that take part in each softmax's sum; `smooth_softmax` adds exp(0)."""
    if node.get(11) is None and node.int("smooth_softmax", -1) == 1:
        return ops.broadcast(ops.scalar_like(0, q), shape=(heads,))
    return node.get(11)


def packed_or_not(node: Node, heads: int, groups: int) -> list[Value]:
    if node.get(1) is not None:
        return [node[0], node[1], node[2]]
    width = node[0].type.shape[-1] // (heads + 2 * groups)
    return pieces(node[0], (heads * width, groups * width, groups * width))


def attended(
    node: Node,
    q: Value,
    k: Value,
    v: Value,
    masks: list[Value],
    is_causal: bool = False,
    window: int = 0,
    sinks: Value | None = None,
) -> Value:
    scale = node.float("scale", 0.0) or 1 / math.sqrt(q.type.shape[-1])
    if is_causal and k.type.shape[2] < q.type.shape[2]:  # the first queries see no key at all
        masks, is_causal = [*masks, position_mask(q, k, hidden=-math.inf)], False
    attrs = {"softcap": node.float("softcap", 0.0), "is_causal": is_causal, "window": window}
    more = masks if sinks is None else [*masks, sinks]
    return side_by_side(ops.attention(q, k, v, *more, scale=scale, has_sinks=sinks is not None, **attrs))


def by_head(x: Value, heads: int) -> Value:
    """[b, s, h * d] as [b, h, s, d]."""
    batch, steps, width = x.type.shape
    return ops.transpose(ops.reshape(x, shape=(batch, steps, heads, width // heads)), perm=(0, 2, 1, 3))


def side_by_side(x: Value) -> Value:
    """[b, h, s, d] as [b, s, h * d]."""
    batch, heads, steps, width = x.type.shape
    return ops.reshape(ops.transpose(x, perm=(0, 2, 1, 3)), shape=(batch, steps, heads * width))


def cached(past: Value | None, x: Value) -> Value:
    return x if past is None or past.type.shape[2] == 0 else ops.concat(past, x, axis=2)


def with_biases(parts: list[Value], bias: Value) -> list[Value]:
    """Each with its piece of a bias for all of them."""
    begin, found = 0, []
    for x in parts:
        width = x.type.shape[-1]
        found.append(ops.add(x, ops.slice(bias, starts=(begin,), size=(width,))))
        begin += width
    return found


def pieces(x: Value, widths: tuple[int, ...]) -> list[Value]:
    """The last axis in pieces of these widths."""
    *lead, _ = x.type.shape
    begins = [sum(widths[:i]) for i in range(len(widths))]
    return [
        ops.slice(x, starts=(*(0 for _ in lead), begin), size=(*lead, width))
        for begin, width in zip(begins, widths, strict=True)
    ]


def position_mask(q: Value, k: Value, hidden: float) -> Value:
    """[1, 1, m, n]: 0 up to each query's own position, counted from the end of the keys, and ``hidden`` behind it."""
    m, n = q.type.shape[2], k.type.shape[2]
    row = ops.add(ops.reshape(ops.ramp((m,), 0), shape=(1, 1, m, 1)), ops.constant_of(np.array(n - m)))
    column = ops.reshape(ops.ramp((n,), 0), shape=(1, 1, 1, n))
    seen = ops.less_equal(column, row)
    return ops.where(seen, ops.scalar_like(0, q), ops.scalar_like(hidden, q))


def padding_mask(node: Node, mask: Value, q: Value, k: Value) -> Value:
    """What is added to the scores [b, h, m, n], of a mask that says which tokens count.

    It is 1 or 0 for each key [b, n] or for each query and key [b, m, n], or the length of each row [b].
    """
    b, _, m, _ = q.type.shape
    n = k.type.shape[2]
    if mask.type.shape == (b,):
        ends = ops.cast(ops.reshape(mask, shape=(b, 1, 1, 1)), to=i64)
        seen = ops.less(ops.reshape(ops.ramp((n,), 0), shape=(1, 1, 1, n)), ends)
    elif mask.type.shape in ((b, n), (b, m, n)):
        wide = ops.reshape(mask, shape=(b, 1, m if mask.type.rank == 3 else 1, n))
        seen = ops.greater(wide, node.like(0, wide))
    else:
        raise node.error(f"a mask {mask.type} is not supported", help=f"[{b}], [{b}, {n}] or [{b}, {m}, {n}]")
    return ops.where(seen, ops.scalar_like(0, q), ops.scalar_like(node.float("mask_filter_value", -10000.0), q))
