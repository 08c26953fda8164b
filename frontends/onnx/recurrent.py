"""LSTM, GRU and RNN: one composite for each direction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ircost.frontends.onnx.node import Node, lowering
from ircost.frontends.onnx.normalization import splat
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.ops.recurrent import RNN_ACTIVATIONS
from ircost.ir.types import TensorType

Direction = Callable[[int, Value, Value, Value, bool], Sequence[Value]]


@lowering("LSTM")
def lstm(node: Node) -> list[Value]:
    check_activations(node, ("Sigmoid", "Tanh", "Tanh"))
    node.refuse_attributes(input_forget=0)
    if node.get(7) is not None and not is_zero(node, 7):
        raise node.error("peephole weights (input 7) are not supported")

    def direction(index: int, x: Value, w: Value, r: Value, reverse: bool) -> Sequence[Value]:
        bias = two_biases(node, index, 4)
        h, c = (initial_state(node, index, i, x, r) for i in (5, 6))
        return ops.lstm.results(x, w, r, ops.add(*bias), h, c, reverse=reverse)

    return run_directions(node, direction)


@lowering("GRU")
def gru(node: Node) -> list[Value]:
    check_activations(node, ("Sigmoid", "Tanh"))

    def direction(index: int, x: Value, w: Value, r: Value, reverse: bool) -> Sequence[Value]:
        bias = two_biases(node, index, 3)
        h = initial_state(node, index, 5, x, r)
        after = bool(node.int("linear_before_reset", 0))
        return ops.gru.results(x, w, r, *bias, h, reverse=reverse, linear_before_reset=after)

    return run_directions(node, direction)


@lowering("RNN")
def rnn(node: Node) -> list[Value]:
    check_sequence(node)
    activations = [name.lower() for name in node.strings("activations", ("Tanh",))]

    def direction(index: int, x: Value, w: Value, r: Value, reverse: bool) -> Sequence[Value]:
        activation = activations[index % len(activations)]
        if activation not in RNN_ACTIVATIONS:
            raise node.error(f"activation {activation} is not supported, only {', '.join(RNN_ACTIVATIONS)}")
        bias = two_biases(node, index, 1)
        h = initial_state(node, index, 5, x, r)
        return ops.rnn.results(x, w, r, ops.add(*bias), h, reverse=reverse, activation=activation)

    return run_directions(node, direction)


def check_activations(node: Node, default: tuple[str, ...]) -> None:
    given = node.strings("activations", ())
    if any(name.lower() != default[i % len(default)].lower() for i, name in enumerate(given)):
        raise node.error(f"activations {list(given)} are not supported, only {list(default)}")
    check_sequence(node)


def check_sequence(node: Node) -> None:
    """All steps of all rows, and nothing clipped."""
    if "clip" in node.attributes:
        raise node.error("attribute clip is not supported")
    lengths = node.constant(4)
    steps = node[0].type.shape[1 if node.int("layout", 0) else 0]
    if node.get(4) is not None and (lengths is None or not bool((lengths == steps).all())):
        raise node.error("sequence_lens (input 4) shorter than the input are not supported")


def run_directions(node: Node, direction: Direction) -> list[Value]:
    """All steps [t, d, n, h], then each last state [d, n, h]; ``layout`` = 1 puts the batch first."""
    x = node[0]
    batch_first = bool(node.int("layout", 0))
    if batch_first:
        x = ops.transpose(x, perm=(1, 0, 2))
    which = node.string("direction", "forward")
    reversals = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}.get(which)
    if reversals is None:
        raise node.error(f"direction = '{which}' is not known")
    outputs = [direction(i, x, part(node[1], i), part(node[2], i), reverse) for i, reverse in enumerate(reversals)]
    stacked = []
    for position, values in enumerate(zip(*outputs, strict=True)):
        axis = 1 if position == 0 else 0
        whole = [ops.reshape(v, shape=(*v.type.shape[:axis], 1, *v.type.shape[axis:])) for v in values]
        value = ops.concat(*whole, axis=axis) if len(whole) > 1 else whole[0]
        if batch_first:
            value = ops.transpose(value, perm=(2, 0, 1, 3) if position == 0 else (1, 0, 2))
        stacked.append(value)
    return stacked


def part(value: Value, index: int) -> Value:
    """Entry ``index`` of the first axis."""
    shape = value.type.shape[1:]
    starts = (index, *(0 for _ in shape))
    row = value if value.type.shape[0] == 1 else ops.slice(value, starts=starts, size=(1, *shape))
    return ops.reshape(row, shape=shape)


def two_biases(node: Node, index: int, gates: int) -> tuple[Value, Value]:
    """Biases of the input's and of the state's product; zeros where there is none."""
    hidden = node[2].type.shape[-1]
    type = TensorType((gates * hidden,), node[0].type.dtype)
    if node.get(3) is None:
        return splat(0.0, type), splat(0.0, type)
    both = part(node[3], index)
    first, second = (ops.slice(both, starts=(i * gates * hidden,), size=(gates * hidden,)) for i in (0, 1))
    return first, second


def initial_state(node: Node, direction: int, index: int, x: Value, r: Value) -> Value:
    state = node.get(index)
    if state is None:
        return splat(0.0, TensorType((x.type.shape[1], r.type.shape[-1]), x.type.dtype))
    if node.int("layout", 0):
        state = ops.transpose(state, perm=(1, 0, 2))
    return part(state, direction)


def is_zero(node: Node, index: int) -> bool:
    array = node.constant(index)
    return array is not None and not array.any()
