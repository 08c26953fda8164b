"""Reductions over axes. ``keepdims`` leaves each reduced axis in place, 1 long."""

from __future__ import annotations

from collections.abc import Sequence

from ircost.ir.attributes import Attributes, Ints, int_of, ints_of
from ircost.ir.errors import ShapeError
from ircost.ir.scalar import Scalar
from ircost.ir.structured import structured_op
from ircost.ir.types import TensorType


def reduction_notation(operands: Sequence[TensorType], attrs: Attributes) -> str:
    """``d0 d1 d2 -> d0 1 d2``: axes that are reduced are dropped, or kept as 1."""
    (operand,) = operands
    axes = normalised_axes(ints_of(attrs, "axes") if "axes" in attrs else (int_of(attrs, "axis"),), operand.rank)
    kept = [f"d{i}" if i not in axes else "1" for i in range(operand.rank) if i not in axes or attrs["keepdims"]]
    return f"{' '.join(f'd{i}' for i in range(operand.rank))} -> {' '.join(kept)}"


def normalised_axes(axes: Ints, rank: int) -> Ints:
    """Axes counted from the front, ascending.

    Raises:
        ShapeError: an axis is out of range or named twice.

    >>> normalised_axes((-1, 0), 3)
    (0, 2)
    """
    positive = tuple(sorted(axis + rank if axis < 0 else axis for axis in axes))
    if any(not 0 <= axis < rank for axis in positive) or len(set(positive)) < len(positive):
        raise ShapeError(f"axes {list(axes)} do not fit rank {rank}", help=f"each of {-rank}..{rank - 1}, once")
    return positive


@structured_op(reduction_notation, reduce="sum", types="N -> N")
def reduce_sum(x: Scalar, *, axes: Ints, keepdims: bool = False) -> Scalar:
    """Sum over ``axes``. Source: ONNX ReduceSum-13."""
    return x


@structured_op(reduction_notation, reduce="prod", types="N -> N")
def reduce_prod(x: Scalar, *, axes: Ints, keepdims: bool = False) -> Scalar:
    """Product over ``axes``. Source: ONNX ReduceProd-18."""
    return x


@structured_op(reduction_notation, reduce="max", types="N -> N")
def reduce_max(x: Scalar, *, axes: Ints, keepdims: bool = False) -> Scalar:
    """Largest element over ``axes``. Source: ONNX ReduceMax-20."""
    return x


@structured_op(reduction_notation, reduce="min", types="N -> N")
def reduce_min(x: Scalar, *, axes: Ints, keepdims: bool = False) -> Scalar:
    """Smallest element over ``axes``. Source: ONNX ReduceMin-20."""
    return x


@structured_op(reduction_notation, reduce="any", types="bool -> bool")
def reduce_any(x: Scalar, *, axes: Ints, keepdims: bool = False) -> Scalar:
    """Whether any element over ``axes`` holds. Source: ONNX ReduceMax-20 of booleans."""
    return x


@structured_op(reduction_notation, reduce="all", types="bool -> bool")
def reduce_all(x: Scalar, *, axes: Ints, keepdims: bool = False) -> Scalar:
    """Whether all elements over ``axes`` hold. Source: ONNX ReduceMin-20 of booleans."""
    return x


@structured_op(reduction_notation, reduce="argmax", types="N -> i64")
def argmax(x: Scalar, *, axis: int, keepdims: bool = False) -> Scalar:
    """Position of the first largest element along ``axis``. Source: ONNX ArgMax-13."""
    return x


@structured_op(reduction_notation, reduce="argmin", types="N -> i64")
def argmin(x: Scalar, *, axis: int, keepdims: bool = False) -> Scalar:
    """Position of the first smallest element along ``axis``. Source: ONNX ArgMin-13."""
    return x
