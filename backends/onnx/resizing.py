"""Gathers that enlarge or shrink axes, as one Resize."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ircost.backends.onnx.emitter import Scope, emits
from ircost.backends.onnx.node import Attributes, Input, node, whole_numbers
from ircost.ir.attributes import int_of
from ircost.ir.graph import Op, Value
from ircost.ir.types import f32

# Positions are computed in double precision, weights are stored in single.
CLOSE = 1e-4


@emits("gather", is_special=True)
def emit_nearest_resize(op: Op, scope: Scope) -> Input:
    """gather(x, [0, 0, 1, 1, ..])  ->  Resize(x) to the nearest element, all such axes at once"""
    value, axes = op.result, set[int]()
    while value.producer is not None and (value is op.result or len(value.uses) == 1):
        gather = value.producer
        axis = int_of(gather.attrs, "axis") % value.type.rank if gather.name == "gather" else -1
        if axis < 2 or axis in axes or not enlarges(gather, axis, scope):
            break
        axes.add(axis)
        value = gather.operands[0]
    if value is op.result or value.type.dtype != f32 or value.type.rank != 4 or value.type.bounded:
        return None
    modes: Attributes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return node("Resize", value, None, None, whole_numbers(*op.result.type.shape), **modes)


def enlarges(gather: Op, axis: int, scope: Scope) -> bool:
    """Whether the indices are those of a longer axis whose elements are read from the nearest place before.

    Where such a place is an element itself, the factor must be whole: a rounded one may fall short of it.
    """
    places = gather.operands[1]
    if places.type.rank != 1 or not scope.is_known(places):
        return False
    extent, out = gather.operands[0].type.shape[axis], places.type.elements
    if not extent or out <= extent:
        return False
    exact = np.arange(out) * extent
    is_safe = out % extent == 0 or not np.any(exact[1:] % out == 0)
    return bool(is_safe and np.array_equal(scope.array(places), exact // out))


# ---- between elements


@dataclass(frozen=True, slots=True)
class Interpolation:
    """One axis of ``x``, of which each element of the result lies at a position between two elements.

    Args:
        readers: ops that read x for it.
    """

    x: Value
    axis: int
    positions: np.ndarray
    readers: set[Op | None]


@emits("add", is_special=True)
def emit_linear_resize(op: Op, scope: Scope) -> Input:
    """gather(x, i) * v + gather(x, j) * w  ->  Resize(x) by linear interpolation, all such axes at once"""
    found: list[Interpolation] = []
    value = op.result
    while (step := interpolation(value, scope)) is not None and step.axis not in [f.axis for f in found]:
        found.append(step)
        value = step.x
        if {*value.users} != step.readers:
            break
    if not found or value.type.dtype != f32 or value.type.rank not in (3, 4) or value.type.bounded:
        return None
    for mode, formula in POSITIONS.items():
        if all(are_positions(step, formula, op.result.type.shape[step.axis]) for step in found):
            modes: Attributes = {"mode": "linear", "coordinate_transformation_mode": mode}
            return node("Resize", value, None, None, whole_numbers(*op.result.type.shape), **modes)
    return None


def interpolation(value: Value, scope: Scope) -> Interpolation | None:
    """The last axis that was interpolated to make a value."""
    add = value.producer
    if add is None or add.name != "add":
        return None
    first, second = (tap(operand, scope) for operand in add.operands)
    if first is None or second is None or first[:2] != second[:2]:
        return None
    (x, axis, places, weights), (_, _, others, other_weights) = first, second
    if axis < 2 or np.any(np.abs(places - others) > 1) or np.any(np.abs(weights + other_weights - 1) > CLOSE):
        return None
    readers = {gather_of(operand) for operand in add.operands}
    return Interpolation(x, axis, places * weights + others * other_weights, readers)


def gather_of(product: Value) -> Op | None:
    """The gather in a product of it with a constant."""
    assert product.producer is not None, "taps are products"
    return next((x.producer for x in product.producer.operands if x.producer and x.producer.name == "gather"), None)


def tap(value: Value, scope: Scope) -> tuple[Value, int, np.ndarray, np.ndarray] | None:
    """What is gathered, along which axis, from which places, and with which weights."""
    product = value.producer
    if product is None or product.name != "mul" or len(value.uses) != 1 or value.type.rank < 3:
        return None
    gather = gather_of(value)
    if gather is None or len(gather.result.uses) != 1 or gather.operands[1].type.rank != 1:
        return None
    factor = next((x for x in product.operands if x is not gather.result), None)
    axis = int_of(gather.attrs, "axis") % value.type.rank
    if factor is None or not scope.is_known(factor) or not scope.is_known(gather.operands[1]):
        return None
    along = tuple(value.type.shape[axis] if i == axis else 1 for i in range(value.type.rank))
    if (1,) * (value.type.rank - factor.type.rank) + factor.type.shape != along:
        return None
    places, weights = scope.array(gather.operands[1]), scope.array(factor).reshape(-1)
    return gather.operands[0], axis, places.astype(np.float64), weights.astype(np.float64)


def are_positions(step: Interpolation, formula: Callable[[np.ndarray, int, int], np.ndarray], out: int) -> bool:
    extent = step.x.type.shape[step.axis]
    wanted = np.clip(formula(np.arange(out, dtype=np.float64), extent, out), 0, extent - 1)
    return bool(np.allclose(step.positions, wanted, rtol=0, atol=CLOSE))


# Source: ONNX Resize-19, attribute coordinate_transformation_mode.
POSITIONS: dict[str, Callable[[np.ndarray, int, int], np.ndarray]] = {
    "half_pixel": lambda index, extent, out: (index + 0.5) * extent / out - 0.5,
    "align_corners": lambda index, extent, out: index * (extent - 1) / max(out - 1, 1),
    "asymmetric": lambda index, extent, out: index * extent / out,
}
