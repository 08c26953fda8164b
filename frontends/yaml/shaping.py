"""Layers that regroup, join or cut values; and values that come from nowhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from ircost.frontends.yaml.fields import Real, Whole, Wholes, described
from ircost.frontends.yaml.layer import Layer, layer, need_rank
from ircost.ir import ops
from ircost.ir.errors import ShapeError
from ircost.ir.graph import Value
from ircost.ir.ops.reduction import normalised_axes
from ircost.ir.types import TensorType, parse_dtype

if TYPE_CHECKING:
    from ircost.frontends.yaml.body import Body

MANY = 1 << 16


@layer("flatten")
class Flatten(Layer):
    """All axes from one on as one."""

    axis: Whole = described(1, "the first that is merged")

    def build(self, body: Body, *operands: Value) -> Value:
        (x,) = operands
        need_rank(x, 1, "one or more axes")
        (axis,) = normalised_axes((self.axis,), x.type.rank)
        return ops.reshape(x, shape=(*x.type.shape[:axis], math.prod(x.type.shape[axis:])))


@layer("reshape")
class Reshape(Layer):
    """The same elements under another shape."""

    shape: Wholes = described(..., "extents; one may be -1 and follows from the others")

    def build(self, body: Body, *operands: Value) -> Value:
        (x,) = operands
        known = math.prod(n for n in self.shape if n != -1)
        if self.shape.count(-1) > 1 or any(n < -1 for n in self.shape):
            raise ShapeError(f"shape {list(self.shape)} is not one with at most one -1")
        if -1 in self.shape and (known == 0 or x.type.elements % known):
            raise ShapeError(f"{x.type} cannot take shape {list(self.shape)}")
        return ops.reshape(x, shape=tuple(x.type.elements // known if n == -1 else n for n in self.shape))


@layer("concat")
class Concat(Layer):
    """Values one after another along an axis."""

    operand_counts: ClassVar[tuple[int, int]] = (1, MANY)

    axis: Whole = described(1, "along which; channels where left out")

    def build(self, body: Body, *operands: Value) -> Value:
        return ops.concat(*operands, axis=self.axis)


@layer("add")
class Add(Layer):
    """Sum of two or more values, which broadcast."""

    operand_counts: ClassVar[tuple[int, int]] = (2, MANY)

    def build(self, body: Body, *operands: Value) -> Value:
        return folded(ops.add, operands)


@layer("mul")
class Mul(Layer):
    """Product of two or more values, which broadcast."""

    operand_counts: ClassVar[tuple[int, int]] = (2, MANY)

    def build(self, body: Body, *operands: Value) -> Value:
        return folded(ops.mul, operands)


def folded(op: object, operands: Sequence[Value]) -> Value:
    total = operands[0]
    for other in operands[1:]:
        total = op(total, other)  # type: ignore[operator]
    return total


@layer("split")
class Split(Layer):
    """Parts along an axis; name them all: ``name: [q, k, v]``."""

    parts: Wholes = described(..., "how many equal ones, or the extent of each")
    axis: Whole = described(1, "along which; channels where left out")

    def build(self, body: Body, *operands: Value) -> Sequence[Value]:
        (x,) = operands
        (axis,) = normalised_axes((self.axis,), x.type.rank)
        extent = x.type.shape[axis]
        sizes = self.parts if len(self.parts) > 1 else (extent // max(self.parts[0], 1),) * min(self.parts[0], MANY)
        if sum(sizes) != extent or min(sizes, default=0) < 1:
            raise ShapeError(f"parts of {list(sizes)[:8]} do not make up axis {axis} of {x.type}")
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        return [part(x, axis, start, size) for start, size in zip(starts, sizes, strict=True)]


def part(x: Value, axis: int, start: int, size: int) -> Value:
    starts = tuple(start if i == axis else 0 for i in range(x.type.rank))
    return ops.slice(x, starts=starts, size=tuple(size if i == axis else n for i, n in enumerate(x.type.shape)))


@layer("select")
class Select(Layer):
    """One index along an axis, which goes: the class token, the last step."""

    index: Whole = described(0, "from 0; -1 is the last")
    axis: Whole = described(1, "along which")

    def build(self, body: Body, *operands: Value) -> Value:
        (x,) = operands
        (axis,) = normalised_axes((self.axis,), x.type.rank)
        extent = x.type.shape[axis]
        if not -extent <= self.index < extent:
            raise ShapeError(f"index {self.index} is out of range for axis {axis} of {x.type}")
        row = part(x, axis, self.index % extent, 1)
        return ops.reshape(row, shape=(*x.type.shape[:axis], *x.type.shape[axis + 1 :]))


@layer("mean")
class Mean(Layer):
    """Mean over axes, which go."""

    axes: Wholes = described((1,), "over which")

    def build(self, body: Body, *operands: Value) -> Value:
        return ops.reduce_mean(operands[0], axes=normalised_axes(self.axes, operands[0].type.rank))


@layer("relu6")
class Relu6(Layer):
    """min(max(x, 0), 6)."""

    def build(self, body: Body, *operands: Value) -> Value:
        x = ops.relu(operands[0])
        return ops.minimum(x, ops.scalar_like(6.0, x))


@layer("weight")
class Weight(Layer):
    """A learned value: a class token, a table of slopes."""

    operand_counts: ClassVar[tuple[int, int]] = (0, 0)

    shape: Wholes = described(..., "its extents")
    dtype: str = described("", "its number format; that of the network where left out")

    def build(self, body: Body, *operands: Value) -> Value:
        dtype = parse_dtype(self.dtype) if self.dtype else body.dtype
        if any(n < 1 for n in self.shape):
            raise ShapeError(f"shape {list(self.shape)} has an extent below 1")
        return body.weight(self.shape, dtype, "")


@layer("fill")
class Fill(Layer):
    """One number in every element, known and not learned."""

    operand_counts: ClassVar[tuple[int, int]] = (0, 0)

    value: Real = described(..., "the number")
    shape: Wholes = described((), "extents; a scalar where left out")

    def build(self, body: Body, *operands: Value) -> Value:
        if any(n < 1 for n in self.shape):
            raise ShapeError(f"shape {list(self.shape)} has an extent below 1")
        if not body.dtype.is_float and self.value != int(self.value):
            raise ShapeError(f"{self.value} is no {body.dtype}")
        type = TensorType(self.shape, body.dtype)
        return ops.splat(self.value, type)
