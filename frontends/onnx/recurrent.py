"""LSTM, GRU and RNN: one composite for each direction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.attributes import Attribute
from ircost.ir.graph import Value
from ircost.ir.ops.recurrent import ACTIVATIONS
from ircost.ir.types import TensorType

Direction = Callable[[int, Value, Value, Value, bool], Sequence[Value]]
# Defaults are "the same as of corresponding ONNX operators", and for these there is none; an offset is left out as 0.
WITHOUT_DEFAULT = {"affine": ("alpha",), "scaledtanh": ("alpha", "beta")}


@lowering("LSTM")
def lstm(node: Node) -> list[Value]:
    def direction(index: int, x: Value, w: Value, r: Value, reverse: bool) -> Sequence[Value]:
        h, c = (initial_state(node, index, i, x, r) for i in (5, 6))
        more, attrs = lstm_options(node, index, reverse)
        return ops.lstm.results(x, w, r, ops.add(*two_biases(node, index, 4)), h, c, *more, **attrs)

    return run_directions(node, direction)


def lstm_options(node: Node, direction: int, reverse: bool) -> tuple[list[Value], dict[str, Attribute]]:
    """Peepholes and lengths where there are such, and the attributes of one direction."""
    has_peepholes = node.get(7) is not None and not is_zero(node, 7)
    lengths = lengths_of(node)
    attrs: dict[str, Attribute] = {
        **shared_attributes(node, direction, ("Sigmoid", "Tanh", "Tanh")),
        "reverse": reverse,
        "input_forget": bool(node.int("input_forget", 0)),
        "has_peepholes": has_peepholes,
        "has_lengths": bool(lengths),
    }
    return [*([part(node[7], direction)] if has_peepholes else []), *lengths], attrs


@lowering("GRU")
def gru(node: Node) -> list[Value]:
    def direction(index: int, x: Value, w: Value, r: Value, reverse: bool) -> Sequence[Value]:
        h = initial_state(node, index, 5, x, r)
        attrs = {**shared_attributes(node, index, ("Sigmoid", "Tanh")), "reverse": reverse}
        after = bool(node.int("linear_before_reset", 0))
        bias = two_biases(node, index, 3)
        return ops.gru.results(x, w, r, *bias, h, *lengths_of(node), linear_before_reset=after, **attrs)

    return run_directions(node, direction)


@lowering("RNN")
def rnn(node: Node) -> list[Value]:
    def direction(index: int, x: Value, w: Value, r: Value, reverse: bool) -> Sequence[Value]:
        h = initial_state(node, index, 5, x, r)
        attrs = {**shared_attributes(node, index, ("Tanh",)), "reverse": reverse}
        return ops.rnn.results(x, w, r, ops.add(*two_biases(node, index, 1)), h, *lengths_of(node), **attrs)

    return run_directions(node, direction)


def shared_attributes(node: Node, direction: int, default: tuple[str, ...]) -> dict[str, Attribute]:
    """Activations of one direction, and the clip.

    Those that take parameters take the next of ``activation_alpha`` and ``activation_beta``, as far as there are any.
    """
    given = node.strings("activations", default * 2)
    alphas, betas = (list(node.floats(f"activation_{name}", ())) for name in ("alpha", "beta"))
    words = []
    for name in given:
        _, defaults = ACTIVATIONS.get(name.lower(), (None, ()))
        for parameter, rest in (("alpha", alphas), ("beta", betas)):
            if not rest and parameter in WITHOUT_DEFAULT.get(name.lower(), ()):
                raise node.error(
                    f"activation {name} needs its {parameter}, for which ONNX has no usual value",
                    help=f"activation_{parameter} has an entry for each activation that takes one, in order",
                )
        parameters = [rest.pop(0) if rest else number for number, rest in zip(defaults, (alphas, betas), strict=False)]
        words.append(":".join([name.lower(), *map(repr, parameters)]))
    count = len(default)
    if len(words) < count * (direction + 1):
        raise node.error(f"{len(words)} activations are given, {count} for each direction expected")
    own = words[count * direction : count * (direction + 1)]
    return {"activations": " ".join(own), "clip": node.float("clip", 0.0)}


def lengths_of(node: Node) -> list[Value]:
    """Lengths of the sequences of the batch, unless all are known to be whole."""
    lengths = node.get(4)
    if lengths is None:
        return []
    known = ops.constant_value(lengths)
    steps = node[0].type.shape[1 if node.int("layout", 0) else 0]
    return [] if known is not None and bool((known == steps).all()) else [lengths]


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


def two_biases(node: Node, index: int, gates: int, hidden: int = 0) -> tuple[Value, Value]:
    """Biases of the input's and of the state's product; zeros where there is none."""
    hidden = hidden or node[2].type.shape[-1]
    type = TensorType((gates * hidden,), node[0].type.dtype)
    if node.get(3) is None:
        return ops.splat(0.0, type), ops.splat(0.0, type)
    both = part(node[3], index)
    first, second = (ops.slice(both, starts=(i * gates * hidden,), size=(gates * hidden,)) for i in (0, 1))
    return first, second


def initial_state(node: Node, direction: int, index: int, x: Value, r: Value, hidden: int = 0) -> Value:
    state = node.get(index)
    if state is None:
        return ops.splat(0.0, TensorType((x.type.shape[1], hidden or r.type.shape[-1]), x.type.dtype))
    if node.int("layout", 0):
        state = ops.transpose(state, perm=(1, 0, 2))
    return part(state, direction)


def is_zero(node: Node, index: int) -> bool:
    array = node.constant(index)
    return array is not None and not array.any()
