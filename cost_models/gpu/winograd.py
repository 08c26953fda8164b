"""Winograd's shortcut: fewer products than a convolution declares, between transforms of its tensors.

Sources: Lavin, Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016; cuDNN 7.6 Developer Guide,
CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD (3 x 3, in one kernel) and _WINOGRAD_NONFUSED (3 x 3 and 5 x 5, through memory).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ircost.cost_models.gpu.convolution_work import ConvolutionWork, read_once
from ircost.cost_models.gpu.demand import Amount, Column, Demand, beside
from ircost.cost_models.gpu.gemm import GemmWork, gemm_demand
from ircost.cost_models.gpu.machine import GpuMachine

# Window -> rows of results of a tile, transformed through memory: F(4x4, 3x3) and F(5x5, 5x5).
TILES = {3: 4, 5: 5}
FUSED_TILE, FUSED_POINTS = 2, 16  # F(2x2, 3x3)


def may_take(unit: str, kind: str) -> bool:
    """Whether kernels of a machine take the shortcut: on the lanes of GPUs.

    Matrix units are fast enough without: DeepBench's V100 and T4 took it for none of 48 layers of 3 x 3 in 16 bits. Nor
    did MKL for any on Xeon Phi.
    """
    return unit == "vector" and kind == "gpu"


def tile_of(kernel: Amount) -> Column:
    """Rows of results of a tile."""
    return np.where(np.asarray(kernel) == 5, float(TILES[5]), float(TILES[3]))


def saved(kernel: Amount) -> Column:
    """How many times fewer products there are, of square windows.

    >>> float(saved(3)), round(float(saved(5)), 2)
    (4.0, 7.72)
    """
    found: Column = np.square(tile_of(kernel) * kernel / (tile_of(kernel) + kernel - 1))
    return found


def winograd_demand(work: ConvolutionWork, machine: GpuMachine) -> Demand:
    """Products of transformed tiles by channels, one for each point; images, results and weights are transformed."""
    tile = tile_of(work.kernel_height)
    points = np.square(tile + work.kernel_height - 1)
    tiles = work.batch * np.ceil(work.out_height / tile) * np.ceil(work.out_width / tile)
    is_weights = np.asarray(work.direction) == 2
    transformed = replace(
        work.product(
            np.where(is_weights, work.out_channels, tiles),
            np.where(is_weights, work.in_channels, work.out_channels),
            np.where(is_weights, tiles, work.in_channels),
        ),
        batch=np.broadcast_to(points, tiles.shape),
    )
    products = gemm_demand(transformed, machine)
    channels, filters, element, points, tiles = beside(
        work.in_channels, work.out_channels, work.element_bytes, points, tiles
    )
    moved = points * (tiles * (channels + filters) + channels * filters) * element * 2
    return _shortcut(products, 3, moved / machine.main_bytes_per_s, "Winograd")


def may_fuse(work: ConvolutionWork) -> Column:
    """Where a kernel does all at once: windows of 3 x 3, but not the gradient of the weights."""
    is_three = (np.asarray(work.kernel_height) == 3) & (np.asarray(work.direction) < 2)
    return np.asarray(is_three & (np.asarray(work.is_winograd) > 0))


def fused_demand(work: ConvolutionWork, machine: GpuMachine) -> Demand:
    """All in one kernel, but for the weights' transform.

    A block's 16 products of 32 tiles and 32 filters are as much work as one of 128 x 128, on four times the operands
    of each row and column. What it reads and writes in memory once is what the convolution does.
    """
    tiles = work.batch * np.ceil(work.out_height / FUSED_TILE) * np.ceil(work.out_width / FUSED_TILE)
    wide, narrow = work.element_bytes * 4, work.element_bytes / 4
    products = gemm_demand(
        GemmWork(
            *(np.ones(len(tiles)), tiles * 4, np.asarray(work.out_channels) * 4, work.in_channels, wide, wide, narrow),
            *(0.0, 0.0, work.sets, work.sets_of_weights, work.flops_per_s, *work.fused),
            least_tile=work.least_tile,
            most_split=1.0,
            sustained_flops_per_s=work.sustained_flops_per_s,
        ),
        machine,
    )
    channels, filters, element = beside(work.in_channels, work.out_channels, work.element_bytes)
    weights_s = FUSED_POINTS * channels * filters * element * 2 / machine.main_bytes_per_s
    return _shortcut(read_once(work, products, machine), 2, weights_s, "fused Winograd")


def _shortcut(products: Demand, launches: int, transforms: Column, name: str) -> Demand:
    """Transforms' arithmetic grows with the products', and nothing hides it."""
    return replace(
        products,
        fixed={
            **products.fixed,
            "launch": launches * products.fixed["launch"],
            "winograd": np.maximum(products.busy["matrix"], products.least["matrix"]),
            "transforms": transforms,
            "layout": np.zeros((products.rows, 1)),
        },
        choices=tuple(f"{name} {choice}" for choice in products.choices),
    )
