"""Data movement with affine access: no arithmetic, and traffic that the notation gives."""

from __future__ import annotations

from collections.abc import Sequence

from ircost.ir.attributes import Attributes, Ints, Pairs, ints_of
from ircost.ir.errors import ShapeError
from ircost.ir.graph import Value
from ircost.ir.scalar import Scalar
from ircost.ir.structured import structured_op
from ircost.ir.types import TensorType


def _transpose_notation(operands: Sequence[TensorType], attrs: Attributes) -> str:
    (operand,) = operands
    perm = ints_of(attrs, "perm")
    if sorted(perm) != list(range(operand.rank)):
        raise ShapeError(f"perm {list(perm)} is not a permutation of the axes of {operand}")
    return f"{' '.join(f'd{i}' for i in range(operand.rank))} -> {' '.join(f'd{i}' for i in perm)}"


def _transposed_back(y: Value, x: Value, perm: tuple[int, ...]) -> Value:
    return transpose(y, perm=tuple(perm.index(axis) for axis in range(len(perm))))


@structured_op(_transpose_notation, inverses=(_transposed_back,))
def transpose(x: Scalar, *, perm: Ints) -> Scalar:
    """Axes in another order: axis i of the result is axis perm[i] of x. Source: ONNX Transpose-25."""
    return x


def _broadcast_notation(operands: Sequence[TensorType], attrs: Attributes) -> str:
    (operand,) = operands
    shape = ints_of(attrs, "shape")
    lead = len(shape) - operand.rank
    fits = lead >= 0 and all(n in (1, m) for n, m in zip(operand.shape, shape[lead:], strict=True))
    if not fits:
        raise ShapeError(f"{operand} does not broadcast to {list(shape)}")
    read = ["1" if n == 1 else f"d{lead + i}" for i, n in enumerate(operand.shape)]
    return f"{' '.join(read)} -> {' '.join(f'd{i}' for i in range(len(shape)))}"


def _with_dims_named(attrs: Attributes) -> dict[str, int]:
    shape = ints_of(attrs, "shape")
    return {f"d{i}": n for i, n in enumerate(shape)}


@structured_op(_broadcast_notation, dims=_with_dims_named)
def broadcast(x: Scalar, *, shape: Ints) -> Scalar:
    """x repeated along new leading axes and along axes of 1, up to ``shape``. Source: ONNX Expand-13."""
    return x


@structured_op("(size..*steps + starts) -> size..")
def slice(x: Scalar, *, starts: Ints, size: Ints, steps: Ints = ()) -> Scalar:
    """Every steps-th element from ``starts``, ``size`` of them, on each axis; steps may be negative.

    Source: ONNX Slice-13, its defaults and clamping resolved by the frontend.
    """
    return x


@structured_op("(size.. - pads) -> size..", padding="value")
def pad(x: Scalar, *, pads: Pairs, value: float = 0.0) -> Scalar:
    """``value`` around x: [begin, end] elements on each axis; a negative number crops.

    Source: ONNX Pad-25 with mode = constant; other modes are a `gather`.
    """
    return x
