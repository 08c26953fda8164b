"""Determinants."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ircost.ir.attributes import Attributes
from ircost.ir.counts import Counts
from ircost.ir.definition import Arrays, OpDefinition, register_op
from ircost.ir.errors import DTypeError, ShapeError
from ircost.ir.graph import Op, Region
from ircost.ir.types import TensorType


class Det(OpDefinition):
    """Determinants of square matrices. Shapes: x [b.., n, n], out [b..].

    Counted as a factorisation into triangles: n^3 / 3 multiply-adds each.
    Source: ONNX Det-22; Golub, Van Loan, Matrix Computations, 3.2.
    """

    name = "det"
    operand_names = ("x",)

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        (x,) = operands
        if x.rank < 2 or x.shape[-1] != x.shape[-2]:
            raise ShapeError(f"det: {x} holds no square matrices")
        if not x.dtype.is_float:
            raise DTypeError(f"det: {x} holds no floats")
        return (TensorType(x.shape[:-2], x.dtype),)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        (x,) = operands
        return [np.asarray(np.linalg.det(x.astype(np.float64))).astype(x.dtype)]

    def counts(self, op: Op) -> Counts:
        *batch, n, _ = op.operands[0].type.shape
        return Counts(multiply_add=math.ceil(math.prod(batch) * n**3 / 3))


det = register_op(Det())
