"""A depthwise convolution along one axis as transform, product of spectra, and transform back."""

from __future__ import annotations

from collections.abc import Callable

from ircost.ir import ops
from ircost.ir.attributes import ints_of, pairs_of
from ircost.ir.graph import Op, Value

# x, axis, length, inverse -> its one-sided transform
Transform = Callable[[Value, int, int, bool], Value]


def is_long_convolution(op: Op) -> bool:
    """Each channel by itself, along one axis, step by step, and without any padding that crops."""
    if op.name != "conv" or op.result.type.rank != 3 or op.operands[1].type.shape[1] != 1:
        return False
    x, weight = (operand.type for operand in op.operands)
    if x.shape[1] != weight.shape[0] or x.dtype != op.result.type.dtype or not x.dtype.is_float:
        return False
    strides, dilations = ints_of(op.attrs, "strides"), ints_of(op.attrs, "dilations")
    is_plain = all(step == 1 for step in (*strides, *dilations)) and not x.bounded and not weight.bounded
    return is_plain and all(n >= 0 for pair in pairs_of(op.attrs, "pads") for n in pair)


def padded_length(op: Op) -> int:
    """A power of two that holds the operand with its padding: no window then runs around the end."""
    pads = pairs_of(op.attrs, "pads")
    return 1 << (op.operands[0].type.shape[2] + sum(map(sum, pads)) - 1).bit_length()


def by_spectra(op: Op, transform: Transform) -> Value:
    """conv(x, w)  ->  inverse(transform(x) conj(transform(w))), as long as the convolution's result."""
    x, weight = op.operands
    batch, channels, steps = x.type.shape
    length = padded_length(op)
    begin = next((pair[0] for pair in pairs_of(op.attrs, "pads")), 0)
    if begin:
        x = ops.pad(x, pads=((0, 0), (0, 0), (begin, 0)))
    signal = transform(ops.reshape(x, shape=(batch, channels, steps + begin, 1)), 2, length, False)
    # The weights' own transform depends on nothing else: it runs at load.
    filters = ops.fft(
        ops.reshape(weight, shape=(1, channels, weight.type.shape[2], 1)), axis=2, length=length, onesided=True
    )
    back = transform(times_conjugate(signal, filters), 2, length, True)
    out = op.result.type.shape
    whole = ops.reshape(back, shape=(batch, channels, length))
    return whole if whole.type.shape == out else ops.slice(whole, starts=(0, 0, 0), size=out)


def times_conjugate(x: Value, y: Value) -> Value:
    """x conj(y); real and imaginary parts are the last axis."""
    (a, b), (c, d) = parts(x), parts(y)
    real = ops.add(ops.mul(a, c), ops.mul(b, d))
    imaginary = ops.sub(ops.mul(b, c), ops.mul(a, d))
    return ops.concat(real, imaginary, axis=-1)


def parts(x: Value) -> tuple[Value, Value]:
    size = (*x.type.shape[:-1], 1)
    lead = (0,) * (x.type.rank - 1)
    return ops.slice(x, starts=(*lead, 0), size=size), ops.slice(x, starts=(*lead, 1), size=size)
