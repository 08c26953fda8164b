"""Recurrent layers, one direction each: a scan over time inside a composite."""

from __future__ import annotations

from collections.abc import Callable

from ircost.ir.builder import build_body
from ircost.ir.composite import composite
from ircost.ir.graph import Value
from ircost.ir.ops.contraction import contract
from ircost.ir.ops.control import scan
from ircost.ir.ops.elementwise import add, mul, relu, sigmoid, sub, tanh
from ircost.ir.ops.movement import slice
from ircost.ir.ops.normalization import scalar_like
from ircost.ir.terminators import yield_
from ircost.ir.types import TensorType


def gates(x: Value, count: int) -> list[Value]:
    """[n, count*h] as ``count`` pieces of [n, h]."""
    n, width = x.type.shape
    return [slice(x, starts=(0, i * width // count), size=(n, width // count)) for i in range(count)]


def project(x: Value, weight: Value) -> Value:
    """x [n, k] times the transpose of weight [m, k]."""
    return contract(x, weight, notation="n k, m k -> n m")


@composite
def lstm(
    x: Value, w: Value, r: Value, bias: Value, h0: Value, c0: Value, *, reverse: bool = False
) -> tuple[Value, ...]:
    """Long short-term memory, one direction; gates in ONNX's order i, o, f, c; sigmoid and tanh.

    The product with the input is one matrix product for all steps, that with the state is taken at each step.

    Shapes: x [t, n, k], w [4*h, k], r [4*h, h], bias [4*h] (both of ONNX's added), h0 and c0 [n, h].
    Results: all h [t, n, h], last h [n, h], last c [n, h]. Source: Hochreiter, Schmidhuber 1997; ONNX LSTM-22.
    """
    projected = add(contract(x, w, notation="t n k, m k -> t n m"), bias)

    def step(h: Value, c: Value, row: Value) -> tuple[Value, ...]:
        i, o, f, g = gates(add(row, project(h, r)), 4)
        c_next = add(mul(sigmoid(f), c), mul(sigmoid(i), tanh(g)))
        h_next = mul(sigmoid(o), tanh(c_next))
        return h_next, c_next, h_next

    h_last, c_last, every_h = run_scan(step, [h0, c0], projected, reverse)
    return every_h, h_last, c_last


@composite
def gru(
    x: Value,
    w: Value,
    r: Value,
    bias: Value,
    state_bias: Value,
    h0: Value,
    *,
    reverse: bool = False,
    linear_before_reset: bool = False,
) -> tuple[Value, ...]:
    """Gated recurrent unit, one direction; gates in ONNX's order z, r, h; sigmoid and tanh.

    Shapes: x [t, n, k], w [3*h, k], r [3*h, h], bias and state_bias [3*h], h0 [n, h].
    Results: all h [t, n, h], last h [n, h]. Source: Cho et al. 2014; ONNX GRU-22.
    """
    projected = add(contract(x, w, notation="t n k, m k -> t n m"), bias)
    hidden = h0.type.shape[-1]

    def step(h: Value, row: Value) -> tuple[Value, ...]:
        xz, xr, xh = gates(row, 3)
        z_r = add(
            project(h, slice(r, starts=(0, 0), size=(2 * hidden, hidden))),
            slice(state_bias, starts=(0,), size=(2 * hidden,)),
        )
        hz, hr = gates(z_r, 2)
        z, reset = sigmoid(add(xz, hz)), sigmoid(add(xr, hr))
        weight = slice(r, starts=(2 * hidden, 0), size=(hidden, hidden))
        shift = slice(state_bias, starts=(2 * hidden,), size=(hidden,))
        if linear_before_reset:
            candidate = tanh(add(xh, mul(reset, add(project(h, weight), shift))))
        else:
            candidate = tanh(add(xh, add(project(mul(reset, h), weight), shift)))
        h_next = add(mul(sub(scalar_like(1.0, z), z), candidate), mul(z, h))
        return h_next, h_next

    h_last, every_h = run_scan(step, [h0], projected, reverse)
    return every_h, h_last


@composite
def rnn(
    x: Value, w: Value, r: Value, bias: Value, h0: Value, *, reverse: bool = False, activation: str = "tanh"
) -> tuple[Value, ...]:
    """Plain recurrent layer, one direction: h = activation(x w' + h r' + bias), ``tanh``, ``relu`` or ``sigmoid``.

    Shapes: x [t, n, k], w [h, k], r [h, h], bias [h] (both of ONNX's added), h0 [n, h].
    Results: all h [t, n, h], last h [n, h]. Source: Elman 1990; ONNX RNN-22.
    """
    projected = add(contract(x, w, notation="t n k, m k -> t n m"), bias)

    def step(h: Value, row: Value) -> tuple[Value, ...]:
        h_next = RNN_ACTIVATIONS[activation](add(row, project(h, r)))
        return h_next, h_next

    h_last, every_h = run_scan(step, [h0], projected, reverse)
    return every_h, h_last


RNN_ACTIVATIONS = {"tanh": tanh, "relu": relu, "sigmoid": sigmoid}


def run_scan(
    step: Callable[..., tuple[Value, ...]], states: list[Value], sequence: Value, reverse: bool
) -> tuple[Value, ...]:
    """A scan of ``step`` over the rows of ``sequence``: final states, then stacked outputs."""
    row = TensorType(sequence.type.shape[1:], sequence.type.dtype)
    body = build_body([*(state.type for state in states), row], step, yield_)
    attrs = {"length": sequence.type.shape[0], "states": len(states), "reverse": reverse}
    return scan.create([*states, sequence], attrs, regions=[body]).results
