"""Images read at places between their elements."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from ircost.ir.composite import composite
from ircost.ir.errors import ShapeError
from ircost.ir.graph import Value
from ircost.ir.ops.constant import constant_of, iota
from ircost.ir.ops.elementwise import (
    add,
    as_format,
    cast,
    floor,
    greater,
    greater_equal,
    less,
    less_equal,
    logical_and,
    logical_not,
    maximum,
    minimum,
    mod,
    mul,
    round,
    sub,
    where,
)
from ircost.ir.ops.indexing import gather_nd
from ircost.ir.ops.movement import broadcast, slice, transpose
from ircost.ir.ops.normalization import reduce_mean, scalar_like
from ircost.ir.ops.reduction import reduce_max
from ircost.ir.ops.shape import concat, reshape
from ircost.ir.types import TensorType, i64

CUBIC = -0.75  # Keys' parameter, as PyTorch and ONNX set it


@composite
def sample(
    x: Value, points: Value, rows: Value, *, mode: str = "linear", outside: str = "zeros", is_aligned: bool = False
) -> Value:
    """Images at points between their elements: nearest, linear or cubic interpolation.

    Shapes: x [n, c, d1 .. dr], points [m, p, r] in elements along d1 .. dr, rows [m] (which image each set of points
    reads), out [m, c, p]. ``outside`` says what lies beyond: ``zeros``, the ``border``, or the image's
    ``reflection``, about the centres of the outermost elements (``is_aligned``) or about their outer edges.
    Source: ONNX GridSample-22; Keys, "Cubic Convolution Interpolation", IEEE TASSP 29(6), 1981.
    """
    taps = weighted_taps(x, points, rows, mode, outside, is_aligned)
    total = taps[0]
    for tap in taps[1:]:
        total = add(total, tap)
    return total


def weighted_taps(x: Value, points: Value, rows: Value, mode: str, outside: str, is_aligned: bool) -> list[Value]:
    """The elements around each point, each times its weight, [m, c, p] each: their sum is the interpolation.

    Raises:
        ShapeError: mode or outside are not known, or the shapes do not fit.
    """
    if mode not in ("nearest", "linear", "cubic") or outside not in ("zeros", "border", "reflection"):
        raise ShapeError(f"sample: mode is '{mode}', outside is '{outside}'")
    extents = x.type.shape[2:]
    if points.type.rank != 3 or points.type.shape[2] != len(extents) or rows.type.shape != points.type.shape[:1]:
        raise ShapeError(f"sample: points {points.type} and rows {rows.type} do not fit {x.type}")
    axes = [axis_taps(coordinate(points, i), n, mode, outside, is_aligned) for i, n in enumerate(extents)]
    flat = transpose(reshape(x, shape=(*x.type.shape[:2], math.prod(extents))), perm=(0, 2, 1))
    return [one_tap(flat, rows, extents, [place for place, _ in taps], [w for _, w in taps]) for taps in product(*axes)]


def coordinate(points: Value, axis: int) -> Value:
    """One coordinate of each point, [m, p]."""
    m, p, _ = points.type.shape
    return reshape(slice(points, starts=(0, 0, axis), size=(m, p, 1)), shape=(m, p))


def one_tap(
    flat: Value, rows: Value, extents: tuple[int, ...], places: list[Value], weights: list[Value | None]
) -> Value:
    """flat [n, e, c] at one place for each point, times the weights of all axes, [m, c, p]."""
    m, p = places[0].type.shape
    index = places[0]
    for place, extent in zip(places[1:], extents[1:], strict=True):
        index = add(mul(index, constant_of(np.array(extent))), place)
    row = broadcast(reshape(cast(rows, to=i64) if rows.type.dtype != i64 else rows, shape=(m, 1)), shape=(m, p))
    where_from = concat(reshape(row, shape=(m, p, 1)), reshape(index, shape=(m, p, 1)), axis=2)
    found = transpose(gather_nd(flat, where_from), perm=(0, 2, 1))
    for weight in weights:
        if weight is not None:
            found = mul(found, reshape(as_format(weight, found.type.dtype), shape=(m, 1, p)))
    return found


def axis_taps(place: Value, extent: int, mode: str, outside: str, is_aligned: bool) -> list[tuple[Value, Value | None]]:
    """Along one axis: index (i64) and weight of each element that takes part; None is a weight of 1."""
    if mode == "nearest":
        place = round(place)
    # Cubic weights are of where the point is; only its elements are brought to the border, each for itself (``tap``).
    place = brought_near(place, extent, "zeros" if (mode, outside) == ("cubic", "border") else outside, is_aligned)
    if mode == "nearest":
        return [tap(round(place), None, extent, outside, is_aligned)]
    first = floor(place)
    fraction = sub(place, first)
    weights = linear_weights(fraction) if mode == "linear" else cubic_weights(fraction)
    begin = 0 if mode == "linear" else -1
    return [
        tap(add(first, scalar_like(begin + i, first)), weight, extent, outside, is_aligned)
        for i, weight in enumerate(weights)
    ]


def brought_near(place: Value, extent: int, outside: str, is_aligned: bool) -> Value:
    """The point inside of the image; where all beyond is 0, at most a few elements outside of it."""
    if outside == "reflection":
        return reflected(place, extent, is_aligned)
    low, high = (0, extent - 1) if outside == "border" else (-3, extent + 2)
    return clamped(place, low, high)


def clamped(x: Value, low: float, high: float) -> Value:
    return minimum(maximum(x, scalar_like(low, x)), scalar_like(high, x))


def reflected(x: Value, extent: int, is_aligned: bool) -> Value:
    """Folded back at both ends until it lies between them."""
    low, length = (0.0, extent - 1.0) if is_aligned else (-0.5, float(extent))
    if length == 0:
        return mul(x, scalar_like(0, x))
    turns = mod(sub(x, scalar_like(low, x)), scalar_like(2 * length, x))
    forth = less_equal(turns, scalar_like(length, x))
    return add(where(forth, turns, sub(scalar_like(2 * length, x), turns)), scalar_like(low, x))


def tap(index: Value, weight: Value | None, extent: int, outside: str, is_aligned: bool) -> tuple[Value, Value | None]:
    """One element: an index that is inside, and a weight that is 0 where the element was not."""
    if outside == "zeros":
        zero, last = scalar_like(0, index), scalar_like(extent - 1, index)
        inside = logical_and(greater_equal(index, zero), less_equal(index, last))
        is_there = cast(inside, to=index.type.dtype)
        weight = is_there if weight is None else mul(weight, is_there)
    elif outside == "reflection":
        index = reflected(index, extent, is_aligned)
    return cast(clamped(index, 0, extent - 1), to=i64), weight


def linear_weights(t: Value) -> list[Value]:
    return [sub(scalar_like(1, t), t), t]


def cubic_weights(t: Value) -> list[Value]:
    """Of the elements at -1, 0, 1 and 2 for a point at ``t``."""
    one = scalar_like(1, t)
    return [far(add(t, one)), near(t), near(sub(one, t)), far(sub(scalar_like(2, t), t))]


def near(d: Value) -> Value:
    """((a + 2) d - (a + 3)) d d + 1, for a distance up to 1."""
    inner = sub(mul(scalar_like(CUBIC + 2, d), d), scalar_like(CUBIC + 3, d))
    return add(mul(mul(inner, d), d), scalar_like(1, d))


def far(d: Value) -> Value:
    """((a d - 5 a) d + 8 a) d - 4 a, for a distance from 1 to 2."""
    inner = sub(mul(scalar_like(CUBIC, d), d), scalar_like(5 * CUBIC, d))
    inner = add(mul(inner, d), scalar_like(8 * CUBIC, d))
    return sub(mul(inner, d), scalar_like(4 * CUBIC, d))


@composite
def roi_align(
    x: Value,
    points: Value,
    rows: Value,
    *,
    height: int,
    width: int,
    samples_y: int,
    samples_x: int,
    is_max: bool = False,
) -> Value:
    """Mean, or maximum, over some points in each bin of regions of images, read by linear interpolation.

    Shapes: x [n, c, h, w], points [m, height * samples_y * width * samples_x, 2] in elements, rows [m], out
    [m, c, height, width]. Points more than an element outside count as 0. The maximum is that of weighted neighbours,
    not of interpolated values. Source: ONNX RoiAlign-22; He et al., "Mask R-CNN", 2017.
    """
    m, c = rows.type.shape[0], x.type.shape[1]
    taps = [
        mul(tap, inside(points, x.type.shape[2:])) for tap in weighted_taps(x, points, rows, "linear", "border", True)
    ]
    total = taps[0]
    for other in taps[1:]:
        total = maximum(total, other) if is_max else add(total, other)
    bins = reshape(total, shape=(m, c, height, samples_y, width, samples_x))
    return reduce_max(bins, axes=(3, 5)) if is_max else reduce_mean(bins, axes=(3, 5))


def inside(points: Value, extents: tuple[int, ...]) -> Value:
    """1 where a point is at most one element outside of the image, else 0, [m, 1, p]."""
    m, p, _ = points.type.shape
    near_enough = None
    for axis, extent in enumerate(extents):
        place = coordinate(points, axis)
        beyond = less(place, scalar_like(-1, place)), greater(place, scalar_like(extent, place))
        for is_outside in beyond:
            kept = logical_not(is_outside)
            near_enough = kept if near_enough is None else logical_and(near_enough, kept)
    assert near_enough is not None, "an image has axes"
    return reshape(cast(near_enough, to=points.type.dtype), shape=(m, 1, p))


def every_row(count: int) -> Value:
    """0, 1, 2 ...: each set of points reads its own image."""
    return iota.create((), {"axis": 0}, result_types=(TensorType((count,), i64),)).result


def spread(numbers: np.ndarray, like: Value) -> Value:
    """Numbers in the format of ``like``."""
    return constant_of(np.asarray(numbers), like.type.dtype)
