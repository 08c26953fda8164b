"""Pools."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ircost.frontends.average_pool import average_pool
from ircost.frontends.torch.call import Call, lowering
from ircost.frontends.torch.contraction import spread
from ircost.ir import ops
from ircost.ir.attributes import Pairs
from ircost.ir.graph import Value


def batched(x: Value, rank: int) -> Value:
    """[n, c, ...] of what may lack the batch."""
    return x if x.type.rank == rank + 2 else ops.reshape(x, shape=(1, *x.type.shape))


def whole_windows(
    call: Call, x: Value, size: Sequence[int], strides: Sequence[int], dilations: Sequence[int], padding: Sequence[int]
) -> Pairs:
    """Padding such that there are as many windows as PyTorch says: with ceil_mode the end is padded further."""
    outputs = call.type.shape[-len(size) :]
    pads = []
    for extent, n, stride, dilation, begin, out in zip(
        x.type.shape[2:], size, strides, dilations, padding, outputs, strict=True
    ):
        needed = (out - 1) * stride + (n - 1) * dilation + 1 - extent - begin
        pads.append((begin, max(begin, needed)) if needed > begin else (begin, begin))
    return tuple(pads)


def max_pool(
    call: Call,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> Value:
    rank = int(call.operator.partition("max_pool")[2][0])
    size = spread(kernel, rank)
    strides = spread(stride, rank) or size
    dilations = spread(dilation, rank)
    x = batched(x, rank)
    pads = whole_windows(call, x, size, strides, dilations, spread(padding, rank))
    return call.reshaped(ops.max_pool(x, window=size, strides=strides, dilations=dilations, pads=pads))


lowering("max_pool1d", "max_pool2d", "max_pool3d")(max_pool)


@lowering("max_pool2d_with_indices", "max_pool3d_with_indices")
def max_pool_with_indices(
    call: Call,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> list[Value | None]:
    return [max_pool(call, x, kernel, stride, padding, dilation, ceil_mode), None]


@lowering("avg_pool1d", "avg_pool2d", "avg_pool3d")
def avg_pool(
    call: Call,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Value:
    rank = len(call.type.shape) - (x.type.rank - int(call.operator.partition("avg_pool")[2][0]))
    size = spread(kernel, rank)
    strides, widths, ones = spread(stride, rank) or size, spread(padding, rank), (1,) * rank
    x = batched(x, rank)
    pads = whole_windows(call, x, size, strides, ones, widths)
    if divisor_override:
        total = ops.sum_pool(x, window=size, strides=strides, dilations=ones, pads=pads)
        return call.reshaped(ops.mul(total, ops.scalar_like(1 / divisor_override, x)))
    counted = tuple((n, n) if count_include_pad else (0, 0) for n in widths)
    return call.reshaped(average_pool(x, size, strides, ones, pads, counted))


@lowering("adaptive_avg_pool1d", "_adaptive_avg_pool2d", "adaptive_avg_pool2d", "_adaptive_avg_pool3d")
def adaptive_avg_pool(call: Call, x: Value, size: Sequence[int]) -> Value:
    """As many windows as wanted, of equal extent where that divides; else each axis by a matrix of weights."""
    rank = len(size)
    x = batched(x, rank)
    extents = x.type.shape[2:]
    if all(n == 1 for n in size):
        return call.reshaped(ops.reduce_mean(x, axes=tuple(range(2, rank + 2)), keepdims=True))
    if all(extent % n == 0 for extent, n in zip(extents, size, strict=True)):
        window = tuple(extent // n for extent, n in zip(extents, size, strict=True))
        none = ((0, 0),) * rank
        return call.reshaped(average_pool(x, window, window, (1,) * rank, none, none))
    for axis, (extent, n) in enumerate(zip(extents, size, strict=True), start=2):
        weights = ops.constant_of(shares(extent, n), x.type.dtype)
        last = [i for i in range(x.type.rank) if i != axis]
        perm = tuple(last.index(i) if i != axis else x.type.rank - 1 for i in range(x.type.rank))
        moved = ops.matmul(ops.transpose(x, perm=(*last, axis)), weights)
        x = ops.transpose(moved, perm=perm)
    return call.reshaped(x)


def shares(extent: int, outputs: int) -> np.ndarray:
    """[extent, outputs]: of each output the mean over its window, which may overlap its neighbours."""
    weights = np.zeros((extent, outputs))
    for i in range(outputs):
        start, end = i * extent // outputs, math.ceil((i + 1) * extent / outputs)
        weights[start:end, i] = 1 / (end - start)
    return weights


@lowering("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def adaptive_max_pool(call: Call, x: Value, size: Sequence[int]) -> list[Value | None]:
    rank = len(size)
    x = batched(x, rank)
    extents = x.type.shape[2:]
    if any(extent % n for extent, n in zip(extents, size, strict=True)):
        raise call.error(f"{list(extents)} to {list(size)}: windows of different extents")
    window = tuple(extent // n for extent, n in zip(extents, size, strict=True))
    pooled = ops.max_pool(x, window=window, strides=window, dilations=(1,) * rank, pads=((0, 0),) * rank)
    return [call.reshaped(pooled), None]
