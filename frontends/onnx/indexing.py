"""Operators whose access depends on data."""

from __future__ import annotations

import numpy as np

from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import TensorType, i64


@lowering("Gather")
def gather(node: Node) -> Value:
    return ops.gather(node[0], node[1], axis=node.int("axis", 0))


@lowering("GatherElements")
def gather_elements(node: Node) -> Value:
    return ops.gather_elements(node[0], node[1], axis=node.int("axis", 0))


@lowering("GatherND")
def gather_nd(node: Node) -> Value:
    return ops.gather_nd(node[0], node[1], batch_dims=node.int("batch_dims", 0))


@lowering("ScatterElements", "Scatter")
def scatter_elements(node: Node) -> Value:
    reduction = node.string("reduction", "none")
    return ops.scatter_elements(node[0], node[1], node[2], axis=node.int("axis", 0), reduction=reduction)


@lowering("ScatterND")
def scatter_nd(node: Node) -> Value:
    return ops.scatter_nd(node[0], node[1], node[2], reduction=node.string("reduction", "none"))


@lowering("CumSum", "CumProd")
def running(node: Node) -> Value:
    op = ops.cumsum if node.proto.op_type == "CumSum" else ops.cumprod
    axis = node.known_int(1, "the axis")
    return op(node[0], axis=axis, exclusive=bool(node.int("exclusive", 0)), reverse=bool(node.int("reverse", 0)))


@lowering("TopK")
def top_k(node: Node) -> tuple[Value, ...]:
    """k was an attribute up to opset 9."""
    k = node.int("k", 0) if node.opset < 10 else node.known_int(1, "k")
    return ops.top_k.results(node[0], k=k, axis=node.int("axis", -1), largest=bool(node.int("largest", 1)))


@lowering("OneHot")
def one_hot(node: Node) -> Value:
    """where(indices == 0 .. depth - 1, on, off); negative indices count from the end."""
    indices, values = node[0], node[2]
    depth = node.known_int(1, "the depth")
    node.importer.check_elements(indices.type.elements * depth, node)
    axis = node.int("axis", -1)
    rank = indices.type.rank + 1
    axis = axis + rank if axis < 0 else axis
    extents = tuple(1 if i == axis else n for i, n in enumerate(insert(indices.type.shape, axis, 1)))
    whole = (
        ops.cast(ops.reshape(indices, shape=extents), to=i64)
        if indices.type.dtype != i64
        else ops.reshape(indices, shape=extents)
    )
    count = ops.constant_of(np.array(depth, np.int64))
    zero = ops.constant_of(np.array(0, np.int64))
    whole = ops.where(ops.less(whole, zero), ops.add(whole, count), whole)
    ramp_type = TensorType(tuple(depth if i == axis else 1 for i in range(rank)), i64)
    ramp = ops.iota.create((), {"axis": axis}, result_types=(ramp_type,)).result
    off, on = (ops.reshape(ops.slice(values, starts=(i,), size=(1,)), shape=()) for i in (0, 1))
    return ops.where(ops.equal(whole, ramp), on, off)


def insert(shape: tuple[int, ...], axis: int, extent: int) -> tuple[int, ...]:
    return (*shape[:axis], extent, *shape[axis:])
