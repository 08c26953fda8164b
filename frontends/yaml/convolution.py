"""Layers with windows that slide over the spatial axes, and those that resize them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from ircost.frontends.average_pool import average_pool
from ircost.frontends.interpolation import at_linear, at_nearest
from ircost.frontends.yaml.fields import Extent, Extents, Flag, Padding, Wholes, described
from ircost.frontends.yaml.layer import Layer, layer, need_rank, per_axis
from ircost.ir import ops
from ircost.ir.attributes import Pairs
from ircost.ir.errors import ShapeError
from ircost.ir.graph import Value
from ircost.ir.ops.normalization import per_channel

if TYPE_CHECKING:
    from ircost.frontends.yaml.body import Body

IMAGE = "[batch, channels, spatial axes ...]"
LONGEST_AXIS = 1 << 20  # of those whose places are worked out one by one


def pads_of(pad: str | tuple[int, ...], size: tuple[int, ...], dilations: tuple[int, ...]) -> Pairs:
    """[begin, end] of each axis; ``same`` keeps the extent at stride 1, an odd element goes to the end."""
    if isinstance(pad, str):
        reach = [(n - 1) * dilation for n, dilation in zip(size, dilations, strict=True)]
        return tuple((total // 2, total - total // 2) for total in reach)
    return tuple((width, width) for width in per_axis(pad, len(size), "pad"))


def check_extent(extent: int) -> None:
    """Raises:
    ShapeError: no image is that large.
    """
    if extent > LONGEST_AXIS:
        raise ShapeError(f"an axis of {extent}, at most {LONGEST_AXIS} expected")


@layer("conv")
class Conv(Layer):
    """Convolution with any number of spatial axes. Shapes: [n, c, ...] to [n, out, ...]."""

    out: Extent = described(..., "channels of the result")
    kernel: Extents = described((1,), "extent of the window, one for all axes or a list")
    stride: Extents = described((1,), "one for all axes or a list")
    pad: Padding = described("same", "elements on both sides, or 'same': keeps the extent at stride 1")
    dilation: Extents = described((1,), "distance between elements of the window")
    groups: Extent = described(1, "channels in so many groups; each sees its own")
    bias: Flag = described(True, "add a number per channel; false before a norm")

    def build(self, body: Body, *operands: Value) -> Value:
        return convolved(self, body, operands[0], self.out, self.groups)


def convolved(self: Conv | DepthwiseConv, body: Body, x: Value, out: int, groups: int) -> Value:
    need_rank(x, 3, IMAGE)
    rank, channels = x.type.rank - 2, x.type.shape[1]
    if channels % groups or out % groups:
        raise ShapeError(f"{channels} channels to {out} cannot be split into {groups} groups")
    size = per_axis(self.kernel, rank, "kernel")
    strides, dilations = per_axis(self.stride, rank, "stride"), per_axis(self.dilation, rank, "dilation")
    weight = body.weight((out, channels // groups, *size), x, "weight")
    y = ops.conv(x, weight, strides=strides, dilations=dilations, pads=pads_of(self.pad, size, dilations))
    return ops.add(y, per_channel(body.weight((out,), x, "bias"), x.type.rank)) if self.bias else y


@layer("depthwise_conv")
class DepthwiseConv(Layer):
    """Convolution of each channel by itself. Shapes: [n, c, ...] to [n, c * multiplier, ...]."""

    kernel: Extents = described((3,), "extent of the window, one for all axes or a list")
    stride: Extents = described((1,), "one for all axes or a list")
    pad: Padding = described("same", "elements on both sides, or 'same': keeps the extent at stride 1")
    dilation: Extents = described((1,), "distance between elements of the window")
    multiplier: Extent = described(1, "channels of the result for each of the input")
    bias: Flag = described(True, "add a number per channel; false before a norm")

    def build(self, body: Body, *operands: Value) -> Value:
        need_rank(operands[0], 3, IMAGE)
        channels = operands[0].type.shape[1]
        return convolved(self, body, operands[0], channels * self.multiplier, channels)


@layer("conv_transpose")
class ConvTranspose(Layer):
    """Transposed convolution. Shapes: [n, c, s] to [n, out, (s - 1) * stride + kernel - 2 * pad]."""

    out: Extent = described(..., "channels of the result")
    kernel: Extents = described((2,), "extent of the window, one for all axes or a list")
    stride: Extents = described((2,), "one for all axes or a list")
    pad: Wholes = described((0,), "elements cut off on both sides")
    bias: Flag = described(True, "add a number per channel")

    def build(self, body: Body, *operands: Value) -> Value:
        (x,) = operands
        need_rank(x, 3, IMAGE)
        rank, channels = x.type.rank - 2, x.type.shape[1]
        size, strides = per_axis(self.kernel, rank, "kernel"), per_axis(self.stride, rank, "stride")
        pads = tuple((n, n) for n in per_axis(self.pad, rank, "pad"))
        weight = body.weight((channels, self.out, *size), x, "weight")
        y = ops.conv_transpose(x, weight, strides=strides, dilations=(1,) * rank, pads=pads)
        return ops.add(y, per_channel(body.weight((self.out,), x, "bias"), x.type.rank)) if self.bias else y


class Pool(Layer):
    """A window that slides over the spatial axes."""

    kernel: Extents = described((2,), "extent of the window, one for all axes or a list")
    stride: Extents | None = described(None, "one for all axes or a list; the kernel's extent where left out")
    pad: Padding = described((0,), "elements on both sides, or 'same'")

    def window(self, x: Value) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], Pairs]:
        """Extents, strides, dilations and pads."""
        need_rank(x, 3, IMAGE)
        rank = x.type.rank - 2
        size = per_axis(self.kernel, rank, "kernel")
        ones = (1,) * rank
        return size, per_axis(self.stride or size, rank, "stride"), ones, pads_of(self.pad, size, ones)


@layer("max_pool")
class MaxPool(Pool):
    """Largest element of each window."""

    def build(self, body: Body, *operands: Value) -> Value:
        size, strides, dilations, pads = self.window(operands[0])
        return ops.max_pool(operands[0], window=size, strides=strides, dilations=dilations, pads=pads)


@layer("avg_pool")
class AvgPool(Pool):
    """Mean of each window; padding does not count."""

    def build(self, body: Body, *operands: Value) -> Value:
        size, strides, dilations, pads = self.window(operands[0])
        check_extent(max((*operands[0].type.shape[2:], *size)))
        return average_pool(operands[0], size, strides, dilations, pads, ((0, 0),) * len(size))


@layer("global_avg_pool")
class GlobalAvgPool(Layer):
    """Mean over all spatial axes. Shapes: [n, c, ...] to [n, c]."""

    keep_axes: Flag = described(False, "leave the spatial axes, 1 long")

    def build(self, body: Body, *operands: Value) -> Value:
        (x,) = operands
        need_rank(x, 3, IMAGE)
        return ops.reduce_mean(x, axes=tuple(range(2, x.type.rank)), keepdims=self.keep_axes)


@layer("upsample")
class Upsample(Layer):
    """Spatial axes a whole number of times as long."""

    scale: Extents = described((2,), "one for all axes or a list")
    mode: Literal["nearest", "linear"] = described("nearest", "repeat elements, or interpolate between their middles")

    def build(self, body: Body, *operands: Value) -> Value:
        (x,) = operands
        need_rank(x, 3, IMAGE)
        for axis, scale in enumerate(per_axis(self.scale, x.type.rank - 2, "scale"), start=2):
            check_extent(x.type.shape[axis] * scale)
            index = np.arange(x.type.shape[axis] * scale)
            if scale > 1 and self.mode == "nearest":
                x = at_nearest(x, axis, index // scale)
            elif scale > 1:
                x = at_linear(x, axis, (index + 0.5) / scale - 0.5)
        return x
