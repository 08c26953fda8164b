"""Element-wise operators."""

from __future__ import annotations

from functools import reduce

import numpy as np

from ircost.frontends.onnx.node import Node, lowering
from ircost.frontends.onnx.sequence_value import OnnxValue
from ircost.ir import ops
from ircost.ir.definition import OpDefinition
from ircost.ir.graph import Value

# Operators whose inputs and meaning are those of one op.
SAME: dict[str, OpDefinition] = {
    **{"Add": ops.add, "Sub": ops.sub, "Mul": ops.mul, "Div": ops.div, "Pow": ops.pow, "Neg": ops.neg, "Abs": ops.abs},
    **{"Sign": ops.sign, "Reciprocal": ops.reciprocal, "Floor": ops.floor, "Ceil": ops.ceil, "Round": ops.round},
    **{"Exp": ops.exp, "Log": ops.log, "Sqrt": ops.sqrt, "Erf": ops.erf, "Tanh": ops.tanh, "Sin": ops.sin},
    **{"Cos": ops.cos, "Tan": ops.tan, "Asin": ops.asin, "Acos": ops.acos, "Atan": ops.atan, "Sinh": ops.sinh},
    **{"Cosh": ops.cosh, "Asinh": ops.asinh, "Acosh": ops.acosh, "Atanh": ops.atanh, "Relu": ops.relu},
    **{"Softplus": ops.softplus, "Sigmoid": ops.sigmoid, "HardSwish": ops.hard_swish, "PRelu": ops.prelu},
    **{"Less": ops.less, "LessOrEqual": ops.less_equal, "Greater": ops.greater, "GreaterOrEqual": ops.greater_equal},
    **{"And": ops.logical_and, "Or": ops.logical_or, "Xor": ops.logical_xor, "Not": ops.logical_not},
    **{"BitwiseAnd": ops.bitwise_and, "BitwiseOr": ops.bitwise_or, "BitwiseXor": ops.bitwise_xor},
    **{"BitwiseNot": ops.bitwise_not, "Equal": ops.equal, "IsNaN": ops.isnan, "Where": ops.where},
}


def lower_same(node: Node) -> Value:
    """The op that the table names, on all inputs."""
    return SAME[node.proto.op_type](*node.given)


lowering(*SAME)(lower_same)


@lowering("Identity")
def identity(node: Node) -> OnnxValue:
    """Of sequences and optionals, too."""
    given = node.raw(0)
    return node[0] if given is None else given


@lowering("Max")
def maximum(node: Node) -> Value:
    return reduce(ops.maximum, node.given)


@lowering("Min")
def minimum(node: Node) -> Value:
    return reduce(ops.minimum, node.given)


@lowering("Sum")
def add_all(node: Node) -> Value:
    return reduce(ops.add, node.given)


@lowering("Mean")
def mean(node: Node) -> Value:
    total = add_all(node)
    assert isinstance(total, Value)
    return ops.div(total, node.like(len(node.given), total))


@lowering("Mod")
def mod(node: Node) -> Value:
    return (ops.fmod if node.int("fmod", 0) else ops.mod)(node[0], node[1])


@lowering("BitShift")
def bit_shift(node: Node) -> Value:
    shifts = {"LEFT": ops.shift_left, "RIGHT": ops.shift_right}
    direction = node.string("direction", "")
    if direction not in shifts:
        raise node.error(f"direction = '{direction}' is neither LEFT nor RIGHT")
    return shifts[direction](node[0], node[1])


@lowering("Clip")
def clip(node: Node) -> Value:
    """Bounds were attributes up to opset 10."""
    x = node[0]
    low, high = node.get(1), node.get(2)
    if node.opset < 11:
        low = node.like(node.float("min", 0), x) if "min" in node.attributes else None
        high = node.like(node.float("max", 0), x) if "max" in node.attributes else None
    if low is not None:
        x = ops.maximum(x, low)
    return ops.minimum(x, high) if high is not None else x


@lowering("LeakyRelu")
def leaky_relu(node: Node) -> Value:
    return ops.leaky_relu(node[0], alpha=node.float("alpha", 0.01))


@lowering("Elu")
def elu(node: Node) -> Value:
    return ops.elu(node[0], alpha=node.float("alpha", 1.0))


@lowering("Selu")
def selu(node: Node) -> Value:
    x = node[0]
    alpha, gamma = node.float("alpha", 1.67326319217681884765625), node.float("gamma", 1.05070102214813232421875)
    return ops.mul(ops.elu(x, alpha=alpha), node.like(gamma, x))


@lowering("Celu")
def celu(node: Node) -> Value:
    x, alpha = node[0], node.float("alpha", 1.0)
    scale = node.like(alpha, x)
    return ops.mul(ops.elu(ops.div(x, scale)), scale)


@lowering("ThresholdedRelu")
def thresholded_relu(node: Node) -> Value:
    x = node[0]
    return ops.where(ops.greater(x, node.like(node.float("alpha", 1.0), x)), x, node.like(0, x))


@lowering("HardSigmoid")
def hard_sigmoid(node: Node) -> Value:
    return ops.hard_sigmoid(node[0], alpha=node.float("alpha", 0.2), beta=node.float("beta", 0.5))


@lowering("Softsign")
def softsign(node: Node) -> Value:
    x = node[0]
    return ops.div(x, ops.add(node.like(1, x), ops.abs(x)))


@lowering("Gelu")
def gelu(node: Node) -> Value:
    approximate = node.string("approximate", "none")
    if approximate not in ("none", "tanh"):
        raise node.error(f"approximate = '{approximate}' is not known")
    return (ops.gelu_tanh if approximate == "tanh" else ops.gelu)(node[0])


@lowering("Mish")
def mish(node: Node) -> Value:
    x = node[0]
    return ops.mul(x, ops.tanh(ops.softplus(x)))


@lowering("Swish")
def swish(node: Node) -> Value:
    x, alpha = node[0], node.float("alpha", 1.0)
    if alpha == 1.0:
        return ops.silu(x)
    return ops.mul(x, ops.sigmoid(ops.mul(x, node.like(alpha, x))))


@lowering("IsInf")
def isinf(node: Node) -> Value:
    x = node[0]
    positive, negative = node.int("detect_positive", 1), node.int("detect_negative", 1)
    if positive and negative:
        return ops.isinf(x)
    if not positive and not negative:
        return ops.constant_of(np.zeros(x.type.shape, np.bool_))
    zero = node.like(0, x)
    side = ops.greater(x, zero) if positive else ops.less(x, zero)
    return ops.logical_and(ops.isinf(x), side)
