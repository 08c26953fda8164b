"""Attention as one nest of loops, though it holds two products: scores are used up where they are made."""

from __future__ import annotations

from collections.abc import Sequence

from ircost.ir.graph import Op, Value
from ircost.ir.nest import Nest, NestDim, Run, Stream
from ircost.ir.ops.attention import presence, split_operands

SCORE_BYTES = 4  # scores are summed in 32 bits


def attention_nest(kernel: Op, op: Op) -> Nest | None:
    """Sequences, groups of heads that share keys, heads of a group, queries; summed over keys.

    Source: Dao, Fu, Ermon, Rudra, Ré, "FlashAttention", NeurIPS 2022: a tile of scores is never stored.
    """
    q, k, v, *more = op.operands
    masks, scales, slopes, sinks = split_operands(more, *presence(op))
    batch, heads, queries, width = q.type.shape
    groups, keys, values = k.type.shape[1], k.type.shape[2], v.type.shape[3]
    extents = (batch, groups, heads // groups, queries, keys)
    dims = tuple(NestDim(name, extent, name == "n", True) for name, extent in zip("bgrmn", extents, strict=True))
    b, g, r, m, n = range(5)
    head = Run(1, ((g, heads // groups), (r, 1)), heads)

    def along(dim: int, extent: int) -> Run:
        return Run(1, ((dim, 1),), extent)

    def whole(extent: int) -> Run:
        return Run(extent, (), extent)

    def mask_runs(shape: Sequence[int]) -> tuple[Run, ...]:
        full = (along(b, batch), head, along(m, queries), along(n, keys))[4 - len(shape) :]
        return tuple(run if extent > 1 else whole(1) for run, extent in zip(full, shape, strict=True))

    rows = (along(b, batch), head, along(m, queries))
    columns = (along(b, batch), along(g, groups), along(n, keys))
    reads: list[tuple[Value, tuple[Run, ...]]] = [
        (q, (*rows, whole(width))),
        (k, (*columns, whole(width))),
        (v, (*columns, whole(values))),
    ]
    reads += [(beside, mask_runs(beside.type.shape)) for beside in (*masks, *scales)]
    reads += [(of_heads, (head,)) for of_heads in (*slopes, *sinks)]
    arguments = kernel.regions[0].block.arguments
    if any(value not in arguments for value, _ in reads) or len(kernel.results) != 1:
        return None
    streams = [Stream(arguments.index(value), runs, value.type.dtype.bits / 8, False) for value, runs in reads]
    out = Stream(0, (*rows, whole(values)), op.result.type.dtype.bits / 8, True)
    scores = Stream(0, (along(b, batch), head, along(m, queries), along(n, keys)), SCORE_BYTES, False)
    shape = (batch * heads, queries, keys, min(width, values))
    return Nest(dims, (*streams, out), (scores,), attention=shape)
