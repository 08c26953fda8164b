"""Convolutions as products: implicit GEMM, Winograd's shortcut where libraries take it, gradients added up windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ircost.cost_models.gpu.convolution_work import ConvolutionWork, as_products, as_scattered, bytes_of, read_once
from ircost.cost_models.gpu.demand import ISSUE, NEVER, Asked, Column, Demand, Parameter, beside, either
from ircost.cost_models.gpu.gemm import PARAMETERS as GEMM_PARAMETERS
from ircost.cost_models.gpu.gemm import gemm_demand
from ircost.cost_models.gpu.labels import OF_KERNEL
from ircost.cost_models.gpu.machine import GpuMachine
from ircost.cost_models.gpu.screening import Alternatives, work_at
from ircost.cost_models.gpu.winograd import fused_demand, may_fuse, winograd_demand

PARAMETERS = {
    **GEMM_PARAMETERS,
    # PyTorch's convolutions were timed with up to 800 us beside their kernels: docs/cost-models.md, "Convolutions".
    ISSUE: replace(GEMM_PARAMETERS[ISSUE], default=2e-4),
    "winograd": Parameter(
        "factor", 0.3, "how much of the time of its products at peak Winograd's arithmetic adds", OF_KERNEL
    ),
    "transforms": Parameter(
        "factor", 1.0, "how often transformed tensors, or results of windows, cross main memory", OF_KERNEL
    ),
    "layout": Parameter("factor", 0.3, "how often operands and results are streamed to change their layout", OF_KERNEL),
}


def convolution_demand(work: ConvolutionWork, machine: GpuMachine) -> Demand:
    """An implicit GEMM, whose window is read from L2 again and again, or another way, for each tile and split."""
    found = implicit_demand(work, machine)
    for is_open, demand in OTHER_WAYS:
        rows = np.broadcast_to(is_open(work), (found.rows,))
        if np.any(rows):
            found = either(found, _barred(demand(work, machine), ~rows))
    return found


def asked_convolution(work: ConvolutionWork, machine: GpuMachine) -> Asked:
    """The same where only the fastest candidate counts: other ways are told of those rows only that may take them."""
    plain = implicit_demand(work, machine)
    found: Asked = plain
    for is_open, demand in OTHER_WAYS:
        rows = np.flatnonzero(np.broadcast_to(is_open(work), (plain.rows,)))
        if len(rows):
            found = Alternatives(found, demand(work_at(work, rows), machine), rows)
    return found


def implicit_demand(work: ConvolutionWork, machine: GpuMachine) -> Demand:
    """An implicit GEMM; its matrix is not in memory: a window's elements are the input's, over and over."""
    direct = read_once(work, gemm_demand(as_products(work), machine), machine)
    tensors_s = beside(bytes_of(work)[0])[0] / machine.main_bytes_per_s
    none = np.zeros((direct.rows, 1))
    return replace(direct, fixed={**direct.fixed, "winograd": none, "transforms": none, "layout": tensors_s})


def scattered_demand(work: ConvolutionWork, machine: GpuMachine) -> Demand:
    """The gradient of the data without what strides mask: one product, then each window's results are added.

    Source: Chetlur et al., "cuDNN: Efficient Primitives for Deep Learning", 2014, section 3.1 (lowering, backwards).
    """
    products = gemm_demand(as_scattered(work), machine)
    results, image = work.out_pixels * work.in_channels * work.window, work.in_pixels * work.in_channels
    added = (results + image) * work.element_bytes * 2 / machine.main_bytes_per_s
    none = np.zeros((products.rows, 1))
    return replace(
        products,
        fixed={
            **products.fixed,
            "launch": 2 * products.fixed["launch"],
            "winograd": none,
            "transforms": beside(added)[0],
            "layout": none,
        },
        choices=tuple(f"windows added {choice}" for choice in products.choices),
    )


# Which rows may take it, and what that asks for.
OTHER_WAYS: tuple[
    tuple[Callable[[ConvolutionWork], Column], Callable[[ConvolutionWork, GpuMachine], Demand]],
    ...,
] = (
    (lambda work: np.asarray(work.is_winograd) > 0, winograd_demand),
    (may_fuse, fused_demand),
    (lambda work: work.is_scattered, scattered_demand),
)


def _barred(demand: Demand, rows: Column) -> Demand:
    """The same, but never the fastest in these rows."""
    launch = demand.fixed["launch"] + np.where(rows, NEVER, 0.0)[:, None]
    return replace(demand, fixed={**demand.fixed, "launch": launch})
