"""Operators whose result follows from shapes and a few numbers."""

from __future__ import annotations

import math

import numpy as np

from ircost.frontends.onnx.node import Node, lowering
from ircost.frontends.onnx.running_window import running_range
from ircost.ir import ops
from ircost.ir.errors import ShapeError
from ircost.ir.graph import Value
from ircost.ir.types import TensorType, f32, i64


@lowering("Shape")
def shape(node: Node) -> Value:
    """Extents that depend on data are read at run time, all others are known."""
    x = node[0]
    chosen = range(x.type.rank)[node.int("start", 0) : node.int("end", x.type.rank)]
    if any(axis in x.type.bounded for axis in chosen):
        return ops.slice(ops.shape_of(x), starts=(chosen.start,), size=(len(chosen),))
    return ops.constant_of(np.array([x.type.shape[axis] for axis in chosen], np.int64))


@lowering("Size")
def size(node: Node) -> Value:
    if node[0].type.bounded:
        return ops.reduce_prod(ops.shape_of(node[0]), axes=(0,))
    return ops.constant_of(np.array(node[0].type.elements, np.int64))


@lowering("ConstantOfShape")
def constant_of_shape(node: Node) -> Value:
    extents = node.known_ints(0, "the shape")
    if "value" not in node.attributes:
        return ops.splat(0.0, TensorType(extents, f32))
    array = node.array("value")
    value = ops.constant_of(array)
    number = array.reshape(-1)[0].item()
    return ops.splat(number, TensorType(extents, value.type.dtype))


MOST_VALUES = 1 << 20  # of a range that are written down: shapes and positions have fewer


@lowering("Range")
def range_(node: Node) -> Value:
    step = node.constant(2)
    if node.constant(0) is None and node.constant(1) is None and step is not None and step.reshape(()) == 1:
        return running_range(node, node[0], node[1])
    start, limit, delta = (node.known_number(i, what) for i, what in enumerate(("start", "limit", "delta")))
    count = max(math.ceil((limit.item() - start.item()) / delta.item()), 0)
    node.importer.check_elements(count, node)
    if count > MOST_VALUES:
        steps = ops.cast(ops.ramp((count,), 0), to=node[0].type.dtype)
        return ops.add(ops.mul(steps, ops.constant_of(np.asarray(delta))), ops.constant_of(np.asarray(start)))
    values = start + np.arange(count).astype(start.dtype) * delta
    return ops.constant_of(values.astype(start.dtype))


@lowering("EyeLike")
def eye_like(node: Node) -> Value:
    """1 on diagonal ``k``, 0 elsewhere."""
    x = node[0]
    dtype = node.element_type(node.int("dtype", 0)) if "dtype" in node.attributes else x.type.dtype
    offset = ops.constant_of(np.array(node.int("k", 0), np.int64))
    return ops.cast(ops.equal(diagonals(x.type.shape), offset), to=dtype)


@lowering("Trilu")
def trilu(node: Node) -> Value:
    """What lies on, above or below diagonal ``k``."""
    x = node[0]
    k = node.known_int(1, "k") if node.get(1) is not None else 0
    side = ops.greater_equal if node.int("upper", 1) else ops.less_equal
    keep = side(diagonals(x.type.shape[-2:]), ops.constant_of(np.array(k, np.int64)))
    return ops.where(keep, x, node.like(0, x))


def diagonals(shape: tuple[int, ...]) -> Value:
    """[m, n]: on which diagonal each element lies, 0 the main one, positive above."""
    if len(shape) != 2:
        raise ShapeError(f"a matrix is expected, the shape is {list(shape)}")
    type = TensorType(shape, i64)
    row, column = (ops.iota.create((), {"axis": axis}, result_types=(type,)).result for axis in (0, 1))
    return ops.sub(column, row)
