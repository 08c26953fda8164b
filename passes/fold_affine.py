"""Known factors and offsets behind and before a convolution, taken into its weights and its bias."""

from __future__ import annotations

from dataclasses import dataclass

from ircost.ir import ops
from ircost.ir.graph import Op, Value, sole_producer
from ircost.ir.ops.normalization import per_channel
from ircost.ir.rewrite import RewritePattern
from ircost.passes.base import Pass, register_pass

# What factors and offsets are made of. More of them than these are no longer what batch norms and scales come to.
AT_LOAD = frozenset({"reshape", "mul", "add", "sub", "div", "sqrt", "reduce_sum"})
MOST_AT_LOAD = 32


class ScaleOfConv(RewritePattern):
    """conv(x, w) * s  ->  conv(x, w * s), and (conv(x, w) + b) * s  ->  conv(x, w * s) + b * s

    for constants w and b, and a constant s that differs along the channels at most.
    """

    root = "mul"

    def rewrite(self, op: Op) -> Value | None:
        for x, scale in (op.operands, op.operands[::-1]):
            if x.type != op.result.type or not is_per_channel_constant(scale, x) or not x.type.dtype.is_float:
                continue
            folded = scaled_conv(x, scale)
            if folded is not None:
                return folded
            bias_of = sole_producer(x, "add")
            for product, bias in (bias_of.operands, bias_of.operands[::-1]) if bias_of is not None else ():
                if product.type != x.type or not is_per_channel_constant(bias, x):
                    continue
                folded = scaled_conv(product, scale)
                if folded is not None:
                    return ops.add(folded, ops.mul(bias, scale))
        return None


class OffsetOfOffset(RewritePattern):
    """(conv(x, w) + b) + c  ->  conv(x, w) + (b + c), for constants b and c that differ along the channels at most"""

    root = "add"

    def rewrite(self, op: Op) -> Value | None:
        for x, offset in (op.operands, op.operands[::-1]):
            inner = sole_producer(x, "add")
            if inner is None or x.type != op.result.type or not is_per_channel_constant(offset, x):
                continue
            for conv, bias in (inner.operands, inner.operands[::-1]):
                is_conv = conv.producer is not None and conv.producer.name == "conv" and conv.type == x.type
                if is_conv and is_per_channel_constant(bias, x):
                    return ops.add(conv, ops.add(bias, offset))
        return None


class ScaleBeforeConv(RewritePattern):
    """conv(x * s, w)  ->  conv(x, w * s), for constants w and s, s of one element

    The scale of a dequantised x stays with it: runtimes have one operator for both.
    """

    root = "conv"

    def rewrite(self, op: Op) -> Value | None:
        x, weight = op.operands
        product = sole_producer(x, "mul")
        if product is None or op.attrs["out"] is not None or not is_at_load(weight):
            return None
        for inner, scale in (product.operands, product.operands[::-1]):
            if inner.producer is not None and inner.producer.name == "cast":
                continue
            if inner.type == x.type and scale.type.elements == 1 and is_at_load(scale):
                return ops.conv(inner, ops.mul(weight, ops.reshape(scale, shape=())), **op.attrs)
        return None


class OffsetBeforeConv(RewritePattern):
    """conv(x + b, w)  ->  conv(x, w) + b * sum(w), for constants w and b, b of one element, where nothing is padded"""

    root = "conv"

    def rewrite(self, op: Op) -> Value | None:
        x, weight = op.operands
        total = sole_producer(x, "add")
        pads = op.attrs["pads"]
        assert isinstance(pads, tuple), "its kind was checked"
        if total is None or op.attrs["out"] is not None or any(map(any, pads)) or not is_at_load(weight):  # type: ignore[arg-type]
            return None
        for inner, offset in (total.operands, total.operands[::-1]):
            if inner.type == x.type and offset.type.elements == 1 and is_at_load(offset):
                sums = ops.reduce_sum(weight, axes=tuple(range(1, weight.type.rank)))
                bias = ops.mul(sums, ops.reshape(offset, shape=()))
                return ops.add(ops.conv(inner, weight, **op.attrs), per_channel(bias, x.type.rank))
        return None


def scaled_conv(x: Value, scale: Value) -> Value | None:
    """The convolution with its weights scaled; None where x is none, or somebody else reads it."""
    conv = sole_producer(x, "conv")
    if conv is None or conv.attrs["out"] is not None:
        return None
    data, weight = conv.operands
    if weight.producer is None or not is_at_load(weight):
        return None
    channels = scale.type.elements
    spread = ops.reshape(scale, shape=(channels, *(1,) * (weight.type.rank - 1)))
    return ops.conv(data, ops.mul(weight, spread), **conv.attrs)


def is_per_channel_constant(value: Value, x: Value) -> bool:
    """A constant of one element, or of one for each channel (axis 1)."""
    if not is_at_load(value) or value.type.rank > x.type.rank:
        return False
    shape = (1,) * (x.type.rank - value.type.rank) + value.type.shape
    return all(n == 1 or (axis == 1 and n == x.type.shape[1]) for axis, n in enumerate(shape))


def is_at_load(value: Value) -> bool:
    """A constant, or what a few ops on constants make of them: `MOST_AT_LOAD` at most."""
    values, looked_at = [value], 0
    while values:
        op = values.pop().producer
        if op is None:
            return False
        if op.name == "constant":
            continue
        looked_at += 1
        if op.name not in AT_LOAD or looked_at > MOST_AT_LOAD:
            return False
        values.extend(op.operands)
    return True


@register_pass("fold-affine")
@dataclass(frozen=True, slots=True)
class FoldAffine(Pass):
    """Take constant factors behind and before a convolution into its weights, and offsets into its bias: once, at load.

    Saves a read and a write of the result for each. Results differ by rounding.
    """

    def patterns(self) -> tuple[RewritePattern, ...]:
        return ScaleOfConv(), OffsetOfOffset(), ScaleBeforeConv(), OffsetBeforeConv()
