"""Operators whose access depends on data."""

from __future__ import annotations

import math
from collections.abc import Callable

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


@lowering("CumSum")
def cumsum(node: Node) -> Value:
    axis = int(node.known(1, "the axis").reshape(()))
    return ops.cumsum(
        node[0], axis=axis, exclusive=bool(node.int("exclusive", 0)), reverse=bool(node.int("reverse", 0))
    )


@lowering("TopK")
def top_k(node: Node) -> tuple[Value, ...]:
    """k was an attribute up to opset 9."""
    k = node.int("k", 0) if node.opset < 10 else int(node.known(1, "k").reshape(-1)[0])
    return ops.top_k.results(node[0], k=k, axis=node.int("axis", -1), largest=bool(node.int("largest", 1)))


@lowering("OneHot")
def one_hot(node: Node) -> Value:
    """where(indices == 0 .. depth - 1, on, off); negative indices count from the end."""
    indices, values = node[0], node[2]
    depth = int(node.known(1, "the depth").reshape(()))
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


@lowering("Resize", "Upsample")
def resize(node: Node) -> Value:
    """Nearest and linear, an axis at a time: a gather, or two gathers and their weighted sum."""
    x = node[0]
    scales, extents = resize_targets(node, x)
    mode = node.string("mode", "nearest")
    for axis, (scale, extent) in enumerate(zip(scales, extents, strict=True)):
        if extent == x.type.shape[axis] and scale == 1.0:
            continue
        positions = source_positions(node, x.type.shape[axis], extent, scale)
        if mode == "nearest":
            x = ops.gather(x, ops.constant_of(nearest(node, positions, x.type.shape[axis])), axis=axis)
        elif mode in ("linear", "bilinear"):
            x = interpolated(x, positions, axis)
        else:
            raise node.error(f"mode = '{mode}' is not supported; nearest and linear are")
    return x


def resize_targets(node: Node, x: Value) -> tuple[list[float], list[int]]:
    """Scale and extent of each axis, from scales or sizes; where they stand depends on the opset."""
    node.refuse_attributes(antialias=0, keep_aspect_ratio_policy=b"stretch", exclude_outside=0)
    rank = x.type.rank
    axes = node.ints("axes", range(rank))
    where = 1 if node.proto.op_type == "Upsample" or node.opset < 11 else 2
    given = node.constant(where)
    scales, extents = [1.0] * rank, list(x.type.shape)
    if given is not None and given.size:
        for axis, scale in zip(axes, given.reshape(-1), strict=True):
            scales[axis], extents[axis] = float(scale), math.floor(x.type.shape[axis] * float(scale))
    elif node.proto.op_type == "Upsample" and "scales" in node.attributes:
        for axis, scale in enumerate(node.floats("scales", ())):
            scales[axis], extents[axis] = scale, math.floor(x.type.shape[axis] * scale)
    else:
        for axis, extent in zip(axes, node.known_ints(3, "sizes"), strict=True):
            scales[axis], extents[axis] = extent / x.type.shape[axis], extent
    node.importer.check_elements(math.prod(extents), node)
    return scales, extents


def source_positions(node: Node, extent: int, out: int, scale: float) -> np.ndarray:
    """Where each output element lies on the input axis."""
    default = "half_pixel" if node.opset >= 11 and node.proto.op_type == "Resize" else "asymmetric"
    transform = node.string("coordinate_transformation_mode", default)
    index = np.arange(out, dtype=np.float64)
    if transform == "half_pixel" or (transform == "pytorch_half_pixel" and out > 1):
        return (index + 0.5) / scale - 0.5
    if transform == "pytorch_half_pixel":
        return np.zeros(out)
    if transform == "align_corners":
        # The standard measures the output before it is rounded to whole elements.
        return index * (extent - 1) / (extent * scale - 1) if out > 1 else np.zeros(out)
    if transform == "asymmetric":
        return index / scale
    raise node.error(f"coordinate_transformation_mode = '{transform}' is not supported")


def nearest(node: Node, positions: np.ndarray, extent: int) -> np.ndarray:
    default = "round_prefer_floor" if node.opset >= 11 and node.proto.op_type == "Resize" else "floor"
    rounding: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "round_prefer_floor": lambda x: np.ceil(x - 0.5),
        "round_prefer_ceil": lambda x: np.floor(x + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    chosen = rounding.get(node.string("nearest_mode", default))
    if chosen is None:
        raise node.error(f"nearest_mode = '{node.string('nearest_mode', default)}' is not known")
    index: np.ndarray = np.clip(chosen(positions), 0, extent - 1).astype(np.int64)
    return index


def interpolated(x: Value, positions: np.ndarray, axis: int) -> Value:
    """Between the two neighbours, weighted by distance; beyond the ends, the last element."""
    extent = x.type.shape[axis]
    low = np.floor(positions)
    weight = positions - low
    lower, upper = (np.clip(low + i, 0, extent - 1).astype(np.int64) for i in (0, 1))
    shape = [1] * x.type.rank
    shape[axis] = len(positions)
    parts = [
        ops.mul(ops.gather(x, ops.constant_of(index), axis=axis), ops.constant_of(factor.reshape(shape), x.type.dtype))
        for index, factor in ((lower, 1 - weight), (upper, weight))
    ]
    return ops.add(*parts)
