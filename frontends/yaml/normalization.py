"""Norms, each with its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ircost.frontends.yaml.fields import Extent, Real, described
from ircost.frontends.yaml.layer import Layer, layer, need_rank
from ircost.ir import ops
from ircost.ir.errors import ShapeError
from ircost.ir.graph import Value

if TYPE_CHECKING:
    from ircost.frontends.yaml.body import Body


class Norm(Layer):
    """Scales to a common size."""

    epsilon: Real = described(1e-5, "added to the variance")


@layer("batch_norm")
class BatchNorm(Norm):
    """Per channel, with statistics of the training. Shapes: [n, c, ...]."""

    folds_into_weights = True

    def build(self, body: Body, *operands: Value) -> Value:
        (x,) = operands
        need_rank(x, 2, "[batch, channels, ...]")
        weights = [body.weight((x.type.shape[1],), x, name) for name in ("scale", "bias", "mean", "variance")]
        return ops.batch_norm(x, *weights, epsilon=self.epsilon)


@layer("layer_norm")
class LayerNorm(Norm):
    """Over the last axis: mean 0, variance 1, then scale and bias."""

    def build(self, body: Body, *operands: Value) -> Value:
        (x,) = operands
        need_rank(x, 1, "[..., width]")
        scale, bias = (body.weight(x.type.shape[-1:], x, name) for name in ("scale", "bias"))
        return ops.layer_norm(x, scale, bias, epsilon=self.epsilon)


@layer("rms_norm")
class RmsNorm(Norm):
    """Over the last axis: mean square 1, then scale."""

    def build(self, body: Body, *operands: Value) -> Value:
        (x,) = operands
        need_rank(x, 1, "[..., width]")
        return ops.rms_norm(x, body.weight(x.type.shape[-1:], x, "scale"), epsilon=self.epsilon)


@layer("group_norm")
class GroupNorm(Layer):
    """Over groups of channels: mean 0, variance 1, then scale and bias per channel. Shapes: [n, c, ...]."""

    groups: Extent = described(..., "of channels; as many as channels is instance norm")
    epsilon: Real = described(1e-5, "added to the variance")

    def build(self, body: Body, *operands: Value) -> Value:
        (x,) = operands
        need_rank(x, 3, "[batch, channels, ...]")
        channels = x.type.shape[1]
        if channels % self.groups:
            raise ShapeError(f"{channels} channels cannot be split into {self.groups} groups")
        scale, bias = (body.weight((channels,), x, name) for name in ("scale", "bias"))
        return ops.group_norm(x, scale, bias, groups=self.groups, epsilon=self.epsilon)
