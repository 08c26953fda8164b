"""Matrix products and convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from ircost.frontends.torch.call import Call, lowering
from ircost.frontends.torch.elementwise import scaled
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.ops.normalization import per_channel


@lowering("mm", "bmm")
def product(call: Call, lhs: Value, rhs: Value) -> Value:
    return ops.matmul(lhs, rhs)


@lowering("matmul", "mv", "dot")
def matmul(call: Call, lhs: Value, rhs: Value) -> Value:
    """NumPy's matmul: a vector gets an axis, which goes again."""
    left = ops.reshape(lhs, shape=(1, *lhs.type.shape)) if lhs.type.rank == 1 else lhs
    right = ops.reshape(rhs, shape=(*rhs.type.shape, 1)) if rhs.type.rank == 1 else rhs
    return call.reshaped(ops.matmul(left, right))


@lowering("linear")
def linear(call: Call, x: Value, weight: Value, bias: Value | None = None) -> Value:
    if weight.type.rank == 1:
        weight = ops.reshape(weight, shape=(1, *weight.type.shape))
    rows = ops.reshape(x, shape=(1, *x.type.shape)) if x.type.rank == 1 else x
    y = call.reshaped(ops.contract(rows, weight, notation="... m k, n k -> ... m n"))
    return y if bias is None else ops.add(y, bias)


@lowering("addmm", "baddbmm")
def addmm(call: Call, bias: Value, lhs: Value, rhs: Value, beta: float = 1, alpha: float = 1) -> Value:
    return ops.add(scaled(call, ops.matmul(lhs, rhs), alpha), scaled(call, bias, beta))


@lowering("convolution")
def convolution(
    call: Call,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Value:
    rank = x.type.rank - 2
    strides, dilations = spread(stride, rank), spread(dilation, rank)
    widths = spread(padding, rank)
    if transposed:
        extra = spread(output_padding, rank)
        # What lengthens the output at its end is negative padding there.
        pads = tuple((n, n - more) for n, more in zip(widths, extra, strict=True))
        y = ops.conv_transpose(x, weight, g=groups, strides=strides, dilations=dilations, pads=pads)
    else:
        y = ops.conv(x, weight, strides=strides, dilations=dilations, pads=tuple((n, n) for n in widths))
    return y if bias is None else ops.add(y, per_channel(bias, x.type.rank))


def spread(numbers: Sequence[int], rank: int) -> tuple[int, ...]:
    """One number for each axis, where one may stand for all."""
    return tuple(numbers) * (rank if len(numbers) == 1 else 1)
