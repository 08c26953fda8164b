"""Detached ops into a block, with what is known and small computed on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ircost.ir.builder import detached_ops
from ircost.ir.fold import folded as fold_op
from ircost.ir.graph import Block, Op, Value
from ircost.ir.location import Location


def place(block: Block, values: Sequence[Value], location: Location, check: Callable[[Op], None]) -> list[Value]:
    """Appends the detached ops that values are made of; what is known and small becomes a constant.

    Args:
        check: is shown each op before it is appended, and raises where it cannot be.

    Returns:
        The values, folded ones as constants.
    """
    folded: dict[Value, Value] = {}
    for op in detached_ops(values):
        if folded and any(operand in folded for operand in op.operands):
            op.set_operands([folded.get(operand, operand) for operand in op.operands])
        op.location = op.location or location  # a branch taken in place of its node has those of its own nodes
        results = fold_op(op) if op.operands and not widens_a_matrix(op) else None
        if results is None:
            check(op)
            _append_constants(block, op.operands, location)
            block.append(op)
            continue
        for old, new in zip(op.results, results, strict=True):
            folded[old] = new
    placed = [folded.get(value, value) for value in values]
    _append_constants(block, placed, location)
    return placed


def widens_a_matrix(op: Op) -> bool:
    """Whether an op is the first of those that dequantise a matrix: a pass may rather multiply it as it is."""
    if op.name != "cast":
        return False
    narrow, wide = op.operands[0].type, op.result.type
    is_matrix = sum(extent > 1 for extent in narrow.shape) > 1
    return is_matrix and narrow.dtype.name in ("i8", "u8", "i4", "u4") and wide.dtype.bits > narrow.dtype.bits


def _append_constants(block: Block, values: Sequence[Value], location: Location) -> None:
    """Folded constants that are needed from here on; those that only led to others never appear."""
    for value in values:
        if value.producer is not None and value.producer.block is None:
            value.producer.location = location
            block.append(value.producer)
