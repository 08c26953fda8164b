"""Products of quantised tensors: integers inside, scales and zero points outside."""

from __future__ import annotations

import numpy as np

from ircost.ir.attributes import Ints, Pairs
from ircost.ir.composite import composite
from ircost.ir.errors import ShapeError
from ircost.ir.graph import Value
from ircost.ir.numpy_dtypes import numpy_dtype
from ircost.ir.ops.block_scales import block_of, by_element
from ircost.ir.ops.constant import constant_of
from ircost.ir.ops.contraction import contract, conv_integer, matmul_integer
from ircost.ir.ops.elementwise import add, as_format, cast, div, maximum, minimum, mul, neg, round, sub
from ircost.ir.ops.movement import broadcast, slice
from ircost.ir.ops.normalization import per_channel, scalar_like
from ircost.ir.ops.recurrent import ACTIVATION_WORDS, lstm_step, run_steps
from ircost.ir.ops.reduction import reduce_max, reduce_min, reduce_sum
from ircost.ir.ops.shape import reshape
from ircost.ir.types import i32, u8


def integer_product(a: Value, w: Value, a_zero: Value | None = None, w_zero: Value | None = None) -> Value:
    """(a - a_zero) (w - w_zero) with the product itself on narrow integers: zero points are taken out of sums.

    Shapes: a [.., m, k], w [.., k, n], zero points of one element, or a_zero [m, 1] and w_zero [n]; out [.., m, n] i32.
    With k terms: sum a w - a_zero sum w - w_zero sum a + k a_zero w_zero. Sums of a constant w are taken at load.
    Source: Jacob et al., "Quantization and Training of Neural Networks", CVPR 2018, section 2.3.
    """
    total = matmul_integer(a, w)
    if a_zero is not None:
        a_zero = as_format(a_zero, i32)
        total = sub(total, mul(a_zero, reduce_sum(as_format(w, i32), axes=(w.type.rank - 2,), keepdims=True)))
    if w_zero is not None:
        w_zero = as_format(w_zero, i32)
        total = sub(total, mul(reduce_sum(as_format(a, i32), axes=(a.type.rank - 1,), keepdims=True), w_zero))
    if a_zero is not None and w_zero is not None:
        total = add(total, mul(mul(a_zero, w_zero), constant_of(np.array(a.type.shape[-1], np.int32))))
    return total


def integer_convolution(
    x: Value,
    weight: Value,
    x_zero: Value | None = None,
    w_zero: Value | None = None,
    *,
    outside: int | None = None,
    pads: Pairs = (),
    **window: Ints,
) -> Value:
    """The same of a convolution, where padding counts as the zero point of x.

    Shapes: x [n, g*c, ...], weight [g*f, c, ...], x_zero of one element, w_zero of one or [g*f]; out [n, g*f, ...] i32.

    Args:
        outside: x_zero as a number, where it is known. Of one that is not, less of the weight is summed at the borders.
        w_zero: what is taken of it, the sums of x under each window, is a convolution with one filter of ones a group.
    """
    rank, padding = x.type.rank, outside or 0
    total, centred = conv_integer(x, weight, pads=pads, outside=padding, **window), weight
    if w_zero is not None:
        groups = x.type.shape[1] // weight.type.shape[1]
        ones = constant_of(np.ones((groups, *weight.type.shape[1:]), np.int8))
        sums = conv_integer(x, ones, pads=pads, outside=padding, **window)
        each = reshape(as_format(w_zero, i32), shape=(w_zero.type.elements,))
        centred = sub(as_format(weight, i32), reshape(each, shape=(w_zero.type.elements, *(1,) * (rank - 1))))
        total = sub(total, mul(_for_filters(sums, weight.type.shape[0]), per_channel(each, rank)))
    if x_zero is None:
        return total
    if outside is None and any(n for pair in pads for n in pair):
        ones = constant_of(np.ones((1, *x.type.shape[1:]), numpy_dtype(x.type.dtype)))
        summed = conv_integer(ones, centred, pads=pads, **window)
    else:
        summed = per_channel(reduce_sum(as_format(centred, i32), axes=tuple(range(1, rank)), keepdims=False), rank)
    return sub(total, mul(as_format(x_zero, i32), summed))


