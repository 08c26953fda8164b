"""Recurrent layers. Shapes: [n, t, k] to [n, t, hidden], the last state [n, hidden] and, of an LSTM, its cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from ircost.frontends.yaml.fields import Extent, Flag, described
from ircost.frontends.yaml.layer import Layer, layer
from ircost.ir import ops
from ircost.ir.errors import ShapeError
from ircost.ir.graph import Value
from ircost.ir.types import TensorType

if TYPE_CHECKING:
    from ircost.frontends.yaml.body import Body


class Recurrent(Layer):
    """Layers that carry a state along axis 1."""

    hidden: Extent = described(..., "width of the state, of each direction")
    layers: Extent = described(1, "one above the other")
    bidirectional: Flag = described(False, "a second state runs from the end; both side by side")

    gates: ClassVar[int]

    def build(self, body: Body, *operands: Value) -> Sequence[Value]:
        (x,) = operands
        if x.type.rank != 3:
            raise ShapeError(f"its input is {x.type}, [batch, steps, width] expected")
        results: Sequence[Value] = (ops.transpose(x, perm=(1, 0, 2)),)
        for number in range(self.layers):
            results = self.one_layer(body, results[0], f"layer_{number}_")
        return [ops.transpose(results[0], perm=(1, 0, 2)), *results[1:]]

    def one_layer(self, body: Body, x: Value, name: str) -> Sequence[Value]:
        """All states [t, n, h], then what the last step leaves; two directions side by side."""
        forward = self.direction(body, x, name, False)
        if not self.bidirectional:
            return forward
        backward = self.direction(body, x, f"{name}reverse_", True)
        return [ops.concat(*pair, axis=pair[0].type.rank - 1) for pair in zip(forward, backward, strict=True)]

    def direction(self, body: Body, x: Value, name: str, reverse: bool) -> Sequence[Value]:
        width = self.gates * self.hidden
        w = body.weight((width, x.type.shape[-1]), x, f"{name}w")
        r = body.weight((width, self.hidden), x, f"{name}r")
        return self.run(x, w, r, body.weight((width,), x, f"{name}bias"), reverse)

    def run(self, x: Value, w: Value, r: Value, bias: Value, reverse: bool) -> Sequence[Value]:
        raise NotImplementedError

    def zeros(self, x: Value, *shape: int) -> Value:
        return ops.splat(0.0, TensorType(shape, x.type.dtype))


@layer("lstm")
class Lstm(Recurrent):
    """Long short-term memory. Results: all states, the last state, the last cell."""

    gates = 4

    def run(self, x: Value, w: Value, r: Value, bias: Value, reverse: bool) -> Sequence[Value]:
        states = [self.zeros(x, x.type.shape[1], self.hidden) for _ in range(2)]
        return ops.lstm.results(x, w, r, bias, *states, reverse=reverse)


@layer("gru")
class Gru(Recurrent):
    """Gated recurrent unit. Results: all states, the last state."""

    gates = 3

    def run(self, x: Value, w: Value, r: Value, bias: Value, reverse: bool) -> Sequence[Value]:
        state = self.zeros(x, x.type.shape[1], self.hidden)
        after = self.zeros(x, self.gates * self.hidden)
        return ops.gru.results(x, w, r, bias, after, state, reverse=reverse, linear_before_reset=True)


@layer("rnn")
class Rnn(Recurrent):
    """Plain recurrent layer with tanh. Results: all states, the last state."""

    gates = 1

    def run(self, x: Value, w: Value, r: Value, bias: Value, reverse: bool) -> Sequence[Value]:
        return ops.rnn.results(x, w, r, bias, self.zeros(x, x.type.shape[1], self.hidden), reverse=reverse)
