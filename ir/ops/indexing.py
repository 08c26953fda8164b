"""Ops whose access depends on data: gather, scatter, top-k. They declare meaning and traffic by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ircost.ir.attributes import REQUIRED, Attributes, AttributeSpec, int_of, ints_of
from ircost.ir.counts import Counts
from ircost.ir.definition import Arrays, OpDefinition, register_op
from ircost.ir.errors import AttributeTypeError, DTypeError, InterpreterError, ShapeError, did_you_mean
from ircost.ir.graph import Op, Region
from ircost.ir.ops.reduction import normalised_axes
from ircost.ir.types import TensorType, i64

AXIS = {"axis": AttributeSpec("int", REQUIRED)}


class _Indexed(OpDefinition):
    """Reads ``data`` at places that ``indices`` name: traffic counts what is touched, not the whole operand."""

    operand_names: tuple[str, ...] = ("data", "indices")
    follows_bounds = True

    def operand_bytes(self, op: Op) -> Sequence[int]:
        data, indices = op.operands[:2]
        return min(op.result.type.size_bytes, data.type.size_bytes), indices.type.size_bytes

    def check_indices(self, operands: Sequence[TensorType]) -> None:
        if not operands[1].dtype.is_integer:
            raise DTypeError(f"{self.name}: indices are {operands[1].dtype}, an integer format expected")


class Gather(_Indexed):
    """Slices of ``data`` along ``axis``, picked by ``indices``; negative indices count from the end.

    Shapes: data [a.., n, b..], indices [i..], out [a.., i.., b..].
    Source: ONNX Gather-13.
    """

    name = "gather"
    attributes = AXIS

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        self.check_indices(operands)
        data, indices = operands
        (axis,) = normalised_axes((int_of(attrs, "axis"),), data.rank)
        shape = data.shape[:axis] + indices.shape + data.shape[axis + 1 :]
        bounded = (
            *(i for i in data.bounded if i < axis),
            *(axis + i for i in indices.bounded),
            *(indices.rank + i - 1 for i in data.bounded if i > axis),
        )
        return (TensorType(shape, data.dtype, bounded),)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        data, indices = operands
        axis = int_of(op.attrs, "axis")
        wrapped = wrap_indices(op, indices, data.shape[axis])
        return [np.take(data, wrapped, axis=axis)]


gather = register_op(Gather())


def wrap_indices(op: Op, indices: np.ndarray, extent: int) -> np.ndarray:
    """Indices counted from the front.

    Raises:
        InterpreterError: one is out of range.
    """
    indices = indices.astype(np.int64)
    if indices.size and (indices.min() < -extent or indices.max() >= extent):
        worst = indices.max() if indices.max() >= extent else indices.min()
        raise InterpreterError(f"{op.name}: index {worst} is out of range for an axis of {extent}", at=op)
    return np.where(indices < 0, indices + extent, indices)


class GatherElements(_Indexed):
    """Out[i, j, k] = data[i, indices[i, j, k], k] for axis 1, and so on. Source: ONNX GatherElements-13."""

    name = "gather_elements"
    attributes = AXIS

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        self.check_indices(operands)
        data, indices = operands
        normalised_axes((int_of(attrs, "axis"),), data.rank)
        if data.rank != indices.rank:
            raise ShapeError(f"gather_elements: data {data} and indices {indices} differ in rank")
        return (TensorType(indices.shape, data.dtype, indices.bounded),)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        data, indices = operands
        axis = int_of(op.attrs, "axis")
        wrapped = wrap_indices(op, indices, data.shape[axis])
        inside = tuple(np.s_[:n] if i != axis % data.ndim else np.s_[:] for i, n in enumerate(indices.shape))
        return [np.take_along_axis(data[inside], wrapped, axis)]


gather_elements = register_op(GatherElements())


class GatherNd(_Indexed):
    """Slices of ``data`` at the index tuples in the last axis of ``indices``.

    Shapes: data [b.., d1 .. dr], indices [b.., i.., k], out [b.., i.., the dims of data behind b and k].
    Source: ONNX GatherND-13.
    """

    name = "gather_nd"
    attributes = {"batch_dims": AttributeSpec("int", 0)}

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        self.check_indices(operands)
        data, indices = operands
        batch = int_of(attrs, "batch_dims")
        if not 0 <= batch < indices.rank or not 1 <= indices.shape[-1] <= data.rank - batch:
            raise ShapeError(f"gather_nd: index tuples of {indices} do not fit data {data}")
        if data.shape[:batch] != indices.shape[:batch]:
            raise ShapeError(f"gather_nd: the first {batch} axes of data {data} and indices {indices} differ")
        used = batch + indices.shape[-1]
        if indices.rank - 1 in indices.bounded:
            raise ShapeError(f"gather_nd: the length of the index tuples of {indices} depends on data")
        bounded = (*indices.bounded, *(indices.rank - 1 + i - used for i in data.bounded if i >= used))
        return (TensorType(indices.shape[:-1] + data.shape[used:], data.dtype, bounded),)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        data, indices = operands
        batch = int_of(op.attrs, "batch_dims")
        grid = np.ogrid[tuple(slice(n) for n in data.shape[:batch])] if batch else []
        lead = [g.reshape(g.shape + (1,) * (indices.ndim - 1 - batch)) for g in grid]
        inner = [wrap_indices(op, indices[..., i], data.shape[batch + i]) for i in range(indices.shape[-1])]
        return [data[(*lead, *inner)]]


gather_nd = register_op(GatherNd())


class DynamicSlice(_Indexed):
    """``size`` elements on each axis, from places that are known at run time; all of them must lie inside.

    Shapes: x [d1 .. dr], starts [r], out ``size``. Source: ONNX Slice-13 where only the starts depend on data.
    """

    name = "dynamic_slice"
    operand_names = ("x", "starts")
    attributes = {"size": AttributeSpec("Ints", REQUIRED)}
    follows_bounds = False

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        self.check_indices(operands)
        x, starts = operands
        size = ints_of(attrs, "size")
        fits = starts.shape == (x.rank,) and len(size) == x.rank
        if not fits or not all(0 <= n <= m for n, m in zip(size, x.shape, strict=True)):
            raise ShapeError(f"dynamic_slice: {list(size)} from starts {starts} does not fit {x}")
        return (TensorType(size, x.dtype),)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        x, starts = operands
        ranges = [range(int(s), int(s) + n) for s, n in zip(starts, ints_of(op.attrs, "size"), strict=True)]
        if any(r.start < 0 or r.stop > n for r, n in zip(ranges, x.shape, strict=True)):
            raise InterpreterError(f"dynamic_slice: starts {starts.tolist()} reach outside of {list(x.shape)}", at=op)
        return [x[tuple(slice(r.start, r.stop) for r in ranges)]]


dynamic_slice = register_op(DynamicSlice())


class _Scattered(OpDefinition):
    """A copy of ``data`` with some of it written over."""

    operand_names = ("data", "indices", "updates")
    follows_bounds = True

    def check_operands(self, operands: Sequence[TensorType], attrs: Attributes) -> None:
        data, indices, updates = operands
        if not indices.dtype.is_integer or updates.dtype != data.dtype:
            raise DTypeError(f"{self.name}: formats {data.dtype}, {indices.dtype}, {updates.dtype} do not fit")
        reduction = str(attrs["reduction"])
        if reduction != "none" and reduction not in COMBINE:
            help = did_you_mean(reduction, ["none", *COMBINE])
            raise AttributeTypeError(f"{self.name}: no reduction '{reduction}'", help=help)


class ScatterElements(_Scattered):
    """A copy of ``data`` with ``updates`` put, added, ... at ``indices`` along ``axis``.

    Shapes: indices and updates alike; data and out alike. ``reduction`` is none, add, mul, max or min.
    Source: ONNX ScatterElements-18.
    """

    name = "scatter_elements"
    attributes = {**AXIS, "reduction": AttributeSpec("str", "none")}

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        self.check_operands(operands, attrs)
        data, indices, updates = operands
        normalised_axes((int_of(attrs, "axis"),), data.rank)
        if indices != updates.with_dtype(indices.dtype) or data.rank != indices.rank:
            raise ShapeError(f"scatter_elements: indices {indices} and updates {updates} do not fit data {data}")
        return (data,)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        data, indices, updates = operands
        axis = int_of(op.attrs, "axis") % data.ndim
        places: list[np.ndarray] = [*np.indices(indices.shape)]
        places[axis] = wrap_indices(op, indices, data.shape[axis])
        return [scatter(data, tuple(places), updates, str(op.attrs["reduction"]))]


scatter_elements = register_op(ScatterElements())


class ScatterNd(_Scattered):
    """A copy of ``data`` with slices ``updates`` put at the index tuples in the last axis of ``indices``.

    Source: ONNX ScatterND-18.
    """

    name = "scatter_nd"
    attributes = {"reduction": AttributeSpec("str", "none")}

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        self.check_operands(operands, attrs)
        data, indices, updates = operands
        is_tuple = indices.rank > 0 and 1 <= indices.shape[-1] <= data.rank
        if not is_tuple or indices.rank - 1 in indices.bounded:
            raise ShapeError(f"scatter_nd: index tuples of {indices} do not fit data {data}")
        used = indices.shape[-1]
        bounded = (*indices.bounded, *(indices.rank - 1 + i - used for i in data.bounded if i >= used))
        expected = indices.shape[:-1] + data.shape[used:]
        if (updates.shape, updates.bounded) != (expected, bounded):
            raise ShapeError(
                f"scatter_nd: updates are {updates}, indices {indices} into {data} want shape {list(expected)}"
            )
        return (data,)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        data, indices, updates = operands
        places = tuple(wrap_indices(op, indices[..., i], data.shape[i]) for i in range(indices.shape[-1]))
        return [scatter(data, places, updates, str(op.attrs["reduction"]))]


scatter_nd = register_op(ScatterNd())


COMBINE = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def scatter(data: np.ndarray, places: tuple[np.ndarray, ...], updates: np.ndarray, reduction: str) -> np.ndarray:
    """A copy of ``data`` with ``updates`` combined in; places that occur twice are combined one after another."""
    result = data.copy()
    if reduction == "none":
        result[places] = updates
    else:
        COMBINE[reduction].at(result, places, updates)
    return result


class TopK(OpDefinition):
    """The ``k`` largest (or smallest) elements along ``axis``, in order, and where they stood; ties by position.

    Results: values, indices (i64). Counted as a full comparison sort, n*log2(n) compares a row: an upper bound.
    Source: ONNX TopK-24.
    """

    name = "top_k"
    operand_names = ("x",)
    attributes = {"k": AttributeSpec("int", REQUIRED), **AXIS, "largest": AttributeSpec("bool", True)}

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        (x,) = operands
        (axis,) = normalised_axes((int_of(attrs, "axis"),), x.rank)
        k = int_of(attrs, "k")
        if not 0 <= k <= x.shape[axis]:
            raise ShapeError(f"top_k: k is {k}, the axis holds {x.shape[axis]}")
        shape = (*x.shape[:axis], k, *x.shape[axis + 1 :])
        return TensorType(shape, x.dtype), TensorType(shape, i64)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        (x,) = operands
        axis = int_of(op.attrs, "axis")
        key = x if not op.attrs["largest"] else descending_key(x)
        order = np.argsort(key, axis=axis, kind="stable")
        order = np.take(order, np.arange(int_of(op.attrs, "k")), axis=axis)
        return [np.take_along_axis(x, order, axis), order.astype(np.int64)]

    def counts(self, op: Op) -> Counts:
        x = op.operands[0].type
        n = x.shape[int_of(op.attrs, "axis")]
        return Counts(compare=x.elements * max(n - 1, 1).bit_length())


top_k = register_op(TopK())


def descending_key(x: np.ndarray) -> np.ndarray:
    """Sorts ascending where ``x`` sorts descending; integers keep their range."""
    return ~x if x.dtype.kind in "iub" else -x
