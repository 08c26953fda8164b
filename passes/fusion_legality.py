"""What one kernel may hold: read off iteration spaces, and what a processor has room for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ircost.backends import Target
from ircost.ir.chain import acts_on_elements
from ircost.ir.dependency import Box, boxes_behind, is_element_by_element, on_chip_bytes
from ircost.ir.graph import Op, Value
from ircost.ir.structured import StructuredOp

MOST_RESULTS = 4
# Rows and columns of product tiles: a row that is reduced must lie in one tile. Source: NVIDIA/cutlass, default tiles.
WIDEST_TILE = 256
TILE_ROWS = 64
ACCUMULATOR_BYTES = 4


@dataclass(frozen=True, slots=True)
class Room:
    """What one processor holds of a tile.

    Args:
        tile_bytes: of what passes between ops. accumulator_bytes: of sums of products.
    """

    tile_bytes: float
    accumulator_bytes: float

    @classmethod
    def of(cls, target: Target) -> Room:
        """The largest memory that each processor has of its own; half of the registers are for accumulators."""
        own = {level.name: float(level.capacity_bytes) for level in target.memory if level.per_processor}
        # The other half holds operands and addresses.
        accumulators = own.pop("registers", max(own.values(), default=0.0)) / 2
        return cls(max(own.values(), default=0.0), accumulators)


def may_be_kernel(members: Sequence[Op], results: Sequence[Value], room: Room) -> bool:
    """Whether ops can run as one kernel that computes nothing twice and keeps what passes between them on chip.

    The kernel goes tile by tile over its largest result. The smallest tile is looked for that splits every axis along
    which the tiles of all values behind it stay apart: one element in a chain of element-wise ops, one row where a
    reduction stands between. It must have room, and a product among the members must be able to end in such tiles.

    Args:
        members: ops of one block, in program order. results: what is read from outside.
    """
    if all(map(is_element_by_element, members)):
        return len(results) <= MOST_RESULTS and has_no_dead_end(members, results)
    products = [op for op in members if is_product(op)]
    inside = set(members)
    if len(products) > 1 or len(results) > MOST_RESULTS or not may_move(members):
        return False
    # Operands of products come by asynchronous copies, which compute nothing on the way.
    if any(operand.producer in inside for op in products for operand in op.operands):
        return False
    boxes = smallest_tile(members, results)
    if boxes is None:
        return False
    if all(math.prod(boxes[op.result]) == 1 for op in members):
        return True
    if any(not has_tiles_for(op, boxes[op.result], room) for op in products):
        return False
    return on_chip_bytes(members, boxes, results) <= room.tile_bytes


def has_no_dead_end(members: Sequence[Op], results: Sequence[Value]) -> bool:
    """Whether every op is behind some result."""
    read = {operand for op in members for operand in op.operands}
    return all(op.result in read or op.result in results for op in members)


def smallest_tile(members: Sequence[Op], results: Sequence[Value]) -> Mapping[Value, Box] | None:
    """Boxes of all values for the smallest tile of the largest result that makes no op compute anything twice.

    None where a result is neither behind the largest nor of its shape: one grid of tiles cannot serve both.
    """
    largest = max(reversed(results), key=lambda value: value.type.elements)
    shape = largest.type.shape
    alike = [value for value in results if value.type.shape == shape]
    box = shape
    boxes = boxes_behind(members, dict.fromkeys(alike, box))
    if any(op.result not in boxes for op in members):
        return None
    for axis, extent in enumerate(shape):
        if extent == 1:
            continue
        split = (*box[:axis], 1, *box[axis + 1 :])
        found = boxes_behind(members, dict.fromkeys(alike, split))
        if all(math.prod(found[op.result]) * extent == math.prod(boxes[op.result]) for op in members):
            box, boxes = split, found
    return boxes


def has_tiles_for(product: Op, box: Box, room: Room) -> bool:
    """Whether a product's tiles can hold such a box of its result whole."""
    width = math.prod(box)
    if not isinstance(product.definition, StructuredOp):
        return width == 1  # a composite's kernel has tiles of its own
    return width <= WIDEST_TILE and width * TILE_ROWS * ACCUMULATOR_BYTES <= room.accumulator_bytes


def is_product(op: Op) -> bool:
    """Whether an op is, or holds, a contraction."""
    if op.definition.is_composite:
        return any(inner.definition.is_contraction for inner in op.regions[0].block.walk())
    return op.definition.is_contraction


def may_move(members: Sequence[Op]) -> bool:
    """Whether no member moves the innermost axis, or one does and all others run on its elements as they pass."""
    others = [op for op in members if not moves_innermost(op)]
    return len(others) == len(members) or (len(others) == len(members) - 1 and all(map(acts_on_elements, others)))


def moves_innermost(op: Op) -> bool:
    """Whether an op permutes elements such that neighbours in the result were none in the operand.

    Such a move goes through shared memory in tiles of its own, see ``cost_models.access_pattern``.
    """
    definition = op.definition
    if not isinstance(definition, StructuredOp) or definition.is_elementwise or definition.reduce is not None:
        return False
    space = definition.iteration_space(op)
    (result,) = space.results
    if not result.axes or len(space.operands) != 1 or not space.operands[0].axes:
        return False
    innermost = space.operands[0].axes[-1].terms
    return bool(innermost) and innermost != result.axes[-1].terms
