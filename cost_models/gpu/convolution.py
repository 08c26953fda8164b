"""Convolutions as products: implicit GEMM, and Winograd's shortcut where libraries take it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ircost.cost_models.gpu.demand import Amount, Asked, Column, Demand, Parameter, beside, either
from ircost.cost_models.gpu.gemm import PARAMETERS as GEMM_PARAMETERS
from ircost.cost_models.gpu.gemm import GemmWork, gemm_demand
from ircost.cost_models.gpu.labels import OF_KERNEL
from ircost.cost_models.gpu.machine import GpuMachine
from ircost.cost_models.gpu.screening import Alternatives, work_at

# F(4x4, 3x3): 36 products for 16 results, where 144 stand. Source: Lavin, Gray, "Fast Algorithms for Convolutional
# Neural Networks", CVPR 2016.
WINOGRAD_TILE, WINOGRAD_POINTS = 4, 36

PARAMETERS = {
    **GEMM_PARAMETERS,
    "winograd": Parameter(
        "factor", 1.5, "how much slower Winograd's products run than those of an implicit GEMM", OF_KERNEL
    ),
    "transforms": Parameter("factor", 1.0, "how often Winograd's transformed tensors cross main memory", OF_KERNEL),
    "layout": Parameter("factor", 0.3, "how often operands and results are streamed to change their layout", OF_KERNEL),
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
        sets: how many operands take turns between two uses of one; without end where each is used once.
        weight_sets: the same of the weights, where they differ; else 0.
        extra_bytes, extra_flops, extra_special: of what is fused behind it, see ``GemmWork``.
        least_tile: rows and columns of the smallest tile that there is a kernel for.
        most_split: how many blocks may share a reduction, but for the gradient of the weights, which sums over most.
        sustained_flops_per_s: what the board's power leaves of it while all processors compute.
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

    @property
    def sets_of_weights(self) -> Column:
        return np.where(np.asarray(self.weight_sets) > 0, self.weight_sets, self.sets)

    @property
    def fused(self) -> tuple[Column | float, Column | float, Column | float]:
        return self.extra_bytes, self.extra_flops, self.extra_special


def as_products(work: ConvolutionWork) -> GemmWork:
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
    return GemmWork(
        *(work.groups, m, n, np.maximum(k, 1), e, e, e, 0.0, 0.0),
        *(work.sets, work.sets_of_weights, work.flops_per_s, *work.fused),
        least_tile=work.least_tile,
        most_split=np.where(work.direction == 2, np.inf, work.most_split),
        sustained_flops_per_s=work.sustained_flops_per_s,
    )


def convolution_demand(work: ConvolutionWork, machine: GpuMachine) -> Demand:
    """An implicit GEMM, whose window is read from L2 again and again, or Winograd, for each tile and split.

    Winograd's tiles of 6 x 6 become 36 products of tiles by channels; transformed tensors go through memory.
    """
    plain = implicit_demand(work, machine)
    return either(plain, winograd_demand(work, machine)) if np.any(work.is_winograd) else plain


def asked_convolution(work: ConvolutionWork, machine: GpuMachine) -> Asked:
    """The same where only the fastest candidate counts: Winograd's are told of those rows only that may take it."""
    plain = implicit_demand(work, machine)
    rows = np.flatnonzero(np.broadcast_to(np.asarray(work.is_winograd) > 0, (plain.rows,)))
    return Alternatives(plain, winograd_demand(work_at(work, rows), machine), rows) if len(rows) else plain


def implicit_demand(work: ConvolutionWork, machine: GpuMachine) -> Demand:
    """An implicit GEMM; its matrix is not in memory: a window's elements are the input's, over and over."""
    batch, channels, high, wide, filters, element, window, groups, sets = beside(
        *(work.batch, work.in_channels, work.in_height, work.in_width, work.out_channels, work.element_bytes),
        *(work.kernel_height * work.kernel_width, work.groups, work.sets),
    )
    out_high, out_wide, weight_sets, extra = beside(
        work.out_height, work.out_width, work.sets_of_weights, work.extra_bytes
    )
    rate = machine.main_bytes_per_s
    tensors = batch * (channels * high * wide + filters * out_high * out_wide) * element
    weights = channels * filters * window / groups * element
    once = tensors + weights + extra
    share = weights / np.maximum(once, 1)
    footprints = machine.share_of_cache(sets * once), machine.share_of_cache(weight_sets * once)

    direct = gemm_demand(as_products(work), machine)
    direct_s = np.minimum(direct.busy["main"], np.broadcast_to(once / rate, direct.busy["main"].shape))
    none = np.zeros((len(direct_s), 1))
    return replace(
        direct,
        busy={**direct.busy, "main": direct_s},
        fixed={**direct.fixed, "winograd": none, "transforms": none, "layout": tensors / rate},
        reused=((direct_s * (1 - share), footprints[0]), (direct_s * share, footprints[1])),
    )


def winograd_demand(work: ConvolutionWork, machine: GpuMachine) -> Demand:
    """Products of transformed tiles; where the shortcut may not be taken it takes forever."""
    tiles = work.batch * np.ceil(work.out_height / WINOGRAD_TILE) * np.ceil(work.out_width / WINOGRAD_TILE)
    is_weights = work.direction == 2
    points = np.full(len(tiles), float(WINOGRAD_POINTS))
    transformed = GemmWork(
        points,
        np.where(is_weights, work.out_channels, tiles),
        np.where(is_weights, work.in_channels, work.out_channels),
        np.where(is_weights, tiles, work.in_channels),
        *(work.element_bytes,) * 3,
        *(0.0, 0.0, work.sets, work.sets_of_weights),
        *(work.flops_per_s, *work.fused),
        least_tile=work.least_tile,
        sustained_flops_per_s=work.sustained_flops_per_s,
    )
    products = gemm_demand(transformed, machine)
    channels, filters, element, is_winograd = beside(
        work.in_channels, work.out_channels, work.element_bytes, work.is_winograd
    )
    moved = beside(tiles)[0] * WINOGRAD_POINTS * (channels + filters) * element * 2
    none = np.zeros((products.rows, 1))
    return replace(
        products,
        busy={**products.busy, "matrix": none},
        fixed={
            **products.fixed,
            "launch": 3 * products.fixed["launch"] + np.where(is_winograd > 0, 0.0, 1e9),
            "winograd": np.maximum(products.busy["matrix"], products.least["matrix"]),
            "transforms": moved / machine.main_bytes_per_s,
            "layout": none,
        },
        choices=tuple(f"Winograd {choice}" for choice in products.choices),
        least={"matrix": none},
    )
