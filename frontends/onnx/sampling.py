"""GridSample and DeformConv: images read at places that data decide."""

from __future__ import annotations

import math

import numpy as np

from ircost.frontends.onnx.node import Node, lowering
from ircost.frontends.onnx.windows import Window, window_of
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.ops.normalization import per_channel
from ircost.ir.ops.sampling import every_row, spread

MODES = {"bilinear": "linear", "bicubic": "cubic"}  # as they were called at opset 16


@lowering("GridSample")
def grid_sample(node: Node) -> Value:
    """Coordinates from -1 to 1, the last axis of x first, brought to elements, the first axis first."""
    x, grid = node[0], node[1]
    extents, is_aligned = x.type.shape[2:], bool(node.int("align_corners", 0))
    rank, batch = len(extents), x.type.shape[0]
    if grid.type.rank != x.type.rank or grid.type.shape[-1] != rank or grid.type.shape[0] != batch:
        raise node.error(f"grid {grid.type} does not fit x {x.type}")
    out = grid.type.shape[1:-1]
    points = ops.reshape(grid, shape=(batch, math.prod(out), rank))
    points = ops.slice(points, starts=(0, 0, rank - 1), size=points.type.shape, steps=(1, 1, -1))
    half = np.array([(n - 1) / 2 for n in extents])
    factor = half if is_aligned else np.array(extents) / 2
    points = ops.add(ops.mul(points, spread(factor, points)), spread(half, points))
    mode = node.string("mode", "linear" if node.opset >= 20 else "bilinear")
    outside = node.string("padding_mode", "zeros")
    mode = MODES.get(mode, mode)
    result = ops.sample(x, points, every_row(batch), mode=mode, outside=outside, is_aligned=is_aligned)
    return ops.reshape(result, shape=(*x.type.shape[:2], *out))


@lowering("DeformConv")
def deform_conv(node: Node) -> Value:
    """A convolution each of whose taps reads x a little off its place, by linear interpolation."""
    x, weight, offset = node[0], node[1], node[2]
    window = window_of(node, weight.type.shape[2:], x.type.shape[2:])
    groups, offset_groups = node.int("group", 1), node.int("offset_group", 1)
    batch, channels = x.type.shape[:2]
    out = offset.type.shape[2:]
    taps, places, rank = math.prod(window.size), math.prod(out), len(out)
    if channels % offset_groups or channels % groups or weight.type.shape[0] % groups:
        raise node.error(f"{channels} channels do not divide into {groups} groups and {offset_groups} offset groups")
    sets = batch * offset_groups
    shifts = ops.transpose(ops.reshape(offset, shape=(sets, taps, rank, places)), perm=(0, 1, 3, 2))
    points = ops.reshape(ops.add(shifts, spread(tap_places(window, out), shifts)), shape=(sets, taps * places, rank))
    parts = ops.reshape(x, shape=(sets, channels // offset_groups, *x.type.shape[2:]))
    read = ops.sample(parts, points, every_row(sets))
    if node.get(4) is not None:
        mask = ops.reshape(node[4], shape=(sets, 1, taps * places))
        read = ops.mul(read, mask)
    columns = ops.reshape(read, shape=(batch, groups, channels // groups, taps, places))
    filters = ops.reshape(weight, shape=(groups, weight.type.shape[0] // groups, channels // groups, taps))
    total = ops.contract(columns, filters, notation="n g c k o, g m c k -> n g m o")
    result = ops.reshape(total, shape=(batch, weight.type.shape[0], *out))
    return result if node.get(3) is None else ops.add(result, per_channel(node[3], result.type.rank))


def tap_places(window: Window, out: tuple[int, ...]) -> np.ndarray:
    """Where each tap stands for each output, [taps, places, rank], before it is moved."""
    grids = []
    for axis, (stride, dilation, (begin, _)) in enumerate(
        zip(window.strides, window.dilations, window.pads, strict=True)
    ):
        tap = np.indices(window.size)[axis].reshape(-1, 1) * dilation
        place = np.indices(out)[axis].reshape(1, -1) * stride - begin
        grids.append(tap + place)
    return np.stack(grids, axis=-1)
