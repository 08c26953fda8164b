"""Resize and Upsample: each axis on its own, as a weighted sum of gathers whose places are known at import."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ircost.frontends.interpolation import along, cubic, weighted
from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import f32

Rounding = Callable[[np.ndarray], np.ndarray]

ROUNDINGS: dict[str, Rounding] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


@dataclass(frozen=True, slots=True)
class Axis:
    """How one axis is resized.

    Args:
        extent, out: elements before and after.
        scale: as written; ``out / extent`` only where that is whole.
        begin, end: the part that is cut out, as fractions; 0 and 1 unless the operator crops.
    """

    extent: int
    out: int
    scale: float
    begin: float = 0.0
    end: float = 1.0


@lowering("Resize", "Upsample")
def resize(node: Node) -> Value:
    x = node[0]
    axes = resized_axes(node, x)
    node.importer.check_elements(math.prod(axis.out for axis in axes), node)
    mode = node.string("mode", "nearest")
    exact = mode == "nearest" or x.type.dtype.is_float
    result = x if exact else ops.cast(x, to=f32)
    for number, axis in enumerate(axes):
        positions = source_positions(node, axis)
        if not np.array_equal(positions, np.arange(axis.extent)):
            result = resize_axis(node, result, number, axis, positions)
    return result if exact else ops.cast(result, to=x.type.dtype)


def resize_axis(node: Node, x: Value, number: int, axis: Axis, positions: np.ndarray) -> Value:
    mode = node.string("mode", "nearest")
    if mode == "nearest":
        x = ops.gather(x, ops.constant_of(nearest(node, positions, axis.extent)), axis=number)
    else:
        x = weighted(x, number, *taps(node, mode, axis, positions))
    outside = (positions < 0) | (positions > axis.extent - 1)
    if not is_cropped(node) or not outside.any():
        return x
    value = node.like(node.float("extrapolation_value", 0.0), x)
    return ops.where(ops.constant_of(along(outside, number, x.type.rank)), value, x)


def is_cropped(node: Node) -> bool:
    return node.string("coordinate_transformation_mode", "") == "tf_crop_and_resize"


# ---- extents


def resized_axes(node: Node, x: Value) -> list[Axis]:
    """From scales or sizes; where they stand depends on the opset."""
    old = node.proto.op_type == "Upsample" or node.opset < 11
    scales = node.floats("scales", ()) or node.constant(1 if old else 2)
    named = [axis % x.type.rank for axis in node.ints("axes", range(x.type.rank))]
    axes = [Axis(extent, extent, 1.0) for extent in x.type.shape]
    if scales is not None and len(scales):
        changed = [scaled(node, axes[axis], float(scale)) for axis, scale in zip(named, scales, strict=True)]
    else:
        changed = sized(node, [axes[axis] for axis in named], node.known_ints(3, "sizes"))
    for axis, entry in zip(named, changed, strict=True):
        axes[axis] = entry
    return cropped(node, axes, named) if is_cropped(node) else axes


def scaled(node: Node, axis: Axis, scale: float) -> Axis:
    if scale <= 0:
        raise node.error(f"scale {scale} must be above 0")
    # In f32 5 x 2.6 is the 13 that was meant, as onnxruntime has it: the f32 next to 2.6 is a little less.
    return Axis(axis.extent, math.floor(np.float32(axis.extent) * np.float32(scale)), scale)


def sized(node: Node, axes: list[Axis], sizes: tuple[int, ...]) -> list[Axis]:
    """To given sizes, or to the largest (smallest) that keep the proportions and fit in (cover) them."""
    ratios = [size / axis.extent for axis, size in zip(axes, sizes, strict=True)]
    policy = node.string("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return [Axis(axis.extent, n, ratio) for axis, n, ratio in zip(axes, sizes, ratios, strict=True)]
    if policy not in ("not_larger", "not_smaller"):
        raise node.error(f"keep_aspect_ratio_policy = '{policy}' is not known")
    ratio = min(ratios) if policy == "not_larger" else max(ratios)
    return [Axis(axis.extent, math.floor(axis.extent * ratio + 0.5), ratio) for axis in axes]


def cropped(node: Node, axes: list[Axis], named: list[int]) -> list[Axis]:
    """With the part that input ``roi`` cuts out; where scales decide the extent, they are of that part."""
    roi = node.known(1, "roi").astype(np.float64)
    by_sizes = node.get(3) is not None
    for i, number in enumerate(named):
        axis, begin, end = axes[number], float(roi[i]), float(roi[len(named) + i])
        out = axis.out if by_sizes else math.floor(axis.extent * (end - begin) * axis.scale)
        axes[number] = Axis(axis.extent, out, axis.scale, begin, end)
    return axes


# ---- places and weights


def source_positions(node: Node, axis: Axis) -> np.ndarray:
    """Where each output element lies on the input axis."""
    default = "half_pixel" if node.opset >= 11 and node.proto.op_type == "Resize" else "asymmetric"
    transform = node.string("coordinate_transformation_mode", default)
    formula = TRANSFORMS.get(transform)
    if formula is None:
        raise node.error(f"coordinate_transformation_mode = '{transform}' is not known")
    return formula(axis, np.arange(axis.out, dtype=np.float64))


def half_pixel(axis: Axis, index: np.ndarray) -> np.ndarray:
    return (index + 0.5) / axis.scale - 0.5


def pytorch_half_pixel(axis: Axis, index: np.ndarray) -> np.ndarray:
    return half_pixel(axis, index) if axis.out > 1 else np.zeros(axis.out)


def half_pixel_symmetric(axis: Axis, index: np.ndarray) -> np.ndarray:
    """The middle of the input stays in the middle, also where the output was rounded to whole elements."""
    rounding = axis.out / (axis.scale * axis.extent)
    return axis.extent / 2 * (1 - rounding) + half_pixel(axis, index)


def align_corners(axis: Axis, index: np.ndarray) -> np.ndarray:
    """First on first, last on last; the standard measures the output before it is rounded to whole elements."""
    length = axis.extent * axis.scale - 1
    return index * (axis.extent - 1) / length if axis.out > 1 and length else np.zeros(axis.out)


def asymmetric(axis: Axis, index: np.ndarray) -> np.ndarray:
    return index / axis.scale


def tf_crop_and_resize(axis: Axis, index: np.ndarray) -> np.ndarray:
    last = axis.extent - 1
    if axis.out == 1:
        return np.array([(axis.begin + axis.end) / 2 * last])
    return axis.begin * last + index * (axis.end - axis.begin) * last / (axis.out - 1)


# Source: ONNX Resize-19, attribute coordinate_transformation_mode.
TRANSFORMS: dict[str, Callable[[Axis, np.ndarray], np.ndarray]] = {
    "half_pixel": half_pixel,
    "pytorch_half_pixel": pytorch_half_pixel,
    "half_pixel_symmetric": half_pixel_symmetric,
    "align_corners": align_corners,
    "asymmetric": asymmetric,
    "tf_crop_and_resize": tf_crop_and_resize,
}


def nearest(node: Node, positions: np.ndarray, extent: int) -> np.ndarray:
    default = "round_prefer_floor" if node.opset >= 11 and node.proto.op_type == "Resize" else "floor"
    rounding = ROUNDINGS.get(node.string("nearest_mode", default))
    if rounding is None:
        raise node.error(f"nearest_mode = '{node.string('nearest_mode', default)}' is not known")
    index: np.ndarray = np.clip(rounding(positions), 0, extent - 1).astype(np.int64)
    return index


def taps(node: Node, mode: str, axis: Axis, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices and weights [out, taps] of the neighbours of each position; beyond the ends, the last element.

    With ``antialias``, a smaller output takes in more neighbours.
    """
    kernel, reach = filter_of(node, mode)
    stretch = min(axis.scale, 1.0) if node.int("antialias", 0) else 1.0
    first = math.floor(-reach / stretch) + 1
    offsets = np.arange(first, 2 - first)
    low = np.floor(positions)[:, None]
    places = low + offsets
    weights = kernel(np.abs(places - positions[:, None]) * stretch)
    if node.int("exclude_outside", 0):
        weights = np.where((places < 0) | (places > axis.extent - 1), 0.0, weights)
    weights = weights / weights.sum(axis=1, keepdims=True)
    return np.clip(places, 0, axis.extent - 1).astype(np.int64), weights


def filter_of(node: Node, mode: str) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    """Weight by distance, and how far it reaches."""
    if mode in ("linear", "bilinear"):
        return linear, 1
    if mode == "cubic":
        sharpness = node.float("cubic_coeff_a", -0.75)
        return lambda distance: cubic(distance, sharpness), 2
    raise node.error(f"mode = '{mode}' is not known")


def linear(distance: np.ndarray) -> np.ndarray:
    weight: np.ndarray = np.maximum(1 - distance, 0.0)
    return weight
