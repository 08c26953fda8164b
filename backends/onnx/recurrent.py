"""Recurrent layers: ONNX's own operators, one direction each."""

from __future__ import annotations

import numpy as np

from ircost.backends.onnx.emitter import Scope, emits
from ircost.backends.onnx.node import Attributes, Input, Known, Node, Output, microsoft, node, whole_numbers
from ircost.ir.attributes import float_of
from ircost.ir.graph import Op, Value

# Words of ours for ONNX's activations.
ACTIVATIONS = {
    **{"tanh": "Tanh", "relu": "Relu", "sigmoid": "Sigmoid", "softsign": "Softsign", "softplus": "Softplus"},
    **{"leakyrelu": "LeakyRelu", "thresholdedrelu": "ThresholdedRelu", "scaledtanh": "ScaledTanh"},
    **{"hardsigmoid": "HardSigmoid", "elu": "Elu", "affine": "Affine"},
}


def directed(value: Value, scope: Scope, axis: int = 0) -> Input:
    """With the axis of directions, which is 1."""
    if scope.is_known(value):
        return Known(value, f"direction {axis}", lambda a: np.expand_dims(a, axis))
    return node("Unsqueeze", value, whole_numbers(axis))


def attributes_of(op: Op) -> Attributes | None:
    """None where an activation is not one of ONNX's."""
    words = [word.split(":") for word in str(op.attrs["activations"]).split()]
    if any(word[0] not in ACTIVATIONS for word in words):
        return None
    hidden = op.results[1].type.shape[-1]
    attributes: Attributes = {
        "hidden_size": hidden,
        "activations": tuple(ACTIVATIONS[word[0]] for word in words),
        "direction": "reverse" if op.attrs["reverse"] else "forward",
    }
    alphas, betas = (tuple(float(word[i]) for word in words if len(word) > i) for i in (1, 2))
    if alphas:
        attributes["activation_alpha"] = alphas
    if betas:
        attributes["activation_beta"] = betas
    clip = float_of(op.attrs, "clip")
    return {**attributes, "clip": clip} if clip else attributes


def results(made: Node, op: Op) -> list[Input]:
    """All steps without the axis of directions, then the last states."""
    return [node("Squeeze", Output(made, i), whole_numbers(1 if i == 0 else 0)) for i in range(len(op.results))]


def both_biases(value: Value, scope: Scope) -> Input:
    """The bias of the input's product, and zeros for that of the state's."""
    if scope.is_known(value):
        return Known(value, "and zeros", lambda a: np.concatenate([a, np.zeros_like(a)])[None])
    zeros = node("Mul", value, node("CastLike", whole_numbers(0), value))
    return node("Unsqueeze", node("Concat", value, zeros, axis=0), whole_numbers(0))


def lengths_of(values: list[Value]) -> Input:
    if not values:
        return None
    return values[0] if values[0].type.dtype.name == "i32" else node("Cast", values[0], to=6)


@emits("lstm")
def emit_lstm(op: Op, scope: Scope) -> list[Input] | None:
    attributes = attributes_of(op)
    if attributes is None:
        return None
    x, w, r, bias, h0, c0, *more = op.operands
    peepholes = directed(more.pop(0), scope) if op.attrs["has_peepholes"] else None
    weights = [directed(value, scope) for value in (w, r)]
    states = [directed(value, scope) for value in (h0, c0)]
    inputs: list[Input] = [x, *weights, both_biases(bias, scope), lengths_of(more), *states]
    if peepholes is not None:
        inputs.append(peepholes)
    if op.attrs["input_forget"]:
        attributes["input_forget"] = 1
    return results(node("LSTM", *inputs, outputs=3, **attributes), op)


@emits("gru")
def emit_gru(op: Op, scope: Scope) -> list[Input] | None:
    attributes = attributes_of(op)
    if attributes is None or not (scope.is_known(op.operands[3]) and scope.is_known(op.operands[4])):
        return None
    x, w, r, bias, state_bias, h0, *more = op.operands
    other = scope.array(state_bias)
    biases = Known(bias, f"and {id(state_bias)}", lambda a: np.concatenate([a, other])[None])
    inputs = [x, directed(w, scope), directed(r, scope), biases, lengths_of(more), directed(h0, scope)]
    if op.attrs["linear_before_reset"]:
        attributes["linear_before_reset"] = 1
    return results(node("GRU", *inputs, outputs=2, **attributes), op)


@emits("rnn")
def emit_rnn(op: Op, scope: Scope) -> list[Input] | None:
    attributes = attributes_of(op)
    if attributes is None:
        return None
    x, w, r, bias, h0, *more = op.operands
    inputs = [x, directed(w, scope), directed(r, scope), both_biases(bias, scope), lengths_of(more)]
    return results(node("RNN", *inputs, directed(h0, scope), outputs=2, **attributes), op)


@emits("dynamic_quantized_lstm")
def emit_dynamic_quantized_lstm(op: Op, scope: Scope) -> list[Input] | None:
    """onnxruntime's own operator, for every runtime: it comes from a model that has it, and no standard one is it."""
    attributes = attributes_of(op)
    if attributes is None:
        return None
    x, w, r, bias, h0, c0, w_scale, w_zero, r_scale, r_zero, *more = op.operands
    peepholes = directed(more.pop(0), scope) if op.attrs["has_peepholes"] else None
    if op.attrs["input_forget"]:
        attributes["input_forget"] = 1
    quantised = [vector(value, scope) for value in (w_scale, w_zero, r_scale, r_zero)]
    weights = [directed(value, scope) for value in (w, r)]
    states = [directed(value, scope) for value in (h0, c0)]
    inputs = [x, *weights, both_biases(bias, scope), lengths_of(more), *states, peepholes, *quantised]
    return results(microsoft("DynamicQuantizeLSTM", *inputs, outputs=3, **attributes), op)


def vector(value: Value, scope: Scope) -> Input:
    """A scale or zero point with the axis of directions: one for all, or one for each column."""
    shape = (1,) if value.type.elements == 1 else (1, value.type.elements)
    if scope.is_known(value):
        return Known(value, f"directions {shape}", lambda a: a.reshape(shape))
    return node("Reshape", value, whole_numbers(*shape))
