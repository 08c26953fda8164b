"""Ops that regroup elements or bits: reshape, bitcast, concatenation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ircost.ir.attributes import REQUIRED, Attributes, AttributeSpec, Ints, int_of, ints_of
from ircost.ir.constant import from_codes
from ircost.ir.constant import unpack as unpack_bits
from ircost.ir.definition import Arrays, OpDefinition, register_op
from ircost.ir.errors import DTypeError, ShapeError, VerifyError
from ircost.ir.graph import Op, Region, Value
from ircost.ir.numpy_dtypes import numpy_dtype
from ircost.ir.ops.movement import slice as slice_op
from ircost.ir.ops.reduction import normalised_axes
from ircost.ir.terminators import yielded
from ircost.ir.types import DType, TensorType


class Reshape(OpDefinition):
    """The same elements, in row-major order, under another shape. Moves nothing.

    Source: ONNX Reshape-25; -1 and 0 are resolved by the frontend. Also Flatten, Squeeze, Unsqueeze.
    """

    name = "reshape"
    operand_names = ("x",)
    attributes = {"shape": AttributeSpec("Ints", REQUIRED)}
    is_view = True
    follows_bounds = True

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        (x,) = operands
        shape = ints_of(attrs, "shape")
        if math.prod(shape) != x.elements:
            raise ShapeError(f"reshape: {x} has {x.elements} elements, shape {list(shape)} has {math.prod(shape)}")
        return (TensorType(shape, x.dtype, bounded_after_reshape(x, shape)),)

    def inverse(self, op: Op, index: int, result: Value, operands: Sequence[Value]) -> Value | None:
        return None if op.result.type.bounded else reshape(result, shape=op.operands[0].type.shape)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        type = op.result.type
        return [operands[0].reshape([-1 if axis in type.bounded else n for axis, n in enumerate(type.shape)])]


reshape = register_op(Reshape())


class Subview(OpDefinition):
    """A box of x where it lies: ``size`` elements from ``starts`` on along each axis. Moves nothing.

    Kernels read it with the strides of x; `slice` is the same with a copy. Source: torch.narrow; MLIR memref.subview.
    """

    name = "subview"
    operand_names = ("x",)
    attributes = {"starts": AttributeSpec("Ints", REQUIRED), "size": AttributeSpec("Ints", REQUIRED)}
    is_view = True

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        (x,) = operands
        starts, size = ints_of(attrs, "starts"), ints_of(attrs, "size")
        is_inside = len(starts) == len(size) == x.rank and all(
            start >= 0 and n >= 0 and start + n <= extent
            for start, n, extent in zip(starts, size, x.shape, strict=True)
        )
        if not is_inside:
            raise ShapeError(f"subview: {list(size)} elements from {list(starts)} are not all inside of {x}")
        return (TensorType(size, x.dtype),)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        starts, size = ints_of(op.attrs, "starts"), ints_of(op.attrs, "size")
        return [operands[0][tuple(np.s_[start : start + n] for start, n in zip(starts, size, strict=True))]]


subview = register_op(Subview())


STRIDED = ("transpose", "slice", "broadcast")  # moves whose results are their operands under other strides


class View(OpDefinition):
    """What ``body`` makes of x by regrouping, permuting, selecting and repeating, where x lies. Moves nothing.

    Kernels read it with strides of its own, as PyTorch's do: a `transpose`, `slice` or `broadcast` alone is a copy.
    """

    name = "view"
    operand_names = ("x",)
    region_names = ("body",)
    is_isolated = True
    is_view = True
    result_count = 1

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        return yielded(regions[0])

    def verify(self, op: Op) -> None:
        for inner in op.regions[0].block.ops:
            if not (inner.definition.is_view or inner.definition.is_terminator or inner.name in STRIDED):
                raise VerifyError(
                    f"view: strides do not tell where the result of {inner.name} lies",
                    at=op,
                    help=f"a view holds other views and {', '.join(STRIDED)}",
                )


view = register_op(View())


def bounded_after_reshape(x: TensorType, shape: Ints) -> Ints:
    """Where an extent that depends on data goes: to the axis with as much before it, and as much or more in it.

    Raises:
        ShapeError: more than one depends on data, or none of the new axes can follow.
    """
    if not x.bounded:
        return ()
    if len(x.bounded) == 1:
        (axis,) = x.bounded
        before, extent, behind = (math.prod(x.shape[s]) for s in np.s_[:axis, axis : axis + 1, axis + 1 :])
        for i, n in enumerate(shape):
            rest = math.prod(shape[i + 1 :])
            if n >= extent and math.prod(shape[:i]) == before and extent > 0 and behind % max(rest, 1) == 0:
                return (i,)
    raise ShapeError(f"reshape: an extent of {x} depends on data, and shape {list(shape)} cannot follow it")


class Bitcast(OpDefinition):
    """The same bits read in another number format of the same width. Moves nothing. Source: ONNX BitCast-26."""

    name = "bitcast"
    operand_names = ("x",)
    attributes = {"to": AttributeSpec("DType", REQUIRED)}
    is_view = True
    follows_bounds = True

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        (x,) = operands
        to = attrs["to"]
        assert isinstance(to, DType), "its kind was checked"
        if to.bits != x.dtype.bits:
            raise DTypeError(f"bitcast: {x.dtype} has {x.dtype.bits} bits, {to} has {to.bits}")
        return (x.with_dtype(to),)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        (x,) = operands
        to = op.result.type.dtype
        if to.bits >= 8:
            return [np.ascontiguousarray(x).view(numpy_dtype(to)).reshape(x.shape)]
        codes = np.ascontiguousarray(x).view(np.uint8) & np.uint8(2**to.bits - 1)
        return [from_codes(codes, to).reshape(x.shape)]


bitcast = register_op(Bitcast())


class Unpack(OpDefinition):
    """Bytes as the narrow integers that lie in them, the lowest bits first. Moves nothing.

    Shapes: x [.., n] u8, out of another shape whose elements take up as many bits, up to the last byte of each row.
    """

    name = "unpack"
    operand_names = ("x",)
    attributes = {"to": AttributeSpec("DType", REQUIRED)}
    is_view = True
    needs_result_types = True
    result_count = 1

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        raise AssertionError("the shape of what is unpacked is given")

    def verify(self, op: Op) -> None:
        x, out = op.operands[0].type, op.result.type
        if x.dtype.bits != 8 or out.dtype != op.attrs["to"] or out.elements * out.dtype.bits > x.elements * 8:
            raise VerifyError(f"unpack: {out} does not lie in {x}", at=op)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        out = op.result.type
        numbers = unpack_bits(np.ascontiguousarray(operands[0]).tobytes(), out.dtype, out.elements)
        return [numbers[: out.elements].reshape(out.shape).astype(numpy_dtype(out.dtype))]


unpack = register_op(Unpack())


class Concat(OpDefinition):
    """Operands one after another along ``axis``.

    Shapes: equal but for ``axis``, whose extents add up. Source: ONNX Concat-13.
    """

    name = "concat"
    operand_names = ("inputs",)
    is_variadic = True
    attributes = {"axis": AttributeSpec("int", REQUIRED)}
    follows_bounds = True

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
            if other.rank != first.rank or without(other.shape, axis) != without(first.shape, axis):
                raise ShapeError(f"concat: {first} and {other} differ in more than axis {axis}")
        extent = sum(operand.shape[axis] for operand in operands)
        bounded = tuple(sorted({i for operand in operands for i in operand.bounded}))
        return (TensorType((*first.shape[:axis], extent, *first.shape[axis + 1 :]), first.dtype, bounded),)

    def joined_axis(self, op: Op) -> int:
        (axis,) = normalised_axes((int_of(op.attrs, "axis"),), op.result.type.rank)
        return axis

    def inverse(self, op: Op, index: int, result: Value, operands: Sequence[Value]) -> Value | None:
        axis, shape = self.joined_axis(op), op.operands[index].type.shape
        if op.result.type.bounded:
            return None
        starts = [0] * len(shape)
        starts[axis] = sum(before.type.shape[axis] for before in op.operands[:index])
        return slice_op(result, starts=tuple(starts), size=shape)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        return [np.concatenate(operands, axis=int_of(op.attrs, "axis"))]


concat = register_op(Concat())


def without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])
