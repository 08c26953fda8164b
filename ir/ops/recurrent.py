"""Recurrent layers, one direction each: a scan over time inside a composite."""

from __future__ import annotations

from collections.abc import Callable

from ircost.ir.builder import build_body
from ircost.ir.composite import composite
from ircost.ir.errors import AttributeTypeError, did_you_mean
from ircost.ir.graph import Value
from ircost.ir.ops.constant import iota
from ircost.ir.ops.contraction import contract
from ircost.ir.ops.control import scan
from ircost.ir.ops.elementwise import (
    abs,
    add,
    div,
    elu,
    greater,
    hard_sigmoid,
    leaky_relu,
    less,
    maximum,
    minimum,
    mul,
    relu,
    sigmoid,
    softplus,
    sub,
    tanh,
    where,
)
from ircost.ir.ops.movement import slice
from ircost.ir.ops.normalization import scalar_like
from ircost.ir.ops.shape import reshape
from ircost.ir.terminators import yield_
from ircost.ir.types import TensorType

ACTIVATION_WORDS = "sigmoid tanh tanh"  # of the gates, the candidate and the output of an LSTM


def gates(x: Value, count: int) -> list[Value]:
    """[n, count*h] as ``count`` pieces of [n, h]."""
    n, width = x.type.shape
    return [slice(x, starts=(0, i * width // count), size=(n, width // count)) for i in range(count)]


def gates_of_vector(x: Value, count: int) -> list[Value]:
    """[count*h] as ``count`` pieces of [h]."""
    width = x.type.shape[0] // count
    return [slice(x, starts=(i * width,), size=(width,)) for i in range(count)]


def project(x: Value, weight: Value) -> Value:
    """x [n, k] times the transpose of weight [m, k]."""
    return contract(x, weight, notation="n k, m k -> n m")


@composite
def lstm(
    x: Value,
    w: Value,
    r: Value,
    bias: Value,
    h0: Value,
    c0: Value,
    *more: Value,
    reverse: bool = False,
    activations: str = ACTIVATION_WORDS,
    clip: float = 0.0,
    input_forget: bool = False,
    has_peepholes: bool = False,
    has_lengths: bool = False,
) -> tuple[Value, ...]:
    """Long short-term memory, one direction; gates in ONNX's order i, o, f, c.

    The product with the input is one matrix product for all steps, that with the state is taken at each step.
    ``activations`` are those of the gates, of the candidate and of the output, see `Activation`; their inputs are kept
    within +-``clip`` unless that is 0; with ``input_forget`` the forget gate is 1 less the input gate.

    Shapes: x [t, n, k], w [4*h, k], r [4*h, h], bias [4*h] (both of ONNX's added), h0 and c0 [n, h]; then, where there
    are such, peepholes [3*h] of the gates i, o, f and lengths [n] of the sequences.
    Results: all h [t, n, h], last h [n, h], last c [n, h]. Source: Hochreiter, Schmidhuber 1997; ONNX LSTM-22.
    """
    projected = add(contract(x, w, notation="t n k, m k -> t n m"), bias)
    step = lstm_step(lambda h: project(h, r), activations, clip, input_forget, more[0] if has_peepholes else None)
    h_last, c_last, every_h = run_steps(step, [h0, c0], projected, more[-1] if has_lengths else None, reverse)
    return every_h, h_last, c_last


def lstm_step(
    project_state: Callable[[Value], Value], activations: str, clip: float, input_forget: bool, weights: Value | None
) -> Callable[..., tuple[Value, ...]]:
    """One step, from state, cell and a projected row of the input to the next state and cell.

    Args:
        project_state: the product of the state with its weights.
        weights: peepholes.
    """
    # onnxruntime keeps what goes into the gates within the clip, but not the cell that goes into the output.
    gate, squash, _ = bounded_activations(activations, clip)
    reveal = activation(activations.split()[-1])

    def step(h: Value, c: Value, row: Value) -> tuple[Value, ...]:
        peepholes = gates_of_vector(weights, 3) if weights is not None else None
        i, o, f, g = gates(add(row, project_state(h)), 4)
        if peepholes is not None:
            i, f = add(i, mul(peepholes[0], c)), add(f, mul(peepholes[2], c))
        taken = gate(i)
        kept = sub(scalar_like(1.0, taken), taken) if input_forget else gate(f)
        c_next = add(mul(kept, c), mul(taken, squash(g)))
        if peepholes is not None:
            o = add(o, mul(peepholes[1], c_next))
        return mul(gate(o), reveal(c_next)), c_next

    return step


@composite
def gru(
    x: Value,
    w: Value,
    r: Value,
    bias: Value,
    state_bias: Value,
    h0: Value,
    *more: Value,
    reverse: bool = False,
    linear_before_reset: bool = False,
    activations: str = "sigmoid tanh",
    clip: float = 0.0,
) -> tuple[Value, ...]:
    """Gated recurrent unit, one direction; gates in ONNX's order z, r, h; activations and clip as of `lstm`.

    Shapes: x [t, n, k], w [3*h, k], r [3*h, h], bias and state_bias [3*h], h0 [n, h]; then, where they differ, lengths
    [n] of the sequences.
    Results: all h [t, n, h], last h [n, h]. Source: Cho et al. 2014; ONNX GRU-22.
    """
    gate, squash = bounded_activations(activations, clip)
    projected = add(contract(x, w, notation="t n k, m k -> t n m"), bias)
    hidden = h0.type.shape[-1]

    def step(h: Value, row: Value) -> tuple[Value, ...]:
        xz, xr, xh = gates(row, 3)
        z_r = add(
            project(h, slice(r, starts=(0, 0), size=(2 * hidden, hidden))),
            slice(state_bias, starts=(0,), size=(2 * hidden,)),
        )
        hz, hr = gates(z_r, 2)
        z, reset = gate(add(xz, hz)), gate(add(xr, hr))
        weight = slice(r, starts=(2 * hidden, 0), size=(hidden, hidden))
        shift = slice(state_bias, starts=(2 * hidden,), size=(hidden,))
        if linear_before_reset:
            candidate = squash(add(xh, mul(reset, add(project(h, weight), shift))))
        else:
            candidate = squash(add(xh, add(project(mul(reset, h), weight), shift)))
        return (add(mul(sub(scalar_like(1.0, z), z), candidate), mul(z, h)),)

    h_last, every_h = run_steps(step, [h0], projected, more[0] if more else None, reverse)
    return every_h, h_last


@composite
def rnn(
    x: Value,
    w: Value,
    r: Value,
    bias: Value,
    h0: Value,
    *more: Value,
    reverse: bool = False,
    activations: str = "tanh",
    clip: float = 0.0,
) -> tuple[Value, ...]:
    """Plain recurrent layer, one direction: h = activation(x w' + h r' + bias); activation and clip as of `lstm`.

    Shapes: x [t, n, k], w [h, k], r [h, h], bias [h] (both of ONNX's added), h0 [n, h]; then, where they differ,
    lengths [n] of the sequences.
    Results: all h [t, n, h], last h [n, h]. Source: Elman 1990; ONNX RNN-22.
    """
    (activation,) = bounded_activations(activations, clip)
    projected = add(contract(x, w, notation="t n k, m k -> t n m"), bias)

    def step(h: Value, row: Value) -> tuple[Value, ...]:
        return (activation(add(row, project(h, r))),)

    h_last, every_h = run_steps(step, [h0], projected, more[0] if more else None, reverse)
    return every_h, h_last


def run_steps(
    step: Callable[..., tuple[Value, ...]],
    states: list[Value],
    sequence: Value,
    lengths: Value | None,
    reverse: bool,
) -> tuple[Value, ...]:
    """A scan of ``step`` over the rows of ``sequence``: final states, then the first state after every step.

    Where a sequence of the batch has ended, its states stay as they are, and 0 is put out.
    """
    count = sequence.type.shape[0]
    row = TensorType(sequence.type.shape[1:], sequence.type.dtype)

    ends = lengths

    def plain(*arguments: Value) -> tuple[Value, ...]:
        following = step(*arguments)
        return (*following, following[0])

    def masked(*arguments: Value) -> tuple[Value, ...]:
        *before, at = arguments
        assert ends is not None, "there are lengths to compare with"
        goes_on = reshape(less(at, ends), shape=(states[0].type.shape[0], 1))
        following = step(*before)
        kept = tuple(where(goes_on, new, old) for new, old in zip(following, before, strict=False))
        return (*kept, where(goes_on, following[0], scalar_like(0.0, following[0])))

    types = [*(state.type for state in states), row]
    attrs = {"length": count, "states": len(states), "reverse": reverse}
    if lengths is None:
        return scan.create([*states, sequence], attrs, regions=[build_body(types, plain, yield_)]).results
    ramp = iota.create((), {"axis": 0}, result_types=(TensorType((count,), lengths.type.dtype),)).result
    body = build_body([*types, TensorType((), lengths.type.dtype)], masked, yield_)
    return scan.create([*states, sequence, ramp], attrs, regions=[body]).results


# ---- activations

Activation = Callable[[Value], Value]
# Functions by the word for them, and how many parameters each takes; `leaky_relu:0.1` gives the first, alpha.
# Source: ONNX RNN-22.
ACTIVATIONS: dict[str, tuple[Callable[..., Value], tuple[float, ...]]] = {
    "tanh": (tanh, ()),
    "relu": (relu, ()),
    "sigmoid": (sigmoid, ()),
    "softsign": (lambda x: div(x, add(abs(x), scalar_like(1.0, x))), ()),
    "softplus": (softplus, ()),
    "leakyrelu": (lambda x, alpha: leaky_relu(x, alpha=alpha), (0.01,)),
    "elu": (lambda x, alpha: elu(x, alpha=alpha), (1.0,)),
    "thresholdedrelu": (
        lambda x, alpha: where(greater(x, scalar_like(alpha, x)), x, scalar_like(0.0, x)),
        (1.0,),
    ),
    "hardsigmoid": (lambda x, alpha, beta: hard_sigmoid(x, alpha=alpha, beta=beta), (0.2, 0.5)),
    "affine": (lambda x, alpha, beta: add(mul(x, scalar_like(alpha, x)), scalar_like(beta, x)), (1.0, 0.0)),
    "scaledtanh": (
        lambda x, alpha, beta: mul(tanh(mul(x, scalar_like(beta, x))), scalar_like(alpha, x)),
        (1.0, 1.0),
    ),
}


def bounded_activations(text: str, clip: float) -> list[Activation]:
    """Each word as a function whose input is kept within +-``clip``.

    Raises:
        AttributeTypeError: a word is no activation; lists the nearest.
    """
    return [bounded(activation(word), clip) for word in text.split()]


def activation(word: str) -> Activation:
    name, *given = word.split(":")
    if name not in ACTIVATIONS:
        raise AttributeTypeError(f"no activation '{name}'", help=did_you_mean(name, ACTIVATIONS))
    function, defaults = ACTIVATIONS[name]
    parameters = [float(text) for text in given]
    if len(parameters) > len(defaults):
        raise AttributeTypeError(f"activation {name} takes {len(defaults)} parameters, {len(parameters)} given")
    return lambda x: function(x, *parameters, *defaults[len(parameters) :])


def bounded(function: Activation, clip: float) -> Activation:
    if not clip:
        return function
    return lambda x: function(minimum(maximum(x, scalar_like(-clip, x)), scalar_like(clip, x)))


@composite
def lstm_cell(i: Value, f: Value, g: Value, o: Value, c: Value) -> tuple[Value, ...]:
    """One step of an LSTM behind its products: c' = sigmoid(f) c + sigmoid(i) tanh(g), h = sigmoid(o) tanh(c').

    Shapes: all [.., h]. Results: h, c'. Source: Hochreiter, Schmidhuber 1997.
    """
    c_next = add(mul(sigmoid(f), c), mul(sigmoid(i), tanh(g)))
    return mul(sigmoid(o), tanh(c_next)), c_next
