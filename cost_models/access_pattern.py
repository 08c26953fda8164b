"""Bytes that are really moved: memory delivers sectors, not elements."""

from __future__ import annotations

import math

from ircost.ir.graph import Op
from ircost.ir.index import Access, IterationSpace
from ircost.ir.types import TensorType

# What DRAM and L2 hand out at once. Source: CUDA C++ Programming Guide, "Device Memory Accesses".
SECTOR_BYTES = 32


def moved_bytes(op: Op, read_bytes: float, write_bytes: float) -> tuple[float, float]:
    """Bytes that a stream reads and writes, in whole sectors.

    A slice with a step along the innermost axis reads the sectors between its elements too, one that cuts that axis
    short reads whole sectors at the ends of its runs. A gather reads each row in whole sectors. A permutation that
    moves the innermost axis goes through shared memory in square tiles, as libraries do it: both sides then meet whole
    sectors, and it moves no more than a copy.

    Args:
        op: a kernel; fused ones move what their operands and results hold, one of a single op what that op moves.
        read_bytes, write_bytes: compulsory traffic.

    Source: Ruetsch, Micikevicius, "Optimizing Matrix Transpose in CUDA", NVIDIA, 2009 (tiles in shared memory).
    """
    op = lone_op(op)
    if op.regions or not op.operands or not op.results:
        return read_bytes, write_bytes
    space = op.definition.iteration_space(op)
    if space is None:
        return _by_index(op, read_bytes), write_bytes
    if not is_movement(space):
        return read_bytes, write_bytes
    (operand,) = space.operands
    reads = in_sectors(operand, space, op.operands[0].type)
    writes = in_sectors(space.results[0], space, op.result.type)
    return max(reads, read_bytes), max(writes, write_bytes)


def lone_op(op: Op) -> Op:
    """The op that a kernel consists of, where it is only one."""
    if op.name != "kernel":
        return op
    inside = [inner for inner in op.regions[0].block.ops if not inner.definition.is_terminator]
    return inside[0] if len(inside) == 1 else op


def is_movement(space: IterationSpace) -> bool:
    """Neither reduces nor broadcasts, and has one operand: slices, pads, permutations."""
    return len(space.operands) == 1 and not space.reduction_dims


def in_sectors(access: Access, space: IterationSpace, type: TensorType) -> float:
    """Bytes of the sectors that hold what is touched: runs along the innermost axes, each rounded up to sectors."""
    sizes = space.sizes()
    run = 1  # elements side by side in memory, of which some are used
    rows = 1
    is_whole = True  # all axes further in are touched from end to end
    for axis in reversed(access.axes):
        span = axis.span(sizes)
        if is_whole:
            run *= span
        else:
            rows *= axis.touched(sizes)
        is_whole = is_whole and span == axis.extent
    run_bytes = run * type.dtype.bits / 8
    if rows == 1:
        return run_bytes  # one run from end to end: its last sector is no matter
    return float(rows * math.ceil(run_bytes / SECTOR_BYTES) * SECTOR_BYTES)


def _by_index(op: Op, read_bytes: float) -> float:
    """Rows that indices name: what follows the axis is side by side in memory."""
    axis = op.attrs.get("axis")
    if len(op.operands) != 2 or not isinstance(axis, int) or op.operands[1].type.dtype.is_float:
        return read_bytes
    data, indices = (operand.type for operand in op.operands)
    row = math.prod(data.shape[axis % data.rank + 1 :]) * data.dtype.bits / 8
    if op.result.type.rank == data.rank == indices.rank and op.result.type.shape == indices.shape:
        row = data.dtype.bits / 8  # an element for each index, from a place of its own
    if not row:
        return read_bytes
    rows = op.result.type.size_bytes / row
    moved = min(rows * math.ceil(row / SECTOR_BYTES) * SECTOR_BYTES, max(data.size_bytes, read_bytes))
    return max(moved + indices.size_bytes, read_bytes)
