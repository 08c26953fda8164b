"""Operators whose results are as long as the data make them."""

from __future__ import annotations

import numpy as np

from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import f32, i64


@lowering("NonZero")
def nonzero(node: Node) -> Value:
    x = node[0]
    return ops.nonzero(x, bound=node.bound(x.type.elements, "indices"))


@lowering("Compress")
def compress(node: Node) -> Value:
    """Without an axis x is flattened first."""
    condition = node[1]
    x, axis = along_axis(node)
    most = min(x.type.shape[axis], condition.type.elements)
    return ops.compress(x, condition, axis=axis, bound=node.bound(most, "slices"))


@lowering("Unique")
def unique(node: Node) -> tuple[Value, ...]:
    """Without an axis x is flattened first."""
    x, axis = along_axis(node)
    bound = node.bound(x.type.shape[axis], "different values")
    return ops.unique.results(x, axis=axis, is_sorted=bool(node.int("sorted", 1)), bound=bound)


def along_axis(node: Node) -> tuple[Value, int]:
    """x and the axis, counted from the front; x as a vector where no axis is given."""
    x, axis = node[0], node.int("axis", 0)
    if "axis" not in node.attributes:
        return ops.reshape(x, shape=(x.type.elements,)), 0
    if not -x.type.rank <= axis < x.type.rank:
        raise node.error(f"axis {axis} does not fit {x.type}")
    return x, axis % x.type.rank


@lowering("NonMaxSuppression")
def non_max_suppression(node: Node) -> Value:
    """How many boxes are kept at most follows from the limit, where that is known."""
    boxes, scores = node[0], node[1]
    if scores.type.rank != 3:
        raise node.error(f"scores are {scores.type}, [batches, classes, boxes] expected")
    default_limit = ops.constant_of(np.array(0, np.int64))
    limit = scalar(node.get(2)) or default_limit
    iou = scalar(node.get(3)) or ops.constant_of(np.array(0, np.float32))
    score = scalar(node.get(4)) or ops.constant_of(np.array(-np.inf, np.float32))
    batches, classes, count = scores.type.shape
    known = ops.constant_value(limit)
    each = count if known is None else min(max(int(known), 0), count)
    return ops.non_max_suppression(
        *(boxes, scores, ops.cast(limit, to=i64), ops.cast(iou, to=f32), ops.cast(score, to=f32)),
        is_centred=bool(node.int("center_point_box", 0)),
        bound=node.bound(batches * classes * each, "boxes"),
    )


def scalar(value: Value | None) -> Value | None:
    return value if value is None or value.type.rank == 0 else ops.reshape(value, shape=())
