"""Regions of images brought to one size: RoiAlign, MaxRoiPool."""

from __future__ import annotations

import numpy as np

from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.ops.sampling import spread
from ircost.ir.types import i64

MOST_REGIONS = 256  # that are read one by one, each with its own number of samples


@lowering("RoiAlign")
def roi_align(node: Node) -> Value:
    """A fixed number of samples a bin; or as many as a bin has elements, which then must be known."""
    samples = node.int("sampling_ratio", 0)
    if samples > 0:
        return aligned(node, node[1], node[2], (samples, samples))
    rois, rows = node.known(1, "the regions, with sampling_ratio = 0,"), node[2]
    if len(rois) > MOST_REGIONS:
        raise node.error(f"{len(rois)} regions with sampling_ratio = 0, {MOST_REGIONS} are supported")
    parts = []
    for i, roi in enumerate(rois):
        row = ops.slice(rows, starts=(i,), size=(1,))
        parts.append(aligned(node, ops.constant_of(roi[None]), row, adaptive(node, roi)))
    return ops.concat(*parts, axis=0)


def adaptive(node: Node, roi: np.ndarray) -> tuple[int, int]:
    """How many samples a bin of one region takes: one for each element it covers."""
    height, width = out_size(node)
    sides = (roi[2:] - roi[:2]) * node.float("spatial_scale", 1.0)
    if not half_pixel(node):
        sides = np.maximum(sides, 1.0)
    return max(int(np.ceil(sides[1] / height)), 1), max(int(np.ceil(sides[0] / width)), 1)


def out_size(node: Node) -> tuple[int, int]:
    return node.int("output_height", 1), node.int("output_width", 1)


def half_pixel(node: Node) -> bool:
    """The default since opset 16; before, regions began at the centres of elements."""
    default = "half_pixel" if node.opset >= 16 else "output_half_pixel"
    return node.string("coordinate_transformation_mode", default) == "half_pixel"


def aligned(node: Node, rois: Value, rows: Value, samples: tuple[int, int]) -> Value:
    x = node[0]
    height, width = out_size(node)
    scale = node.float("spatial_scale", 1.0)
    corners = ops.sub(ops.mul(rois, node.like(scale, rois)), node.like(0.5 if half_pixel(node) else 0.0, rois))
    ys = places(corners, 1, height, samples[0], at_least=0.0 if half_pixel(node) else 1.0)
    xs = places(corners, 0, width, samples[1], at_least=0.0 if half_pixel(node) else 1.0)
    count, (rows_out, columns_out) = rois.type.shape[0], (ys.type.shape[1], xs.type.shape[1])
    grid = [
        ops.broadcast(ops.reshape(v, shape=shape), shape=(count, rows_out, columns_out, 1))
        for v, shape in ((ys, (count, rows_out, 1, 1)), (xs, (count, 1, columns_out, 1)))
    ]
    points = ops.reshape(ops.concat(*grid, axis=3), shape=(count, rows_out * columns_out, 2))
    is_max = node.string("mode", "avg").lower() == "max"
    size = {"height": height, "width": width, "samples_y": samples[0], "samples_x": samples[1]}
    return ops.roi_align(x, points, rows, **size, is_max=is_max)


def places(corners: Value, axis: int, bins: int, samples: int, at_least: float) -> Value:
    """Where samples stand along one axis: in the middle of equal parts of each bin, [regions, bins * samples]."""
    count = corners.type.shape[0]
    first, last = (ops.slice(corners, starts=(0, axis + i), size=(count, 1)) for i in (0, 2))
    side = ops.sub(last, first)
    if at_least:
        side = ops.maximum(side, ops.scalar_like(at_least, side))
    parts = (np.arange(bins * samples) + 0.5) / (bins * samples)
    return ops.add(first, ops.mul(side, spread(parts[None], side)))


@lowering("MaxRoiPool")
def max_roi_pool(node: Node) -> Value:
    """The largest element of each bin of whole elements, 0 in an empty bin: first along one axis, then the other.

    Shapes: x [n, c, h, w], rois [m, 5] (image, x1, y1, x2, y2), out [m, c, height, width]. Source: Girshick, "Fast
    R-CNN", 2015.
    """
    x, rois = node[0], node[1]
    height, width = node.ints("pooled_shape", (1, 1))
    count, channels = rois.type.shape[0], x.type.shape[1]
    rows = ops.cast(ops.slice(rois, starts=(0, 0), size=(count, 1)), to=i64)
    images = ops.gather(x, ops.reshape(rows, shape=(count,)), axis=0)
    low = node.like(-np.inf, x)
    h, w = x.type.shape[2:]
    in_rows = ops.reshape(bin_masks(node, rois, 2, height, h), shape=(count, 1, height, h, 1))
    tall = ops.where(in_rows, ops.reshape(images, shape=(count, channels, 1, h, w)), low)
    tall = ops.reduce_max(tall, axes=(3,))
    in_columns = ops.reshape(bin_masks(node, rois, 1, width, w), shape=(count, 1, 1, width, w))
    wide = ops.where(in_columns, ops.reshape(tall, shape=(count, channels, height, 1, w)), low)
    pooled = ops.reduce_max(wide, axes=(4,))
    return ops.where(ops.equal(pooled, low), node.like(0, x), pooled)


def bin_masks(node: Node, rois: Value, column: int, bins: int, extent: int) -> Value:
    """Which elements along one axis each bin covers, [regions, bins, extent]."""
    count = rois.type.shape[0]
    scale = node.like(node.float("spatial_scale", 1.0), rois)
    begin, end = (ops.slice(rois, starts=(0, column + i), size=(count, 1)) for i in (0, 2))
    half = ops.scalar_like(0.5, rois)
    first, last = (ops.floor(ops.add(ops.mul(v, scale), half)) for v in (begin, end))
    one = ops.scalar_like(1, rois)
    side = ops.mul(ops.maximum(ops.add(ops.sub(last, first), one), one), ops.scalar_like(1 / bins, rois))
    starts = ops.add(first, ops.floor(ops.mul(side, spread(np.arange(bins)[None], side))))
    stops = ops.add(first, ops.ceil(ops.mul(side, spread(np.arange(1, bins + 1)[None], side))))
    place = spread(np.arange(extent).reshape(1, 1, extent), side)
    starts, stops = (ops.reshape(v, shape=(count, bins, 1)) for v in (starts, stops))
    return ops.logical_and(ops.greater_equal(place, starts), ops.less(place, stops))
