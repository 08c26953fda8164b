"""What kernels ask of a microcontroller: multiply-adds by kind of product, and elements."""

from __future__ import annotations

import numpy as np

from ircost.backends import Target
from ircost.cost_models.contraction_dims import Dims, is_product
from ircost.cost_models.engines import unit_and_peak
from ircost.cost_models.kernel_table import KernelTable, arithmetic_dtype
from ircost.ir.counts import work_of
from ircost.ir.graph import Op

# Windows over several channels and products of many rows; windows of one channel each; products of one row, which use
# each weight once; elements that are written with a new scale, or moved.
PRODUCTS = ("conv", "depthwise", "dense")
TERMS = (*PRODUCTS, "elements")


def seconds_at_best(kernels: KernelTable, target: Target) -> np.ndarray:
    """[rows, terms] seconds of one run of each kernel if one core did a term at its best.

    Products at the data sheet's rate for their format, an element a clock. Runtimes of microcontrollers split no kernel
    over cores.

    Raises:
        TargetError: the target cannot compute in a format that a kernel needs.
    """
    found = np.zeros((len(kernels), len(TERMS)))
    rates: dict[str, float] = {}
    for row, op in enumerate(kernels.ops):
        for inner, times, counts in work_of(op):
            if not inner.definition.is_contraction:
                continue
            dtype = arithmetic_dtype(inner)
            if dtype.name not in rates:
                rates[dtype.name] = unit_and_peak(target, "matrix", dtype)[1] / target.processors.count
            found[row, TERMS.index(kind_of_product(inner))] += 2 * counts.macs * times / rates[dtype.name]
        found[row, TERMS.index("elements")] = elements_of(op) / target.processors.clock_hz
    found[kernels.is_unknown] = 0.0
    return found


def kind_of_product(op: Op) -> str:
    """One of ``PRODUCTS``."""
    space = op.definition.iteration_space(op)
    if space is None or not is_product(space):
        return "conv"
    dims = Dims(space)
    if dims.is_depthwise:
        return "depthwise"
    is_row = not dims.windows and min(dims.extent("m"), dims.extent("n")) == 1
    return "dense" if is_row else "conv"


def elements_of(op: Op) -> float:
    """What a kernel with a product writes, each with a new scale; of others the more of what is read and written."""
    written = sum(result.type.elements for result in op.results)
    if any(inner.definition.is_contraction for inner, _, _ in work_of(op)):
        return float(written)
    return float(max(written, max((operand.type.elements for operand in op.operands), default=0)))
