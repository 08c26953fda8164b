"""What a convolution does, and the product that an implicit GEMM makes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ircost.cost_models.gpu.demand import Amount, Column, Demand, beside
from ircost.cost_models.gpu.gemm import GemmWork
from ircost.cost_models.gpu.machine import GpuMachine

# What matrix units take of a pixel at once: channels of fewer bytes are filled up with zeros. Source: NVIDIA, "Deep
# Learning Performance Guide: Convolutional Layers", section "Channels in and out".
ALIGNED_BYTES = 16.0
FEW_CHANNELS = 16.0  # fewer fill no tile's columns


@dataclass(frozen=True, slots=True)
class ConvolutionWork:
    """Every field is [rows], or one number for all.

    Args:
        groups: of channels; a depthwise convolution has as many as channels.
        in_channels, out_channels: of all groups together.
        out_height, out_width: of the result; of gradients those of the forward pass.
        kernel_height, kernel_width: of the window.
        direction: 0 forward, 1 gradient of the data, 2 gradient of the weights.
        is_winograd: 1 where its shortcut may be taken: see ``winograd.may_take``.
        element_bytes: of operands and results.
        flops_per_s: peak of the units that run it.
        sets: how many operands take turns between two uses of one; without end where each is used once.
        weight_sets: the same of the weights, where they differ; else 0.
        extra_bytes, extra_flops, extra_special: of what is fused behind it, see ``GemmWork``.
        least_tile: rows and columns of the smallest tile that there is a kernel for.
        most_split: how many blocks may share a reduction, but for the gradient of the weights, which sums over most.
        sustained_flops_per_s: what the board's power leaves of it while all processors compute.
        aligned_channels: those of a group are filled up to a multiple of it.
    """

    batch: Amount
    groups: Amount
    in_channels: Amount
    in_height: Amount
    in_width: Amount
    out_channels: Amount
    out_height: Amount
    out_width: Amount
    kernel_height: Amount
    kernel_width: Amount
    direction: Amount
    is_winograd: Amount
    element_bytes: Amount
    flops_per_s: Amount
    sets: Amount
    weight_sets: Amount = 0.0
    extra_bytes: Amount = 0.0
    extra_flops: Amount = 0.0
    extra_special: Amount = 0.0
    least_tile: Amount = 16.0
    most_split: Amount = 1.0
    sustained_flops_per_s: Amount = np.inf
    aligned_channels: Amount = 1.0

    @property
    def sets_of_weights(self) -> Column:
        return np.where(np.asarray(self.weight_sets) > 0, self.weight_sets, self.sets)

    @property
    def fused(self) -> tuple[Column | float, Column | float, Column | float]:
        return self.extra_bytes, self.extra_flops, self.extra_special

    @property
    def window(self) -> Amount:
        """Elements of the window, of one channel."""
        return self.kernel_height * self.kernel_width

    @property
    def out_pixels(self) -> Amount:
        return self.batch * self.out_height * self.out_width

    @property
    def in_pixels(self) -> Amount:
        return self.batch * self.in_height * self.in_width

    @property
    def split_limit(self) -> Column:
        """How many blocks may share a reduction."""
        return np.where(np.asarray(self.direction) == 2, np.inf, self.most_split)

    @property
    def stride(self) -> Column:
        """Of both axes together, as their extents tell."""
        found: Column = strides_of(self.in_height, self.out_height) * strides_of(self.in_width, self.out_width)
        return found

    @property
    def is_scattered(self) -> Column:
        """Gradients of the data that a product for each window, added up afterwards, may be faster for."""
        has_few = np.asarray(self.in_channels) / self.groups < FEW_CHANNELS
        return np.asarray((np.asarray(self.direction) == 1) & ((self.stride > 1) | has_few))

    def product(self, m: Amount, n: Amount, k: Amount) -> GemmWork:
        """A product of each group, on elements as wide as the convolution's."""
        e = self.element_bytes
        return GemmWork(
            *(self.groups, m, n, np.maximum(k, 1), e, e, e, 0.0, 0.0),
            *(self.sets, self.sets_of_weights, self.flops_per_s, *self.fused),
            least_tile=self.least_tile,
            most_split=self.split_limit,
            sustained_flops_per_s=self.sustained_flops_per_s,
        )


def as_products(work: ConvolutionWork) -> GemmWork:
    """The product that an implicit GEMM runs: pixels by output channels, over window and input channels.

    The gradient of the data has the input's pixels and channels as its result, that of the weights sums over pixels.
    """
    inputs, outputs = aligned(work, work.in_channels), aligned(work, work.out_channels)
    forward, data = np.asarray(work.direction) == 0, np.asarray(work.direction) == 1
    return work.product(
        np.where(forward, work.out_pixels, np.where(data, work.in_pixels, outputs)),
        np.where(forward, outputs, np.where(data, inputs, inputs * work.window)),
        np.where(forward, inputs * work.window, np.where(data, outputs * windows_met(work), work.out_pixels)),
    )


def as_scattered(work: ConvolutionWork) -> GemmWork:
    """The gradient of the data as a product for each window, whose results are then added where windows meet."""
    inputs, outputs = aligned(work, work.in_channels), aligned(work, work.out_channels)
    return work.product(work.out_pixels, inputs * work.window, outputs)


def aligned(work: ConvolutionWork, channels: Amount) -> Column:
    """Channels of a group as matrix units see them."""
    found: Column = np.ceil(channels / work.groups / work.aligned_channels) * work.aligned_channels
    return found


def alignment(unit: str, element_bytes: Amount) -> Amount:
    """Channels that matrix units take at once; lanes take any number.

    >>> float(alignment("matrix", 2.0)), float(alignment("vector", 2.0))
    (8.0, 1.0)
    """
    return np.maximum(ALIGNED_BYTES / np.asarray(element_bytes), 1.0) if unit == "matrix" else 1.0


def windows_met(work: ConvolutionWork) -> Column:
    """Windows that a pixel of the input lies in, at most: with a stride it lies in some, and others are masked."""
    down = np.ceil(work.kernel_height / strides_of(work.in_height, work.out_height))
    found: Column = down * np.ceil(work.kernel_width / strides_of(work.in_width, work.out_width))
    return found


def strides_of(size: Amount, made: Amount) -> Column:
    """From the extents of an axis: 2 of 28 that become 14, or of 5 that become 3."""
    found: Column = np.maximum(np.round(size / np.maximum(np.asarray(made), 1)), 1)
    return found


def bytes_of(work: ConvolutionWork) -> tuple[Amount, Amount]:
    """Of images and results, and of weights."""
    tensors = work.in_pixels * work.in_channels + work.out_pixels * work.out_channels
    weights = work.in_channels * work.out_channels * work.window / work.groups
    return tensors * work.element_bytes, weights * work.element_bytes


def read_once(work: ConvolutionWork, products: Demand, machine: GpuMachine) -> Demand:
    """Products whose operands are not in memory as they are: each tensor crosses it once, whatever the tiles."""
    tensors, weights, extra, sets, weight_sets = beside(
        *bytes_of(work), work.extra_bytes, work.sets, work.sets_of_weights
    )
    once = tensors + weights + extra
    share = weights / np.maximum(once, 1)
    footprints = machine.share_of_cache(sets * once), machine.share_of_cache(weight_sets * once)
    main_s = products.busy["main"]
    main_s = np.minimum(main_s, np.broadcast_to(once / machine.main_bytes_per_s, main_s.shape))
    return replace(
        products,
        busy={**products.busy, "main": main_s},
        reused=((main_s * (1 - share), footprints[0]), (main_s * share, footprints[1])),
    )
