"""Recurrent operators of com.microsoft."""

from __future__ import annotations

from collections.abc import Sequence

from ircost.frontends.onnx.node import Node, lowering
from ircost.frontends.onnx.recurrent import initial_state, lstm_options, part, run_directions, two_biases
from ircost.ir import ops
from ircost.ir.graph import Value


@lowering("DynamicQuantizeLSTM", domain="com.microsoft")
def dynamic_quantize_lstm(node: Node) -> list[Value]:
    """Weights lie [direction, k, 4*h]; inputs 8 to 11 are their scales and zero points."""

    def direction(index: int, x: Value, w: Value, r: Value, reverse: bool) -> Sequence[Value]:
        h, c = (initial_state(node, index, i, x, r, node[2].type.shape[1]) for i in (5, 6))
        scales = [flat(part(node[i], index)) for i in (8, 9, 10, 11)]
        more, attrs = lstm_options(node, index, reverse)
        bias = ops.add(*two_biases(node, index, 4, node[2].type.shape[1]))
        return ops.dynamic_quantized_lstm.results(x, w, r, bias, h, c, *scales, *more, **attrs)

    return run_directions(node, direction)


def flat(value: Value) -> Value:
    return ops.reshape(value, shape=(value.type.elements,) if value.type.elements > 1 else ())
