"""Running sums and products along an axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ircost.ir.attributes import REQUIRED, Attributes, AttributeSpec, int_of
from ircost.ir.counts import Counts
from ircost.ir.definition import Arrays, OpDefinition, register_op
from ircost.ir.graph import Op, Region
from ircost.ir.ops.reduction import normalised_axes
from ircost.ir.types import TensorType


class _Running(OpDefinition):
    """``exclusive`` leaves out the element itself, ``reverse`` runs from the end."""

    operand_names = ("x",)
    attributes = {
        "axis": AttributeSpec("int", REQUIRED),
        "exclusive": AttributeSpec("bool", False),
        "reverse": AttributeSpec("bool", False),
    }
    combine: np.ufunc

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        normalised_axes((int_of(attrs, "axis"),), operands[0].rank)
        return (operands[0],)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        axis = int_of(op.attrs, "axis")
        x = np.flip(operands[0], axis) if op.attrs["reverse"] else operands[0]
        if op.attrs["exclusive"]:
            neutral = np.full_like(np.take(x, [0][: x.shape[axis]], axis), self.combine.identity)
            x = np.concatenate([neutral, np.delete(x, -1, axis)], axis) if x.shape[axis] else x
        total = self.combine.accumulate(x, axis=axis, dtype=x.dtype)
        return [np.flip(total, axis) if op.attrs["reverse"] else total]


class Cumsum(_Running):
    """Running sum along ``axis``. Source: ONNX CumSum-14."""

    name = "cumsum"
    combine = np.add

    def counts(self, op: Op) -> Counts:
        return Counts(add=op.result.type.elements)


cumsum = register_op(Cumsum())


class Cumprod(_Running):
    """Running product along ``axis``. Source: ONNX CumProd-26."""

    name = "cumprod"
    combine = np.multiply

    def counts(self, op: Op) -> Counts:
        return Counts(multiply=op.result.type.elements)


cumprod = register_op(Cumprod())
