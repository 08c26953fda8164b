"""Convolutions as products: implicit GEMM, and Winograd's shortcut where libraries take it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ircost.cost_models.gpu import gemm as products
from ircost.cost_models.gpu.machine import GpuMachine
from ircost.cost_models.gpu.terms import Column, Constants, Parameter, Terms, overlapped

# F(4x4, 3x3): 36 products for 16 results, where 144 stand. Source: Lavin, Gray, "Fast Algorithms for Convolutional
# Neural Networks", CVPR 2016.
WINOGRAD_TILE, WINOGRAD_POINTS = 4, 36

PARAMETERS = {
    **products.PARAMETERS,
    "winograd": Parameter(0.6, 0.05, 1.5, "share of a product's speed that Winograd's transformed products reach"),
    "transforms": Parameter(1.0, 0.1, 10.0, "how often Winograd's transformed tensors cross main memory"),
}


@dataclass(frozen=True, slots=True)
class ConvolutionWork:
    """Every field is [rows], or one number for all.

    Args:
        groups: of channels; a depthwise convolution has as many as channels.
        in_channels, out_channels: of all groups together.
        out_height, out_width: of the result; of gradients those of the forward pass.
        kernel_height, kernel_width: of the window.
        direction: 0 forward, 1 gradient of the data, 2 gradient of the weights.
        is_winograd: 1 where its shortcut may be taken: 3 x 3 without stride or dilation, floats.
        element_bytes: of operands and results.
        flops_per_s: peak of the units that run it.
    """

    batch: Column
    groups: Column
    in_channels: Column
    in_height: Column
    in_width: Column
    out_channels: Column
    out_height: Column
    out_width: Column
    kernel_height: Column
    kernel_width: Column
    direction: Column
    is_winograd: Column
    element_bytes: Column
    flops_per_s: Column


def as_products(work: ConvolutionWork) -> products.GemmWork:
    """The product that an implicit GEMM runs: pixels by output channels, over window and input channels.

    The gradient of the data has the input's pixels and channels as its result, that of the weights sums over pixels.
    """
    window = work.kernel_height * work.kernel_width
    pixels = work.batch * work.out_height * work.out_width
    inputs, outputs = work.in_channels / work.groups, work.out_channels / work.groups
    forward, data = work.direction == 0, work.direction == 1
    m = np.where(forward, pixels, np.where(data, work.batch * work.in_height * work.in_width, outputs))
    n = np.where(forward, outputs, np.where(data, inputs, inputs * window))
    # Each pixel of the input meets as many windows as there are outputs for it.
    met = pixels * window / np.maximum(work.batch * work.in_height * work.in_width, 1)
    k = np.where(forward, inputs * window, np.where(data, outputs * met, pixels))
    e = work.element_bytes
    return products.GemmWork(work.groups, m, n, np.maximum(k, 1), e, e, e, work.flops_per_s)


def convolution(work: ConvolutionWork, machine: GpuMachine, constants: Constants) -> Terms:
    """The faster of an implicit GEMM, whose window is read from L2 again and again, and Winograd.

    Winograd's tiles of 6 x 6 become 36 products of tiles by channels; transformed tensors go through memory.
    """
    gemm = as_products(work)
    direct = products.gemm(gemm, machine, constants)
    # The implicit matrix is not in memory: a window's elements are the input's, over and over.
    tensors = work.batch * (
        work.in_channels * work.in_height * work.in_width + work.out_channels * work.out_height * work.out_width
    )
    once = (tensors + work.in_channels * work.out_channels * work.kernel_height * work.kernel_width / work.groups) * (
        work.element_bytes
    )
    main_s = np.minimum(direct.busy["main"], once / (machine.main_bytes_per_s * constants["main_memory"]))
    busy = {**direct.busy, "main": main_s}
    latency_s = overlapped(busy, constants["sharpness"]) + sum(direct.fixed.values())

    tiles = work.batch * np.ceil(work.out_height / WINOGRAD_TILE) * np.ceil(work.out_width / WINOGRAD_TILE)
    rows = len(latency_s)
    points = np.full(rows, float(WINOGRAD_POINTS))
    is_weights = np.broadcast_to(work.direction == 2, (rows,))
    inner, outer = np.where(work.direction == 1, 1, 0), work.out_channels
    del inner
    transformed = products.GemmWork(
        points,
        np.where(is_weights, work.out_channels, tiles),
        np.where(is_weights, work.in_channels, outer),
        np.where(is_weights, tiles, work.in_channels),
        *(work.element_bytes,) * 3,
        work.flops_per_s * constants["winograd"],
    )
    short = products.gemm(transformed, machine, constants)
    moved = tiles * WINOGRAD_POINTS * (work.in_channels + work.out_channels) * work.element_bytes * 2
    transforms_s = moved * constants["transforms"] / (machine.main_bytes_per_s * constants["main_memory"])
    short_s = short.latency_s + transforms_s
    better = (np.broadcast_to(work.is_winograd, (rows,)) > 0) & (short_s < latency_s)

    def either(a: Column, b: Column) -> Column:
        return np.where(better, b, a)

    return Terms(
        either(latency_s, short_s),
        {name: either(busy[name], short.busy[name]) for name in busy},
        {
            **{name: either(direct.fixed[name], short.fixed[name]) for name in direct.fixed},
            "transforms": np.where(better, transforms_s, 0.0),
        },
        either(direct.choice, short.choice + len(products.CHOICES)).astype(int),
        (*products.CHOICES, *(f"Winograd {choice}" for choice in products.CHOICES)),
    )
