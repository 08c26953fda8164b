"""Ops that regroup elements: reshape, concatenation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ircost.ir.attributes import REQUIRED, Attributes, AttributeSpec, int_of, ints_of
from ircost.ir.definition import Arrays, OpDefinition, register_op
from ircost.ir.errors import DTypeError, ShapeError
from ircost.ir.graph import Op, Region
from ircost.ir.ops.reduction import normalised_axes
from ircost.ir.types import TensorType


class Reshape(OpDefinition):
    """The same elements, in row-major order, under another shape. Moves nothing.

    Source: ONNX Reshape-25; -1 and 0 are resolved by the frontend. Also Flatten, Squeeze, Unsqueeze.
    """

    name = "reshape"
    operand_names = ("x",)
    attributes = {"shape": AttributeSpec("Ints", REQUIRED)}
    is_view = True

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        (x,) = operands
        shape = ints_of(attrs, "shape")
        if math.prod(shape) != x.elements:
            raise ShapeError(f"reshape: {x} has {x.elements} elements, shape {list(shape)} has {math.prod(shape)}")
        return (TensorType(shape, x.dtype),)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        return [operands[0].reshape(op.result.type.shape)]


reshape = register_op(Reshape())


class Concat(OpDefinition):
    """Operands one after another along ``axis``.

    Shapes: equal but for ``axis``, whose extents add up. Source: ONNX Concat-13.
    """

    name = "concat"
    operand_names = ("inputs",)
    is_variadic = True
    attributes = {"axis": AttributeSpec("int", REQUIRED)}

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        if not operands:
            raise ShapeError("concat: no operands")
        first = operands[0]
        (axis,) = normalised_axes((int_of(attrs, "axis"),), first.rank)
        for other in operands[1:]:
            if other.dtype != first.dtype:
                raise DTypeError(f"concat: operands are {first.dtype} and {other.dtype}")
            if without(other.shape, axis) != without(first.shape, axis):
                raise ShapeError(f"concat: {first} and {other} differ in more than axis {axis}")
        extent = sum(operand.shape[axis] for operand in operands)
        return (TensorType((*first.shape[:axis], extent, *first.shape[axis + 1 :]), first.dtype),)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        return [np.concatenate(operands, axis=int_of(op.attrs, "axis"))]


concat = register_op(Concat())


def without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])
