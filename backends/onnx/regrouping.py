"""Reshapes around a transpose or a broadcast that are one operator."""

from __future__ import annotations

from ircost.backends.onnx.emitter import Scope, emits
from ircost.backends.onnx.node import Input, node, whole_numbers
from ircost.ir.attributes import ints_of
from ircost.ir.graph import Op, sole_producer
from ircost.ir.types import TensorType, f32

# Orders of axes between [n, c, h, b, w, b], or [n, .., h, w] with both factors of the channels, and the result.
TO_DEPTH = (0, 3, 5, 1, 2, 4)
FROM_DEPTH: dict[tuple[int, ...], str] = {(0, 3, 4, 1, 5, 2): "DCR", (0, 1, 4, 2, 5, 3): "CRD"}


@emits("reshape", is_special=True)
def emit_space_and_depth(op: Op, scope: Scope) -> Input:
    """reshape(transpose(reshape(x)))  ->  SpaceToDepth(x) or DepthToSpace(x), by squares of elements"""
    moved = sole_producer(op.operands[0], "transpose")
    split = sole_producer(moved.operands[0], "reshape") if moved is not None else None
    if moved is None or split is None or op.result.type.rank != 4 or op.result.type.dtype != f32:
        return None
    x, apart, perm = split.operands[0], split.result.type.shape, ints_of(moved.attrs, "perm")
    if x.type.rank != 4 or len(apart) != 6 or x.type.bounded:
        return None
    (n, c, h, w), result = x.type.shape, op.result.type.shape
    block = apart[5] if perm == TO_DEPTH else apart[1] if FROM_DEPTH.get(perm) == "DCR" else apart[2]
    if block < 2:
        return None
    if perm == TO_DEPTH and apart == (n, c, h // block, block, w // block, block):
        whole = (n, c * block * block, h // block, w // block)
        return node("SpaceToDepth", x, blocksize=block) if result == whole else None
    narrow = c // (block * block)
    parts = (block, block, narrow) if FROM_DEPTH.get(perm) == "DCR" else (narrow, block, block)
    if perm not in FROM_DEPTH or apart != (n, *parts, h, w) or result != (n, narrow, h * block, w * block):
        return None
    return node("DepthToSpace", x, blocksize=block, mode=FROM_DEPTH[perm])


@emits("reshape", is_special=True)
def emit_tile(op: Op, scope: Scope) -> Input:
    """reshape(broadcast(reshape(x)))  ->  Tile(x), where each axis has one of its own for how often it repeats"""
    repeated = sole_producer(op.operands[0], "broadcast")
    split = sole_producer(repeated.operands[0], "reshape") if repeated is not None else None
    if repeated is None or split is None or split.operands[0].type.bounded:
        return None
    x = split.operands[0]
    counts = repeats(x.type, split.result.type, repeated.result.type, op.result.type)
    return None if counts is None else node("Tile", x, whole_numbers(*counts))


def repeats(x: TensorType, apart: TensorType, wide: TensorType, result: TensorType) -> tuple[int, ...] | None:
    """How often each axis of x is repeated, of [1, a, 1, b, ..] made wide to [i, a, j, b, ..]."""
    if apart.rank != wide.rank or apart.rank != 2 * x.rank or result.rank != x.rank:
        return None
    counts = wide.shape[::2]
    if apart.shape[::2] != (1,) * x.rank or apart.shape[1::2] != x.shape or wide.shape[1::2] != x.shape:
        return None
    return counts if result.shape == tuple(a * b for a, b in zip(counts, x.shape, strict=True)) else None
