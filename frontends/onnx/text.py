"""Counting n-grams of token numbers."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise

import numpy as np

from ircost.frontends.onnx.node import Node, lowering
from ircost.frontends.onnx.refused import STRINGS
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import TensorType, f32


@lowering("TfIdfVectorizer")
def tf_idf(node: Node) -> Value:
    """How often each n-gram of a pool occurs in each row, with up to so many tokens skipped between its own.

    Shapes: tokens [n, c] or [c], out [n, m] or [m] for m the largest of ngram_indexes plus 1.
    """
    if "pool_strings" in node.attributes:
        raise node.error(f"pool_strings: {STRINGS}")
    x = node[0]
    rows = x if x.type.rank == 2 else ops.reshape(x, shape=(1, x.type.elements))
    indexes = np.array(node.ints("ngram_indexes", ()))
    totals = [ngram_counts(node, rows, grams) for grams in pools(node)]
    counts = ops.concat(*totals, axis=1)
    weights = np.array(node.floats("weights", ()) or np.ones(len(indexes)), np.float32)
    if counts.type.shape[1] != len(indexes) or len(weights) != len(indexes):
        raise node.error(f"{counts.type.shape[1]} n-grams, {len(indexes)} indexes, {len(weights)} weights")
    mode = node.string("mode", "TF")
    if mode == "IDF":
        counts = ops.minimum(counts, node.like(1, counts))
    if mode != "TF":
        counts = ops.mul(counts, ops.constant_of(weights))
    where = np.broadcast_to(indexes.astype(np.int64), (rows.type.shape[0], len(indexes)))
    columns = int(indexes.max(initial=-1)) + 1
    node.importer.check_elements(rows.type.shape[0] * columns, node)
    empty = ops.splat(0.0, TensorType((rows.type.shape[0], columns), f32))
    result = ops.scatter_elements(empty, ops.constant_of(where.copy()), counts, axis=1, reduction="add")
    return result if x.type.rank == 2 else ops.reshape(result, shape=(result.type.shape[1],))


def pools(node: Node) -> list[np.ndarray]:
    """The n-grams of each length, [count, length], from 1 on; none of them where the node does not look for any."""
    pool, starts = np.array(node.ints("pool_int64s", ())), node.ints("ngram_counts", ())
    pieces = [pool[a:b] for a, b in pairwise((*starts, len(pool)))]
    if any(len(piece) % n for n, piece in enumerate(pieces, 1)):
        raise node.error("pool_int64s does not divide into n-grams at ngram_counts")
    return [piece.reshape(-1, n) for n, piece in enumerate(pieces, 1)]


def ngram_counts(node: Node, rows: Value, grams: np.ndarray) -> Value:
    """How often each of ``grams`` [p, length] occurs in each row, [n, p]."""
    count, length = grams.shape
    batch, extent = rows.type.shape
    wanted = node.int("min_gram_length", 1) <= length <= node.int("max_gram_length", 1)
    gaps = range(1, node.int("max_skip_count", 0) + 2 if length > 1 else 2)
    fitting = [gap for gap in gaps if wanted and extent - (length - 1) * gap > 0]
    found = [occurrences(rows, grams, gap) for gap in fitting] if count else []
    return reduce(ops.add, found) if found else ops.constant_of(np.zeros((batch, count), np.float32))


def occurrences(rows: Value, grams: np.ndarray, gap: int) -> Value:
    """The same with tokens ``gap`` apart: a window for each start, compared token by token."""
    count, length = grams.shape
    batch, extent = rows.type.shape
    starts = extent - (length - 1) * gap
    matches = []
    for place in range(length):
        token = ops.slice(rows, starts=(0, place * gap), size=(batch, starts))
        wanted = ops.cast(ops.constant_of(grams[:, place].reshape(count, 1)), to=rows.type.dtype)
        matches.append(ops.equal(ops.reshape(token, shape=(batch, 1, starts)), wanted))
    return ops.reduce_sum(ops.cast(reduce(ops.logical_and, matches), to=f32), axes=(2,))
