"""LSTM, GRU and RNN: one composite for each layer and direction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ircost.frontends.torch.call import Call, lowering
from ircost.frontends.torch.shape import part
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import TensorType

Direction = Callable[[Value, Sequence[Value], int, bool], Sequence[Value]]


def reordered(x: Value, order: Sequence[int]) -> Value:
    """Gates, which lie one after another along axis 0, in another order."""
    width = x.type.shape[0] // len(order)
    return ops.concat(*(part(x, 0, gate * width, width) for gate in order), axis=0)


IFGO_TO_IOFC = (0, 3, 1, 2)  # PyTorch's order of an LSTM's gates to ONNX's
RZN_TO_ZRN = (1, 0, 2)  # of a GRU's


def biases(weights: Sequence[Value], x: Value) -> list[Value]:
    """Of the input's and of the state's product; zeros where there are none."""
    if len(weights) >= 4:
        return list(weights[2:4])
    none = ops.splat(0.0, TensorType(weights[0].type.shape[:1], x.type.dtype))
    return [none, none]


def run_layers(
    x: Value,
    params: Sequence[Value],
    per_direction: int,
    layers: int,
    bidirectional: bool,
    batch_first: bool,
    direction: Direction,
) -> list[Value]:
    """All states, then each kind of last state stacked over layers and directions."""
    is_unbatched = x.type.rank == 2
    if is_unbatched:
        x = ops.reshape(x, shape=(x.type.shape[0], 1, x.type.shape[1]))
    elif batch_first:
        x = ops.transpose(x, perm=(1, 0, 2))
    lasts: list[Sequence[Value]] = []
    for layer in range(layers):
        outputs = []
        for reverse in (False, True)[: 1 + bidirectional]:
            number = layer * (1 + bidirectional) + reverse
            weights = params[number * per_direction : (number + 1) * per_direction]
            states, *last = direction(x, weights, number, reverse)
            outputs.append(states)
            lasts.append(last)
        x = ops.concat(*outputs, axis=2) if bidirectional else outputs[0]
    stacked = []
    for kind in zip(*lasts, strict=True):
        rows = [ops.reshape(value, shape=(1, *value.type.shape)) for value in kind]
        stacked.append(ops.concat(*rows, axis=0) if len(rows) > 1 else rows[0])
    if is_unbatched:
        return [squeezed(value) for value in (x, *stacked)]
    return [ops.transpose(x, perm=(1, 0, 2)) if batch_first else x, *stacked]


def squeezed(x: Value) -> Value:
    """Without the batch, which is axis 1."""
    return ops.reshape(x, shape=(x.type.shape[0], x.type.shape[2]))


def state(value: Value, number: int) -> Value:
    """[n, h] of one layer and direction."""
    row = part(value, 0, number, 1)
    shape = value.type.shape[1:] if value.type.rank == 3 else (1, value.type.shape[1])
    return ops.reshape(row, shape=shape)


@lowering("lstm.input")
def lstm(
    call: Call,
    x: Value,
    hx: Sequence[Value],
    params: Sequence[Value],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> list[Value]:
    call.need_eval(train and dropout > 0)
    per_direction = 2 + 2 * has_biases
    groups = num_layers * (1 + bidirectional)
    if len(params) != per_direction * groups:
        raise call.error("a projection of the state (proj_size) is not supported")

    def direction(x: Value, weights: Sequence[Value], number: int, reverse: bool) -> Sequence[Value]:
        w, r = (reordered(weight, IFGO_TO_IOFC) for weight in weights[:2])
        bias = reordered(ops.add(*biases(weights, x)), IFGO_TO_IOFC)
        return ops.lstm.results(x, w, r, bias, state(hx[0], number), state(hx[1], number), reverse=reverse)

    return run_layers(x, params, per_direction, num_layers, bidirectional, batch_first, direction)


@lowering("gru.input")
def gru(
    call: Call,
    x: Value,
    hx: Value,
    params: Sequence[Value],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> list[Value]:
    call.need_eval(train and dropout > 0)

    def direction(x: Value, weights: Sequence[Value], number: int, reverse: bool) -> Sequence[Value]:
        w, r = (reordered(weight, RZN_TO_ZRN) for weight in weights[:2])
        both = [reordered(bias, RZN_TO_ZRN) for bias in biases(weights, x)]
        return ops.gru.results(x, w, r, *both, state(hx, number), reverse=reverse, linear_before_reset=True)

    return run_layers(x, params, 2 + 2 * has_biases, num_layers, bidirectional, batch_first, direction)


@lowering("rnn_tanh.input", "rnn_relu.input")
def rnn(
    call: Call,
    x: Value,
    hx: Value,
    params: Sequence[Value],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> list[Value]:
    call.need_eval(train and dropout > 0)
    activation = "tanh" if "tanh" in call.operator else "relu"

    def direction(x: Value, weights: Sequence[Value], number: int, reverse: bool) -> Sequence[Value]:
        bias = ops.add(*biases(weights, x))
        return ops.rnn.results(x, *weights[:2], bias, state(hx, number), reverse=reverse, activations=activation)

    return run_layers(x, params, 2 + 2 * has_biases, num_layers, bidirectional, batch_first, direction)
