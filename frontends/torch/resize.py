"""Upsampling, at places that are known on each axis; sampling at places that data decide."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ircost.frontends.interpolation import at_cubic, at_linear, at_nearest
from ircost.frontends.torch.call import Call, lowering
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.ops.sampling import every_row, spread

Sizes = Sequence[int] | None
Scales = Sequence[float] | None


def scales_of(call: Call, x: Value, given: Sequence[float | None] | None) -> list[float]:
    """Output per input of each spatial axis: as the user wrote it, else by extents."""
    extents = zip(x.type.shape[2:], call.type.shape[2:], strict=True)
    written = given or [None] * (x.type.rank - 2)
    return [scale if scale else out / extent for scale, (extent, out) in zip(written, extents, strict=True)]


def resized(
    call: Call,
    x: Value,
    scales: Sequence[float],
    place: Callable[[int, int, int, float], np.ndarray],
    at: Callable[..., Value],
) -> Value:
    for axis, scale in enumerate(scales, start=2):
        out, extent = call.type.shape[axis], x.type.shape[axis]
        if out != extent:
            x = at(x, axis, place(axis, extent, out, scale))
    return x


def middle(axis: int, extent: int, out: int, scale: float) -> np.ndarray:
    return np.asarray((np.arange(out) + 0.5) / scale - 0.5)


def corners(axis: int, extent: int, out: int, scale: float) -> np.ndarray:
    return np.arange(out) * ((extent - 1) / (out - 1) if out > 1 else 0.0)


@lowering("upsample_nearest1d.vec", "upsample_nearest2d.vec", "upsample_nearest3d.vec")
def nearest_vec(call: Call, x: Value, output_size: Sizes, scale_factors: Scales) -> Value:
    return nearest(call, x, output_size, *(scale_factors or ()))  # type: ignore[return-value]


@lowering("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d")
def nearest(call: Call, x: Value, output_size: Sizes, *scales: float | None) -> Value:
    return resized(call, x, scales_of(call, x, scales), lambda a, e, out, s: np.arange(out) / s + 1e-9, at_nearest)


@lowering("_upsample_nearest_exact1d.vec", "_upsample_nearest_exact2d.vec", "_upsample_nearest_exact3d.vec")
def nearest_exact_vec(call: Call, x: Value, output_size: Sizes, scale_factors: Scales) -> Value:
    return nearest_exact(call, x, output_size, *(scale_factors or ()))  # type: ignore[return-value]


@lowering("_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d")
def nearest_exact(call: Call, x: Value, output_size: Sizes, *scales: float | None) -> Value:
    return resized(call, x, scales_of(call, x, scales), lambda a, e, out, s: (np.arange(out) + 0.5) / s, at_nearest)


@lowering("upsample_linear1d.vec", "upsample_bilinear2d.vec", "upsample_trilinear3d.vec")
def linear_vec(call: Call, x: Value, output_size: Sizes, align_corners: bool, scale_factors: Scales) -> Value:
    return linear(call, x, output_size, align_corners, *(scale_factors or ()))  # type: ignore[return-value]


@lowering("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d")
def linear(call: Call, x: Value, output_size: Sizes, align_corners: bool, *scales: float | None) -> Value:
    """Places before the first element are that element."""

    def place(axis: int, extent: int, out: int, scale: float) -> np.ndarray:
        return corners(axis, extent, out, scale) if align_corners else np.maximum(middle(axis, extent, out, scale), 0)

    return resized(call, x, scales_of(call, x, scales), place, at_linear)


@lowering("upsample_bicubic2d.vec")
def cubic_vec(call: Call, x: Value, output_size: Sizes, align_corners: bool, scale_factors: Scales) -> Value:
    return cubic(call, x, output_size, align_corners, *(scale_factors or ()))  # type: ignore[return-value]


@lowering("upsample_bicubic2d")
def cubic(call: Call, x: Value, output_size: Sizes, align_corners: bool, *scales: float | None) -> Value:
    return resized(call, x, scales_of(call, x, scales), corners if align_corners else middle, at_cubic)


MODES, OUTSIDE = ("linear", "nearest", "cubic"), ("zeros", "border", "reflection")


@lowering("grid_sampler_2d", "grid_sampler_3d", "grid_sampler")
def grid_sampler(call: Call, x: Value, grid: Value, mode: int, padding: int, align_corners: bool) -> Value:
    """x at points whose coordinates go from -1 to 1, the last axis first."""
    n, *_, rank = grid.type.shape
    points = math.prod(grid.type.shape[1:-1])
    flat = ops.reshape(grid, shape=(n, points, rank))
    backwards = ops.slice(flat, starts=(0, 0, rank - 1), size=(n, points, rank), steps=(1, 1, -1))
    extents = np.array(x.type.shape[2:], np.float64)
    factor, offset = ((extents - 1) / 2, (extents - 1) / 2) if align_corners else (extents / 2, (extents - 1) / 2)
    places = ops.add(ops.mul(backwards, spread(factor, grid)), spread(offset, grid))
    result = ops.sample(x, places, every_row(n), mode=MODES[mode], outside=OUTSIDE[padding], is_aligned=align_corners)
    return call.reshaped(result)
