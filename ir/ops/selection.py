"""Ops whose results are as long as the data make them: their extents are upper bounds, ``<=n``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from ircost.ir.attributes import REQUIRED, Attributes, AttributeSpec, int_of
from ircost.ir.counts import Counts
from ircost.ir.definition import Arrays, OpDefinition, register_op
from ircost.ir.errors import DTypeError, InterpreterError, ShapeError
from ircost.ir.graph import Op, Region
from ircost.ir.ops.reduction import normalised_axes
from ircost.ir.types import TensorType, boolean, i64

BOUND = {"bound": AttributeSpec("int", REQUIRED)}


class _Selection(OpDefinition):
    """``bound`` is how much is selected at most: what a cost is computed with, and what a run may not exceed."""

    follows_bounds = True

    def bound(self, attrs: Attributes, most: int) -> int:
        """The attribute, checked against what the operands can give."""
        bound = int_of(attrs, "bound")
        if not 0 <= bound <= most:
            raise ShapeError(f"{self.name}: bound is {bound}, at most {most} elements can be selected")
        return bound

    def check_bound(self, op: Op, found: int) -> None:
        if found > int_of(op.attrs, "bound"):
            raise InterpreterError(
                f"{self.name}: {found} elements selected, its bound is {op.attrs['bound']}",
                at=op,
                help="give a larger bound",
            )


class NonZero(_Selection):
    """Index tuples of elements that are not 0, in row-major order.

    Shapes: x [d1 .. dr], out [r, <=bound]. Source: ONNX NonZero-13.
    """

    name = "nonzero"
    operand_names = ("x",)
    attributes = BOUND

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        (x,) = operands
        return (TensorType((x.rank, self.bound(attrs, x.elements)), i64, bounded=(1,)),)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        (x,) = operands
        places = np.array(np.nonzero(np.atleast_1d(x)), np.int64)[: x.ndim]
        self.check_bound(op, places.shape[1])
        return [places]

    def counts(self, op: Op) -> Counts:
        return Counts(compare=op.operands[0].type.elements)


nonzero = register_op(NonZero())


class Compress(_Selection):
    """Slices of x along ``axis`` where ``condition`` holds; it may be shorter than the axis.

    Shapes: x [a.., n, b..], condition [m], out [a.., <=bound, b..]. Source: ONNX Compress-11.
    """

    name = "compress"
    operand_names = ("x", "condition")
    attributes = {"axis": AttributeSpec("int", REQUIRED), **BOUND}

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        x, condition = operands
        (axis,) = normalised_axes((int_of(attrs, "axis"),), x.rank)
        if condition.rank != 1 or condition.dtype != boolean:
            raise DTypeError(f"compress: condition is {condition}, a vector of bool expected")
        bound = self.bound(attrs, min(condition.shape[0], x.shape[axis]))
        shape = (*x.shape[:axis], bound, *x.shape[axis + 1 :])
        return (TensorType(shape, x.dtype, tuple(sorted({*x.bounded, axis}))),)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        x, condition = operands
        axis = int_of(op.attrs, "axis") % x.ndim
        if condition[x.shape[axis] :].any():
            raise InterpreterError(f"compress: the condition selects beyond an axis of {x.shape[axis]}", at=op)
        selected = np.compress(condition[: x.shape[axis]], x, axis=axis)
        self.check_bound(op, selected.shape[axis])
        return [selected]


compress = register_op(Compress())


class SliceBetween(_Selection):
    """x[start:end] along ``axis``, both known at run time; negative ones count from the end, as NumPy does.

    Shapes: x [a.., n, b..], start and end: one element, out [a.., <=bound, b..].
    Source: ONNX Slice-13 with steps of 1 where starts or ends depend on data.
    """

    name = "slice_between"
    operand_names = ("x", "start", "end")
    attributes = {"axis": AttributeSpec("int", REQUIRED), **BOUND}

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        x, start, end = operands
        (axis,) = normalised_axes((int_of(attrs, "axis"),), x.rank)
        if start.elements != 1 or end.elements != 1:
            raise ShapeError(f"slice_between: start is {start}, end is {end}, one element each expected")
        shape = (*x.shape[:axis], self.bound(attrs, x.shape[axis]), *x.shape[axis + 1 :])
        return (TensorType(shape, x.dtype, tuple(sorted({*x.bounded, axis}))),)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        x, start, end = operands
        axis = int_of(op.attrs, "axis") % x.ndim
        chosen = range(x.shape[axis])[int(start.reshape(())) : int(end.reshape(()))]
        self.check_bound(op, len(chosen))
        return [np.take(x, chosen, axis=axis)]

    def operand_bytes(self, op: Op) -> Sequence[int]:
        return [op.result.type.size_bytes, *(operand.type.size_bytes for operand in op.operands[1:])]


slice_between = register_op(SliceBetween())


class Unique(_Selection):
    """Different slices along ``axis``, sorted or in the order in which they first occur.

    Shapes: x [a.., n, b..]; values [a.., <=bound, b..], first positions [<=bound], which value each slice is [n],
    how often each value occurs [<=bound]. Counted as a comparison sort of slices. Source: ONNX Unique-11.
    """

    name = "unique"
    operand_names = ("x",)
    attributes = {"axis": AttributeSpec("int", REQUIRED), "is_sorted": AttributeSpec("bool", True), **BOUND}

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        (x,) = operands
        (axis,) = normalised_axes((int_of(attrs, "axis"),), x.rank)
        bound = self.bound(attrs, x.shape[axis])
        shape = (*x.shape[:axis], bound, *x.shape[axis + 1 :])
        values = TensorType(shape, x.dtype, tuple(sorted({*x.bounded, axis})))
        each = TensorType((bound,), i64, bounded=(0,))
        inverse = TensorType((x.shape[axis],), i64, bounded=(0,) if axis in x.bounded else ())
        return values, each, inverse, each

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        (x,) = operands
        axis = int_of(op.attrs, "axis") % x.ndim
        rows = np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1)
        # Formats that NumPy cannot sort are exact in float32.
        keys = rows.astype(np.float32) if rows.dtype.kind == "V" or rows.dtype.itemsize < 4 else rows
        _, first, inverse, counts = np.unique(keys, axis=0, return_index=True, return_inverse=True, return_counts=True)
        if not op.attrs["is_sorted"]:
            order = np.argsort(first, kind="stable")
            first, counts, inverse = first[order], counts[order], np.argsort(order)[inverse]
        self.check_bound(op, len(first))
        return [np.take(x, first, axis=axis), *(a.reshape(-1).astype(np.int64) for a in (first, inverse, counts))]

    def counts(self, op: Op) -> Counts:
        x = op.operands[0].type
        n = x.shape[int_of(op.attrs, "axis") % x.rank]
        return Counts(compare=x.elements * max(n - 1, 1).bit_length())


unique = register_op(Unique())


class NonMaxSuppression(_Selection):
    """Boxes of the highest scores, one after another, that overlap none kept before by more than ``iou``.

    Shapes: boxes [b, n, 4], scores [b, c, n], limit, iou, score: scalars; out [<=bound, 3], rows of batch, class, box.
    ``limit`` is how many are kept of each class, ``score`` what a box must exceed; ``is_centred`` says that boxes are
    centre and size, not corners. Counted as a sort of each class, and the overlap (12 flops, 4 compares) of each
    box with each box that is kept. Source: ONNX NonMaxSuppression-11.
    """

    name = "non_max_suppression"
    operand_names = ("boxes", "scores", "limit", "iou", "score")
    attributes = {"is_centred": AttributeSpec("bool", False), **BOUND}

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        boxes, scores = operands[:2]
        fits = boxes.rank == scores.rank == 3 and boxes.shape[2] == 4
        if not fits or boxes.shape[:2] != (scores.shape[0], scores.shape[2]):
            raise ShapeError(
                f"non_max_suppression: boxes are {boxes}, scores are {scores}", help="boxes [b, n, 4], scores [b, c, n]"
            )
        return (TensorType((self.bound(attrs, scores.elements), 3), i64, bounded=(0,)),)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        boxes, scores = (array.astype(np.float32) for array in operands[:2])
        limit, iou, threshold = (array.reshape(()).item() for array in operands[2:])
        corners = corners_of(boxes, bool(op.attrs["is_centred"]))
        rows = [
            (batch, label, kept)
            for batch, label in np.ndindex(scores.shape[:2])
            for kept in keep(corners[batch], scores[batch, label], int(limit), iou, threshold)
        ]
        self.check_bound(op, len(rows))
        return [np.array(rows, np.int64).reshape(-1, 3)]

    def counts(self, op: Op) -> Counts:
        scores = op.operands[1].type
        n = scores.shape[2]
        pairs = n * int_of(op.attrs, "bound")
        return Counts(
            compare=scores.elements * max(n - 1, 1).bit_length() + 4 * pairs,
            add=8 * pairs,
            multiply=3 * pairs,
            divide=pairs,
        )


non_max_suppression = register_op(NonMaxSuppression())


def corners_of(boxes: np.ndarray, is_centred: bool) -> np.ndarray:
    """Boxes as low y, low x, high y, high x; [x centre, y centre, width, height] where they are centred."""
    if is_centred:
        centre, half = boxes[..., 1::-1], boxes[..., 3:1:-1] / 2
        return np.concatenate([centre - half, centre + half], axis=-1)
    first, second = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([np.minimum(first, second), np.maximum(first, second)], axis=-1)


def keep(corners: np.ndarray, scores: np.ndarray, limit: int, iou: float, threshold: float) -> Iterator[int]:
    """Positions of the boxes of one class that are kept, best first; ties by position."""
    left = [int(i) for i in np.argsort(-scores, kind="stable") if scores[i] > threshold]
    for _ in range(limit):
        if not left:
            return
        best, *left = left
        yield best
        overlaps = intersection_over_union(corners[best], corners[left])
        left = [i for i, overlap in zip(left, overlaps, strict=True) if overlap <= iou]


def intersection_over_union(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1) + math.prod(box[2:] - box[:2])
    overlap: np.ndarray = np.divide(shared, areas - shared, out=np.zeros_like(shared), where=areas > shared)
    return overlap


class ShapeOf(OpDefinition):
    """Extents of x at run time, where some depend on data. Shapes: x [d1 .. dr], out [r] i64.

    Source: ONNX Shape-25. Where all extents are known, the frontend writes a constant.
    """

    name = "shape_of"
    operand_names = ("x",)
    follows_bounds = True

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        return (TensorType((operands[0].rank,), i64),)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        return [np.array(operands[0].shape, np.int64)]

    def operand_bytes(self, op: Op) -> Sequence[int]:
        return [0]


shape_of = register_op(ShapeOf())
