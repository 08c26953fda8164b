"""Batch normalisation after a convolution, folded into its weights."""

from __future__ import annotations

from dataclasses import dataclass

from ircost.ir import ops
from ircost.ir.graph import Op, Value, sole_producer
from ircost.ir.ops.normalization import per_channel
from ircost.ir.rewrite import RewritePattern
from ircost.passes.base import Pass, register_pass
from ircost.passes.fold_affine import is_per_channel_constant


class BatchNormOfConv(RewritePattern):
    """batch_norm(conv(x, w), s, b, m, v)  ->  conv(x, w * f) + (b - m * f)  with f = s / sqrt(v + epsilon)"""

    root = "batch_norm"

    def rewrite(self, op: Op) -> Value | None:
        x, scale, bias, mean, variance = op.operands
        conv = x.producer
        if conv is None or conv.name != "conv" or len(x.uses) > 1:
            return None
        if conv.operands[1].type.dtype != scale.type.dtype:
            return None  # narrow weights, wide result: the factor would be rounded to the weights' format
        epsilon = op.attrs["epsilon"]
        assert isinstance(epsilon, float)
        factor = ops.div(scale, ops.sqrt(ops.add(variance, ops.scalar_like(epsilon, variance))))
        offset = ops.sub(bias, ops.mul(mean, factor))
        data, weight = conv.operands
        spread = ops.reshape(factor, shape=(*factor.type.shape, *(1,) * (weight.type.rank - 1)))
        folded = ops.conv(data, ops.mul(weight, spread), **conv.attrs)
        return ops.add(folded, per_channel(offset, x.type.rank))


class BatchNormOfBias(RewritePattern):
    """batch_norm(conv(x, w) + c, s, b, m, v)  ->  batch_norm(conv(x, w), s, b, m - c, v)

    for a constant c that differs along the channels at most.
    """

    root = "batch_norm"

    def rewrite(self, op: Op) -> Value | None:
        x, scale, bias, mean, variance = op.operands
        total = sole_producer(x, "add")
        for conv, offset in (total.operands, total.operands[::-1]) if total is not None else ():
            if sole_producer(conv, "conv") is None or conv.type != x.type or not is_per_channel_constant(offset, x):
                continue
            if len({value.type.dtype for value in (conv, offset, mean)}) == 1:
                channels = ops.reshape(offset, shape=mean.type.shape if offset.type.elements > 1 else ())
                return ops.batch_norm(conv, scale, bias, ops.sub(mean, channels), variance, **op.attrs)
        return None


@register_pass("fold-batch-norm")
@dataclass(frozen=True, slots=True)
class FoldBatchNorm(Pass):
    """Fold batch normalisation into the convolution before it, and into its bias where it has one.

    Where weights and statistics are constants, the new weights are computed once, at load. Results differ by rounding.
    """

    def patterns(self) -> tuple[RewritePattern, ...]:
        return BatchNormOfConv(), BatchNormOfBias()
