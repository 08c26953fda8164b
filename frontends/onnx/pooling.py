"""Pools: windows that slide over the spatial axes, or cover them."""

from __future__ import annotations

import math

import numpy as np

from ircost.frontends.average_pool import average_pool as averaged
from ircost.frontends.onnx.node import Node, lowering
from ircost.frontends.onnx.windows import Window, resolve_pads, window_of
from ircost.ir import ops
from ircost.ir.attributes import Attribute, Pairs
from ircost.ir.graph import Value
from ircost.ir.types import TensorType, i64


@lowering("GlobalAveragePool")
def global_average_pool(node: Node) -> Value:
    return ops.reduce_mean(node[0], axes=spatial_axes(node[0]), keepdims=True)


@lowering("GlobalMaxPool")
def global_max_pool(node: Node) -> Value:
    return ops.reduce_max(node[0], axes=spatial_axes(node[0]), keepdims=True)


def spatial_axes(x: Value) -> tuple[int, ...]:
    return tuple(range(2, x.type.rank))


@lowering("MaxPool")
def max_pool(node: Node) -> list[Value]:
    """The maxima, and where they stand in the whole of x."""
    x = node[0]
    window = window_of(node, node.ints("kernel_shape", ()), x.type.shape[2:])
    if node.output_count == 1:  # places count in the window as it is written
        window = window.on(x.type)
    attrs: dict[str, Attribute] = {
        "window": window.size,
        "strides": window.strides,
        "dilations": window.dilations,
        "pads": window.pads,
    }
    maxima = ops.max_pool(x, **attrs)
    if node.output_count == 1:
        return [maxima]
    return [maxima, flat_places(x, window, ops.max_pool_position(x, **attrs), bool(node.int("storage_order", 0)))]


def flat_places(x: Value, window: Window, position: Value, is_column_major: bool) -> Value:
    """Places in windows as places in x, batch and channels included; spatial axes in either order."""
    spatial = x.type.shape[2:]
    images = [coordinate(position, axis) for axis in (0, 1)]
    total = ops.add(ops.mul(images[0], whole(x.type.shape[1])), images[1])
    places = {}
    rest = math.prod(window.size)
    for axis, size in enumerate(window.size):
        rest //= size
        tap = ops.mod(ops.div(position, whole(rest)), whole(size))
        first = ops.mul(coordinate(position, axis + 2), whole(window.strides[axis]))
        start = ops.sub(first, whole(window.pads[axis][0]))
        places[axis] = ops.add(start, ops.mul(tap, whole(window.dilations[axis])))
    for axis in sorted(places, reverse=is_column_major):
        total = ops.add(ops.mul(total, whole(spatial[axis])), places[axis])
    return total


def coordinate(like: Value, axis: int) -> Value:
    """Each element's own index along one axis, as broadcasts against ``like``."""
    shape = tuple(n if i == axis else 1 for i, n in enumerate(like.type.shape))
    return ops.iota.create((), {"axis": axis}, result_types=(TensorType(shape, i64),)).result


def whole(number: int) -> Value:
    return ops.constant_of(np.array(number, np.int64))


@lowering("AveragePool")
def average_pool(node: Node) -> Value:
    return average_of_windows(node, node[0])


def average_of_windows(node: Node, x: Value) -> Value:
    window = window_of(node, node.ints("kernel_shape", ()), x.type.shape[2:])
    pads, total = counted_pads(node, window, x.type.shape[2:]), sum_over(x, window)
    return averaged(x, window.size, window.strides, window.dilations, window.pads, pads, total)


def counted_pads(node: Node, window: Window, spatial: tuple[int, ...]) -> Pairs:
    """Padding that counts as elements, where the node says so; never what ceil_mode adds at the end."""
    if not node.int("count_include_pad", 0):
        return ((0, 0),) * len(window.size)
    return resolve_pads(node, window.size, spatial, window.strides, window.dilations)


def sum_over(x: Value, window: Window) -> Value:
    seen = window.on(x.type)
    return ops.sum_pool(x, window=seen.size, strides=seen.strides, dilations=seen.dilations, pads=seen.pads)


@lowering("LpPool")
def lp_pool(node: Node) -> Value:
    """(sum of |x|^p over each window)^(1/p)"""
    x, order = node[0], norm_order(node)
    window = window_of(node, node.ints("kernel_shape", ()), x.type.shape[2:])
    powers = ops.mul(x, x) if order == 2 else ops.pow(ops.abs(x), node.like(order, x))
    total = sum_over(powers, window)
    return ops.sqrt(total) if order == 2 else ops.pow(total, node.like(1 / order, x))


@lowering("GlobalLpPool")
def global_lp_pool(node: Node) -> Value:
    x, order = node[0], norm_order(node)
    total = ops.reduce_sum(ops.pow(ops.abs(x), node.like(order, x)), axes=spatial_axes(x), keepdims=True)
    return ops.pow(total, node.like(1 / order, x))


def norm_order(node: Node) -> int:
    order = node.int("p", 2)
    if order < 1:
        raise node.error(f"p = {order}, 1 or more expected")
    return order