def _for_filters(sums: Value, filters: int) -> Value:
    """[n, g, ...] for each filter of its group: [n, filters, ...]; of one group as it is."""
    n, groups, *rest = sums.type.shape
    if groups == 1:
        return sums
    each = broadcast(reshape(sums, shape=(n, groups, 1, *rest)), shape=(n, groups, filters // groups, *rest))
    return reshape(each, shape=(n, filters, *rest))


def quantised_dynamically(x: Value) -> tuple[Value, Value, Value]:
    """x as u8, its scale and its zero point (u8), by the range of x with 0 in it.

    Source: ONNX DynamicQuantizeLinear-11.
    """
    axes = tuple(range(x.type.rank))
    zero, largest = scalar_like(0, x), scalar_like(255, x)
    low, high = minimum(reduce_min(x, axes=axes), zero), maximum(reduce_max(x, axes=axes), zero)
    scale = div(sub(high, low), largest)
    point = minimum(maximum(round(div(neg(low), scale)), zero), largest)
    values = minimum(maximum(add(round(div(x, scale)), point), zero), largest)
    return cast(values, to=u8), scale, cast(point, to=u8)


def dynamic_product(x: Value, w: Value, scale: Value, zero: Value | None) -> Value:
    """x w for quantised w, x quantised on the way; in the format of x.

    Shapes: x [m, k], w [k, n], scale and zero of one element or [n].
    """
    narrow, x_scale, x_zero = quantised_dynamically(x)
    total = integer_product(narrow, w, x_zero, zero)
    return mul(cast(total, to=x.type.dtype), mul(x_scale, scale))


@composite
def block_quantised_matmul(
    a: Value, weights: Value, scales: Value, zeros: Value, *, inner: int, block: int = 0
) -> Value:
    """a times the transpose of weights of few bits, each block of a row with its scale and zero point.

    One kernel: the weights are read at their own width and brought to the format of a on the way.

    Shapes: a [.., k], weights [n, blocks, block], scales [p, blocks, 1] with p a divisor of n, each for n / p rows,
    zeros [n, blocks, 1] or of one element; ``inner`` is k, the last block may be longer; out [.., n]. With ``block``
    weights are [n, k], as many elements share a scale, and the last block may be shorter.
    Source: com.microsoft::MatMulNBits-1.
    """
    if block:
        return _product_of_short_blocks(a, weights, scales, zeros, inner, block)
    n, blocks, size = weights.type.shape
    dtype, rows = a.type.dtype, scales.type.shape[0]
    if rows != n:
        each = broadcast(reshape(scales, shape=(rows, 1, blocks)), shape=(rows, n // rows, blocks))
        scales = reshape(each, shape=(n, blocks, 1))
    centred = sub(as_format(weights, dtype), as_format(zeros, dtype))
    whole = reshape(mul(centred, as_format(scales, dtype)), shape=(n, blocks * size))
    whole = slice(whole, starts=(0, 0), size=(n, inner)) if blocks * size != inner else whole
    return by_rows(a, whole)


def _product_of_short_blocks(a: Value, weights: Value, scales: Value, zeros: Value, inner: int, block: int) -> Value:
    """Raises:
    ShapeError: there are not as many scales as blocks.
    """
    (n, k), (rows, blocks, _) = weights.type.shape, scales.type.shape
    if k != inner:
        raise ShapeError(f"block_quantised_matmul: weights are {weights.type}, and inner is {inner}")
    size = block_of("block_quantised_matmul", k, blocks, block)
    zero, scale = as_format(zeros, a.type.dtype), as_format(scales, a.type.dtype)
    is_one = zero.type.elements == 1
    zero = reshape(zero, shape=()) if is_one else by_element(reshape(zero, shape=(n, blocks)), n, k, size)
    centred = sub(as_format(weights, a.type.dtype), zero)
    return by_rows(a, mul(centred, by_element(reshape(scale, shape=(rows, blocks)), n, k, size)))


def by_rows(a: Value, weights: Value) -> Value:
    """a [.., k] times the transpose of weights [n, k]."""
    lead = " ".join(f"d{i}" for i in range(a.type.rank - 1))
    return contract(a, weights, notation=f"{lead} k, n k -> {lead} n")


@composite
def dynamic_quantized_lstm(
    x: Value,
    w: Value,
    r: Value,
    bias: Value,
    h0: Value,
    c0: Value,
    w_scale: Value,
    w_zero: Value,
    r_scale: Value,
    r_zero: Value,
    *more: Value,
    reverse: bool = False,
    activations: str = ACTIVATION_WORDS,
    clip: float = 0.0,
    input_forget: bool = False,
    has_peepholes: bool = False,
    has_lengths: bool = False,
) -> tuple[Value, ...]:
    """`lstm` with quantised weights: input and state are quantised before each product.

    Shapes: as of `lstm`, but w [k, 4*h] and r [h, 4*h]; scales and zero points of one element or [4*h].
    Results: as of `lstm`. Source: com.microsoft::DynamicQuantizeLSTM-1.
    """
    t, n, k = x.type.shape
    product = dynamic_product(reshape(x, shape=(t * n, k)), w, w_scale, w_zero)
    projected = add(reshape(product, shape=(t, n, w.type.shape[1])), bias)
    step = lstm_step(
        lambda h: dynamic_product(h, r, r_scale, r_zero),
        activations,
        clip,
        input_forget,
        more[0] if has_peepholes else None,
    )
    h_last, c_last, every_h = run_steps(step, [h0, c0], projected, more[-1] if has_lengths else None, reverse)
    return every_h, h_last, c_last
