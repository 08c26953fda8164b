"""EmbedLayerNormalization of com.microsoft."""

from __future__ import annotations

import numpy as np

from ircost.frontends.onnx.microsoft_fused import MICROSOFT
from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import i32


@lowering("EmbedLayerNormalization", domain=MICROSOFT)
def embed_layer_norm(node: Node) -> list[Value]:
    """Embeddings of words, positions and perhaps segments, added up and normalised.

    Outputs: the norm [b, s, h], the number of tokens that the mask lets through [b], the sum itself [b, s, h].
    """
    ids, segments, mask = node[0], node.get(1), node.get(7)
    batch, steps = ids.type.shape
    total = ops.add(ops.gather(node[2], ids, axis=0), positions(node, steps))
    if segments is not None:
        total = ops.add(total, ops.gather(node[4], segments, axis=0))
    normed = ops.layer_norm(total, node[5], node[6], axis=2, epsilon=node.float("epsilon", 1e-12))
    if mask is None:
        lengths = ops.broadcast(ops.cast(ops.constant_of(np.array(0)), to=i32), shape=(batch,))
    else:
        lengths = ops.cast(ops.reduce_sum(mask, axes=(1,)), to=i32)
    return [normed, lengths, total][: max(len(node.proto.output), 1)]


def positions(node: Node, steps: int) -> Value:
    """[s, h] or [b, s, h] of the table of positions."""
    ids, table = node.get(8), node[3]
    if ids is not None:
        return ops.gather(table, ids, axis=0)
    if steps > table.type.shape[0]:
        raise node.error(f"{steps} tokens, but positions for {table.type.shape[0]}")
    return ops.slice(table, starts=(0, 0), size=(steps, table.type.shape[1]))
