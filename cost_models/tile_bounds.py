"""Lower bounds on what must cross into a memory, kernel by kernel: no tiling is below them."""

from __future__ import annotations

import math

from ircost.cost_models.contraction_dims import Dims
from ircost.cost_models.tile_levels import Level
from ircost.cost_models.traffic_bounds import SEGMENTS
from ircost.ir.graph import Op
from ircost.ir.index import IterationSpace
from ircost.ir.nest import Nest


def traffic_bound_bytes(kernel: Op, nest: Nest, level: Level) -> float:
    """Least bytes that all processors together move into and out of a level, in any order of the kernel's points.

    Operands and results cross once at least. Of products, convolutions and attention more must, where a level and all
    that is nearer to the arithmetic hold too little. Elements count as wide as the narrowest: formats may differ.
    """
    compulsory = float(kernel.definition.traffic(kernel).total_bytes)
    narrowest = min((stream.element_bytes for stream in nest.streams), default=1.0)
    memory = level.inner_bytes / narrowest
    if nest.attention is not None:
        return max(compulsory, narrowest * attention_bound_elements(*nest.attention, memory, level.copies))
    if nest.product is not None:
        return max(compulsory, narrowest * product_bound_elements(nest.product, memory, level.copies))
    return compulsory


def product_bound_elements(space: IterationSpace, memory: float, copies: int = 1) -> float:
    """Elements that a product or a convolution of V multiply-adds moves at least, on processors of M elements each.

    Without windows 2 V / sqrt(M) - 2 M for each processor (Smith et al., as in ``traffic_bounds.product_bound``; parts
    that share nothing, such as batches, bound the sum as one product does, since (x + y)^1.5 >= x^1.5 + y^1.5).

    With windows an element of the input stands for several of the product's left factor: for at most R, the number of
    windows that meet it. Of a segment of X moves, at most 2 M + X elements are at hand, so that by Loomis and Whitney
    its multiply-adds are at most sqrt(R) ((2 M + X) / 3)^1.5; each processor has a last segment that is not full.

    Source: Hong, Kung, STOC 1981, for segments; of the order with windows, Demmel, Dinh, "Communication-Optimal
    Convolutional Neural Nets", arXiv:1802.06905, 2018.
    """
    macs = float(space.points)
    dims = Dims(space)
    if not dims.windows:
        return 2.0 * macs / math.sqrt(memory) - 2.0 * memory * copies
    met = math.prod(windows_that_meet(space, outer, inner) for outer, inner, *_ in dims.windows)
    x = SEGMENTS * memory
    most = math.sqrt(met) * ((2.0 * memory + x) / 3.0) ** 1.5
    return float((x * (macs / most - copies)).max())


def windows_that_meet(space: IterationSpace, outer: int, inner: int) -> int:
    """How many places of a window an element may have: one in each stride over what stride and dilation share."""
    axes = [dict(axis.terms) for access in (*space.operands, *space.results) for axis in access.axes]
    own = next(terms for terms in axes if outer in terms and inner in terms)
    stride, dilation = abs(own[outer]), abs(own[inner])
    return math.ceil(space.dims[inner].extent * math.gcd(stride, dilation) / stride)


def attention_bound_elements(heads: int, queries: int, keys: int, width: int, memory: float, copies: int = 1) -> float:
    """Elements that attention moves at least: the argument of ``traffic_bounds.attention_bound``, for queries and keys
    of their own numbers, all heads together, and several processors.
    """
    macs = 2.0 * heads * queries * keys * width
    x = SEGMENTS * memory
    at_hand = 2.0 * memory + x
    most = 2.0 * width * (at_hand / (4.0 * width)) ** 2 + (at_hand / 3.0) ** 1.5
    return float((x * (macs / most - copies)).max())
