"""Softmax, norms and attention: composites that ONNX has as operators. Others are emitted by their bodies."""

from __future__ import annotations

from ircost.backends.onnx.emitter import Scope, emits
from ircost.backends.onnx.node import Input, node
from ircost.ir.attributes import float_of, int_of
from ircost.ir.graph import Op
from ircost.ir.types import f32


@emits("softmax", "log_softmax")
def emit_softmax(op: Op, scope: Scope) -> Input:
    operator = "Softmax" if op.name == "softmax" else "LogSoftmax"
    return node(operator, op.operands[0], axis=int_of(op.attrs, "axis"))


@emits("layer_norm")
def emit_layer_norm(op: Op, scope: Scope) -> Input:
    """Scale and bias must have the shape that is normalised; ONNX broadcasts them to x, not x to them."""
    x, scale, bias = op.operands
    axis = int_of(op.attrs, "axis")
    inner = x.type.shape[axis % x.type.rank :]
    if x.type.bounded or scale.type.shape != inner or bias.type.shape != inner or x.type.dtype != f32:
        return None
    return node("LayerNormalization", x, scale, bias, axis=axis, epsilon=float_of(op.attrs, "epsilon"))


@emits("batch_norm")
def emit_batch_norm(op: Op, scope: Scope) -> Input:
    if len({operand.type.dtype for operand in op.operands}) > 1:
        return None
    return node("BatchNormalization", *op.operands, epsilon=float_of(op.attrs, "epsilon"))


@emits("group_norm")
def emit_instance_norm(op: Op, scope: Scope) -> Input:
    """One channel a group; others by their body, until opset 21 is what every runtime has."""
    x, scale, bias = op.operands
    if int_of(op.attrs, "groups") != x.type.shape[1] or x.type.rank < 3 or x.type.dtype != f32:
        return None
    return node("InstanceNormalization", x, scale, bias, epsilon=float_of(op.attrs, "epsilon"))
