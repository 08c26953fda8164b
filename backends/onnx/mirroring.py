"""Gathers that lengthen axes by what is at their ends, as one Pad."""

from __future__ import annotations

import numpy as np

from ircost.backends.onnx.emitter import Scope, emits
from ircost.backends.onnx.node import Input, node, whole_numbers
from ircost.ir.attributes import int_of
from ircost.ir.graph import Op, Value
from ircost.ir.types import f32

MODES = ("reflect", "edge")


@emits("gather", is_special=True)
def emit_mirrored_pad(op: Op, scope: Scope) -> Input:
    """gather(x, [2, 1, 0, 1, 2, 1, 0])  ->  Pad(x), all axes that are padded in one way at once"""
    for mode in MODES:
        value, pads = op.result, dict[int, tuple[int, int]]()
        while (step := padded_axis(value, mode, scope)) is not None and step[0] not in pads:
            if value is not op.result and len(value.uses) > 1:
                break
            axis, ends = step
            pads[axis] = ends
            assert value.producer is not None, "a gather makes it"
            value = value.producer.operands[0]
        if pads and value.type.dtype == f32 and not value.type.bounded:
            flat = [pads.get(axis, (0, 0))[side] for side in (0, 1) for axis in range(value.type.rank)]
            return node("Pad", value, whole_numbers(*flat), mode=mode)
    return None


def padded_axis(value: Value, mode: str, scope: Scope) -> tuple[int, tuple[int, int]] | None:
    """The axis that a gather pads, and by how much at its ends."""
    gather = value.producer
    if gather is None or gather.name != "gather":
        return None
    x, places = gather.operands
    axis = int_of(gather.attrs, "axis") % x.type.rank
    extent, out = x.type.shape[axis], places.type.elements
    if places.type.rank != 1 or out <= extent or extent < 2 or not scope.is_known(places):
        return None
    have = scope.array(places)
    zeros = np.flatnonzero(have == 0)
    before = leading(have == 0) - 1 if mode == "edge" else int(zeros[0]) if zeros.size else -1
    after = out - extent - before
    if before < 0 or after < 0 or max(before, after) >= extent:
        return None
    return (axis, (before, after)) if np.array_equal(have, np.pad(np.arange(extent), (before, after), mode)) else None  # type: ignore[call-overload]


def leading(found: np.ndarray) -> int:
    """How many are true before the first that is not."""
    return int(np.argmin(found)) if not found.all() else found.size
