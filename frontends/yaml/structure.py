"""Layers that hold layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from ircost.frontends.yaml.fields import Branches, LayerList, Whole, described
from ircost.frontends.yaml.layer import Layer, layer
from ircost.frontends.yaml.shaping import folded
from ircost.ir import ops
from ircost.ir.errors import ShapeError
from ircost.ir.graph import Value

if TYPE_CHECKING:
    from ircost.frontends.yaml.body import Body


@layer("residual")
class Residual(Layer):
    """x + layers(x), or shortcut(x) + layers(x)."""

    layers: LayerList = described(..., "what is added to the shortcut")
    shortcut: LayerList = described(None, "what brings the input to the same shape; nothing where left out")

    def build(self, body: Body, *operands: Value) -> Value:
        (x,) = operands
        deep = body.inline(self.layers, "layers", operands)
        short = x if self.shortcut is None else body.inline(self.shortcut, "shortcut", operands)
        if deep.type != short.type:
            raise ShapeError(
                f"layers give {deep.type}, the shortcut {short.type}",
                help="give it a shortcut, such as shortcut: [conv: {out: ..., stride: ...}]",
            )
        return ops.add(deep, short)


@layer("parallel")
class Parallel(Layer):
    """Branches on the same input, joined."""

    branches: Branches = described(..., "a list of layers each; an empty one hands its input on")
    join: Literal["concat", "add", "mul"] = described("concat", "how results are joined")
    axis: Whole = described(1, "along which they are concatenated")

    JOINS: ClassVar = {"add": ops.add, "mul": ops.mul}

    def build(self, body: Body, *operands: Value) -> Value:
        results = [body.inline(part, f"branch_{i}", operands) for i, part in enumerate(body.listed(self.branches))]
        return ops.concat(*results, axis=self.axis) if self.join == "concat" else folded(self.JOINS[self.join], results)


@layer("layers")
class Group(Layer):
    """Some layers in a row; with ``repeat``, as often."""

    layers: LayerList = described(..., "in order")

    def build(self, body: Body, *operands: Value) -> Value | Sequence[Value]:
        return body.inline(self.layers, "", operands)
