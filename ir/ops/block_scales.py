"""Scales of blocks: equal parts of a row of weights, of which the last may be shorter."""

from __future__ import annotations

from ircost.ir.errors import ShapeError
from ircost.ir.graph import Value
from ircost.ir.ops.movement import broadcast, pad, slice
from ircost.ir.ops.shape import reshape


def block_of(op: str, k: int, blocks: int, block: int) -> int:
    """Elements of a row that share a scale.

    Args:
        op: who asks. k: of a row. block: as its attribute says; 0: equal parts.

    Raises:
        ShapeError: that many blocks are not what rows divide into.
    """
    if block < 0 or (blocks != -(-k // block) if block else blocks < 1 or k % blocks):
        what = f"blocks of {block}" if block else "equal blocks"
        raise ShapeError(f"{op}: rows of {k} do not divide into {blocks} {what}", help="the last one may be shorter")
    return block or k // blocks


def by_element(part: Value, n: int, k: int, block: int) -> Value:
    """[.., rows, blocks] as [.., n, k]: each for n / rows rows, and ``block`` elements of them."""
    *lead, rows, blocks = part.type.shape
    apart = reshape(part, shape=(*lead, rows, 1, blocks, 1))
    wide = broadcast(apart, shape=(*lead, rows, n // rows, blocks, block))
    whole = reshape(wide, shape=(*lead, n, blocks * block))
    return slice(whole, starts=(0,) * (len(lead) + 2), size=(*lead, n, k)) if blocks * block != k else whole


def in_blocks(x: Value, block: int) -> Value:
    """[.., k] as [.., blocks, block], the last filled up with zeros."""
    *lead, k = x.type.shape
    blocks = -(-k // block)
    if blocks * block != k:
        x = pad(x, pads=(*((0, 0) for _ in lead), (0, blocks * block - k)))
    return reshape(x, shape=(*lead, blocks, block))
