"""Fourier transforms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ircost.ir.attributes import REQUIRED, Attributes, AttributeSpec, int_of
from ircost.ir.counts import Counts
from ircost.ir.definition import Arrays, OpDefinition, register_op
from ircost.ir.errors import DTypeError, ShapeError
from ircost.ir.graph import Op, Region
from ircost.ir.ops.reduction import normalised_axes
from ircost.ir.types import TensorType


class Fft(OpDefinition):
    """Discrete Fourier transform of length ``length`` along ``axis``; numbers lie in the last axis, [re, im] or [re].

    Shapes: x [a.., n, b.., 1 or 2], out [a.., m, b.., 2]. ``onesided`` keeps the m = length // 2 + 1 frequencies that
    decide all others of a real x; an ``inverse`` one takes these and gives real numbers, out [a.., length, b.., 1].
    x is cut, or filled up with 0, to what the transform takes.

    Counted as a fast transform: 5 n log2(n) operations of which 2/5 multiply, half of that where one side is real.
    Source: ONNX DFT-20; the count is that of Frigo, Johnson, "The Design and Implementation of FFTW3", 2005.
    """

    name = "fft"
    operand_names = ("x",)
    attributes = {
        "axis": AttributeSpec("int", REQUIRED),
        "length": AttributeSpec("int", REQUIRED),
        "inverse": AttributeSpec("bool", False),
        "onesided": AttributeSpec("bool", False),
    }

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        (x,) = operands
        length = int_of(attrs, "length")
        if x.rank < 2 or x.shape[-1] not in (1, 2) or length < 1:
            raise ShapeError(f"fft: x is {x}, length is {length}", help="x is [.., n, .., 1 or 2], length 1 or more")
        if not x.dtype.is_float:
            raise DTypeError(f"fft: {x} holds no floats")
        (axis,) = normalised_axes((int_of(attrs, "axis"),), x.rank)
        if axis == x.rank - 1:
            raise ShapeError(f"fft: axis {axis} of {x} holds the parts of a number")
        is_half = attrs["onesided"] and not attrs["inverse"]
        parts = 1 if attrs["onesided"] and attrs["inverse"] else 2
        extent = length // 2 + 1 if is_half else length
        return (TensorType((*x.shape[:axis], extent, *x.shape[axis + 1 : -1], parts), x.dtype),)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        (x,) = operands
        axis, length = int_of(op.attrs, "axis") % x.ndim, int_of(op.attrs, "length")
        wide = x.astype(np.float64)
        values = wide[..., 0] if x.shape[-1] == 1 else wide[..., 0] + 1j * wide[..., 1]
        if op.attrs["onesided"] and op.attrs["inverse"]:
            return [np.fft.irfft(values, length, axis)[..., None].astype(x.dtype)]
        found = (np.fft.ifft if op.attrs["inverse"] else np.fft.fft)(values, length, axis)
        found = np.take(found, range(op.result.type.shape[axis]), axis)
        return [np.stack([found.real, found.imag], -1).astype(x.dtype)]

    def counts(self, op: Op) -> Counts:
        x, out = op.operands[0].type, op.result.type
        length, axis = int_of(op.attrs, "length"), int_of(op.attrs, "axis") % x.rank
        transforms = math.prod(x.shape[:-1]) // max(x.shape[axis], 1)
        is_real = x.shape[-1] == 1 or out.shape[-1] == 1
        total = transforms * length * math.log2(length) * (2.5 if is_real else 5.0)
        return Counts(multiply=math.ceil(total * 0.4), add=math.ceil(total * 0.6))


fft = register_op(Fft())
