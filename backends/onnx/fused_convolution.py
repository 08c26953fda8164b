"""Convolutions of onnxruntime's own: with another operand added, and with an activation behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from ircost.backends.onnx.contraction import convolution, emit_bias
from ircost.backends.onnx.emitter import Scope, emits
from ircost.backends.onnx.node import Attributes, Input, Node, microsoft
from ircost.ir.attributes import float_of
from ircost.ir.graph import Op, Value
from ircost.ir.types import f32

Activation: TypeAlias = tuple[str, tuple[float, ...]]
# Ops that are an activation by themselves, and those of their attributes that the operator wants as parameters.
ACTIVATIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    **{"relu": ("Relu", ()), "sigmoid": ("Sigmoid", ()), "tanh": ("Tanh", ())},
    **{"leaky_relu": ("LeakyRelu", ("alpha",)), "hard_sigmoid": ("HardSigmoid", ("alpha", "beta"))},
}
LEAST, MOST = -3.4028234663852886e38, 3.4028234663852886e38


@emits("add", is_special=True)
def emit_sum(op: Op, scope: Scope) -> Input:
    """conv(x, w) + b + z  ->  FusedConv(x, w, b, z), for a z of the result's type"""
    if scope.for_runtime != "onnxruntime":
        return None
    for x, addend in (op.operands, op.operands[::-1]):
        if addend.type == x.type == op.result.type and not scope.is_known(addend):
            made = convolution_in(x, scope)
            if made is not None:
                bias = (*made.inputs, None)[2]
                return microsoft("FusedConv", *made.inputs[:2], bias, addend, **made.attributes)
    return None


def convolution_in(x: Value, scope: Scope) -> Node | None:
    """The convolution, with its bias, that makes a value which one op alone reads."""
    inner = x.producer
    if inner is None or len(x.uses) != 1 or x.type.dtype != f32:
        return None
    made: Sequence[Input] | Input = None
    if inner.name == "conv":
        made = convolution(inner, ())
    elif inner.name == "add":
        made = emit_bias(inner, scope)
    return made if isinstance(made, Node) and made.operator == "Conv" else None


@emits(*ACTIVATIONS, "hard_swish", "maximum", "minimum", is_special=True)
def emit_fused_conv(op: Op, scope: Scope) -> Input:
    """relu(conv(x, w) + b + z)  ->  FusedConv"""
    if scope.for_runtime != "onnxruntime":
        return None
    found = activation(op, scope)
    if found is None:
        return None
    (word, parameters), x = found
    inner = x.producer
    made: Sequence[Input] | Input = convolution_in(x, scope)
    if made is None and inner is not None and inner.name == "add" and len(x.uses) == 1:
        made = emit_sum(inner, scope)
    if not isinstance(made, Node):
        return None
    attributes: Attributes = {**made.attributes, "activation": word}
    if parameters:
        attributes["activation_params"] = parameters
    return microsoft("FusedConv", *made.inputs, **attributes)


def activation(op: Op, scope: Scope) -> tuple[Activation, Value] | None:
    """The activation that ends in an op, and what it is of."""
    if op.name in ACTIVATIONS:
        word, names = ACTIVATIONS[op.name]
        return (word, tuple(float_of(op.attrs, name) for name in names)), op.operands[0]
    if op.name == "hard_swish":
        return (("HardSwish", ()), op.operands[0]) if scope.block else None
    return clip(op, scope)


def clip(op: Op, scope: Scope) -> tuple[Activation, Value] | None:
    """min(max(x, low), high), or one of the two alone."""
    bounds = {"maximum": LEAST, "minimum": MOST}
    value, seen = op.result, set[str]()
    while value.producer is not None and value.producer.name in {*bounds} - seen:
        inner = value.producer
        if value is not op.result and (len(value.uses) > 1 or op.name == "maximum"):
            break
        x, bound = inner.operands[::-1] if scope.is_known(inner.operands[0]) else inner.operands
        if not scope.is_known(bound) or bound.type.elements != 1 or x.type != value.type:
            break
        bounds[inner.name] = float(scope.array(bound).reshape(()))
        seen.add(inner.name)
        value = x
    if not seen or value.type.dtype != f32:
        return None
    return ("Clip", (bounds["maximum"], bounds["minimum"])), value
