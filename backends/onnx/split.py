"""Slices that make up an axis, as one Split."""

from __future__ import annotations

from ircost.backends.onnx.emitter import Scope, emits
from ircost.backends.onnx.node import Input, Output, node, whole_numbers
from ircost.ir.attributes import ints_of
from ircost.ir.graph import Block, Op, Value


def find_splits(block: Block) -> dict[Value, Output]:
    """Results of slices of one value that lie side by side along one axis, from its beginning to its end."""
    found: dict[Value, Output] = {}
    slices: dict[tuple[Value, int, Block], list[Op]] = {}
    for op in block.walk():
        axis = cut_axis(op)
        if axis is not None and op.block is not None:
            slices.setdefault((op.operands[0], axis, op.block), []).append(op)
    for (x, axis, _), parts in slices.items():
        parts.sort(key=lambda op: start(op, axis))
        ends = [start(op, axis) + op.result.type.shape[axis] for op in parts]
        starts = [start(op, axis) for op in parts]
        if len(parts) < 2 or starts != [0, *ends[:-1]] or ends[-1] != x.type.shape[axis]:
            continue
        sizes = whole_numbers(*(op.result.type.shape[axis] for op in parts))
        made = node("Split", x, sizes, outputs=len(parts), axis=axis)
        found |= {op.result: Output(made, i) for i, op in enumerate(parts)}
    return found


def cut_axis(op: Op) -> int | None:
    """The one axis of which a slice takes a part; None where it does anything else."""
    if op.name != "slice" or op.operands[0].type.bounded or any(step != 1 for step in ints_of(op.attrs, "steps")):
        return None
    pairs = zip(op.operands[0].type.shape, op.result.type.shape, strict=True)
    axes = [axis for axis, (whole, part) in enumerate(pairs) if whole != part]
    return axes[0] if len(axes) == 1 and op.result.type.elements else None


def start(op: Op, axis: int) -> int:
    return ints_of(op.attrs, "starts")[axis]


@emits("slice", is_special=True)
def emit_part(op: Op, scope: Scope) -> Input:
    return scope.outputs.get(op.result)
