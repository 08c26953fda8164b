"""Element-wise ops."""

from __future__ import annotations

import math

import numpy as np

from ircost.backends.onnx.element_types import LEAST_OPSET, element_type
from ircost.backends.onnx.emitter import Scope, emits
from ircost.backends.onnx.node import Array, Input, Known, microsoft, node, number_like
from ircost.ir.attributes import float_of
from ircost.ir.graph import Op, Value, sole_producer
from ircost.ir.numpy_dtypes import numpy_dtype
from ircost.ir.types import DType, f32, i32, i64, u32, u64

# Ops whose operands and meaning are those of one operator.
SAME = {
    **{"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "pow": "Pow", "neg": "Neg", "abs": "Abs"},
    **{"sign": "Sign", "reciprocal": "Reciprocal", "floor": "Floor", "ceil": "Ceil", "round": "Round"},
    **{"exp": "Exp", "log": "Log", "sqrt": "Sqrt", "erf": "Erf", "tanh": "Tanh", "sin": "Sin", "cos": "Cos"},
    **{"tan": "Tan", "asin": "Asin", "acos": "Acos", "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh"},
    **{"asinh": "Asinh", "acosh": "Acosh", "atanh": "Atanh", "relu": "Relu", "softplus": "Softplus"},
    **{"sigmoid": "Sigmoid", "hard_swish": "HardSwish", "less": "Less", "less_equal": "LessOrEqual"},
    **{"greater": "Greater", "greater_equal": "GreaterOrEqual", "logical_and": "And", "logical_or": "Or"},
    **{"logical_xor": "Xor", "logical_not": "Not", "bitwise_and": "BitwiseAnd", "bitwise_or": "BitwiseOr"},
    **{"bitwise_xor": "BitwiseXor", "bitwise_not": "BitwiseNot", "equal": "Equal", "isnan": "IsNaN"},
    **{"isinf": "IsInf", "where": "Where", "maximum": "Max", "minimum": "Min"},
}


@emits(*SAME)
def emit_same(op: Op, scope: Scope) -> Input:
    opset = 20 if op.name == "isinf" else LEAST_OPSET  # before, not of half precision
    return node(SAME[op.name], *op.operands, opset=opset)


@emits("leaky_relu", "elu")
def emit_with_alpha(op: Op, scope: Scope) -> Input:
    return node({"leaky_relu": "LeakyRelu", "elu": "Elu"}[op.name], *op.operands, alpha=float_of(op.attrs, "alpha"))


@emits("hard_sigmoid")
def emit_hard_sigmoid(op: Op, scope: Scope) -> Input:
    return node("HardSigmoid", *op.operands, alpha=float_of(op.attrs, "alpha"), beta=float_of(op.attrs, "beta"))


@emits("prelu")
def emit_prelu(op: Op, scope: Scope) -> Input:
    """PRelu's slope broadcasts to x, never x to the slope."""
    x, slope = op.operands
    if x.type == op.result.type:
        return node("PRelu", x, slope)
    return node("Where", node("Less", x, number_like(0, x)), node("Mul", x, slope), x)


@emits("mod", "fmod")
def emit_mod(op: Op, scope: Scope) -> Input:
    x, y = op.operands
    if op.name == "fmod":
        return node("Mod", x, y, fmod=1)
    if not x.type.dtype.is_float:
        return node("Mod", x, y)
    rest = node("Mod", x, y, fmod=1)  # which has the sign of the dividend
    differs = node("Less", node("Mul", node("Sign", rest), node("Sign", y)), number_like(0, x))
    return node("Where", differs, node("Add", rest, y), rest)


@emits("rsqrt")
def emit_rsqrt(op: Op, scope: Scope) -> Input:
    return node("Reciprocal", node("Sqrt", op.operands[0]))


@emits("silu", "quick_gelu")
def emit_silu(op: Op, scope: Scope) -> Input:
    (x,) = op.operands
    alpha = 1.0 if op.name == "silu" else 1.702
    if scope.for_runtime == "onnxruntime" and x.type.dtype == f32:
        return microsoft("QuickGelu", x, alpha=alpha)
    return node("Mul", x, node("Sigmoid", x if alpha == 1.0 else node("Mul", x, number_like(alpha, x))))


@emits("swiglu")
def emit_swiglu(op: Op, scope: Scope) -> Input:
    gate, up = op.operands
    return node("Mul", node("Mul", gate, node("Sigmoid", gate)), up)


@emits("gelu", "gelu_tanh")
def emit_gelu(op: Op, scope: Scope) -> Input:
    (x,) = op.operands
    if x.type.dtype == f32:
        return node("Gelu", x, opset=20, approximate="tanh" if op.name == "gelu_tanh" else "none")
    half = node("Mul", x, number_like(0.5, x))
    if op.name == "gelu":
        inner = node("Erf", node("Mul", x, number_like(math.sqrt(0.5), x)))
    else:
        cube = node("Mul", node("Mul", node("Mul", x, x), x), number_like(0.044715, x))
        inner = node("Tanh", node("Mul", node("Add", x, cube), number_like(math.sqrt(2 / math.pi), x)))
    return node("Mul", half, node("Add", inner, number_like(1.0, x)))


@emits("not_equal")
def emit_not_equal(op: Op, scope: Scope) -> Input:
    """x != 0 is a cast to bool."""
    x, y = op.operands
    if x.type.shape == op.result.type.shape and y.type.elements == 1 and is_number(scope, y, 0.0):
        return node("Cast", x, to=element_type(op.result.type.dtype))
    return node("Not", node("Equal", x, y))


@emits("shift_left", "shift_right")
def emit_shift(op: Op, scope: Scope) -> Input:
    """BitShift takes unsigned integers of 8 bits or more: other formats are shifted as integers of 32 or 64 bits.

    Rounding down is to shift the bits of ~x where x is negative, and to turn them around again.
    """
    x, count = op.operands
    dtype = op.result.type.dtype
    direction = "LEFT" if op.name == "shift_left" else "RIGHT"
    if not dtype.is_signed and dtype.bits >= 8:
        return node("BitShift", x, count, direction=direction)
    signed, unsigned = (i64, u64) if dtype.bits == 64 else (i32, u32)
    wide, places = converted(x, dtype, signed), converted(count, dtype, unsigned)
    if op.name == "shift_left" or not dtype.is_signed:
        bits = converted(wide, signed, unsigned)
        return converted(node("BitShift", bits, places, direction=direction), unsigned, dtype)
    is_negative = node("Less", wide, Array(np.zeros((), numpy_dtype(signed))))
    turned = node("Neg", node("Cast", is_negative, to=element_type(signed)))
    bits = converted(node("BitwiseXor", wide, turned), signed, unsigned)
    shifted = converted(node("BitShift", bits, places, direction=direction), unsigned, signed)
    return converted(node("BitwiseXor", shifted, turned), signed, dtype)


def converted(x: Input, dtype: DType, to: DType) -> Input:
    return x if dtype == to else node("Cast", x, to=element_type(to))


@emits("cast")
def emit_cast(op: Op, scope: Scope) -> Input:
    to = op.attrs["to"]
    assert isinstance(to, DType), "its kind was checked"
    is_narrow = to.is_float and to.bits == 8 and to.name != "f8e8m0"
    more = {"saturate": 0, "opset": 20} if is_narrow else {}
    return node("Cast", op.operands[0], to=element_type(to), **more)


@emits("bitcast")
def emit_bitcast(op: Op, scope: Scope) -> Input:
    return node("BitCast", op.operands[0], to=element_type(op.result.type.dtype), opset=26)


@emits("maximum", "minimum", is_special=True)
def emit_clip(op: Op, scope: Scope) -> Input:
    """min(max(x, low), high)  ->  Clip(x, low, high), for known numbers of one element"""
    bounds: dict[str, Input] = {}
    value = op.result
    while True:
        inner = value.producer
        if inner is None or inner.name not in ("maximum", "minimum") or inner.name in bounds:
            break
        if value is not op.result and (len(value.uses) > 1 or op.name == "maximum"):
            break  # a bound below the other one decides otherwise than Clip does, unless it is the lower one
        x, bound = inner.operands
        if scope.is_known(x):
            x, bound = bound, x
        if scope.is_known(x) or not scope.is_known(bound) or bound.type.elements != 1 or x.type != inner.result.type:
            break
        bounds[inner.name] = Known(bound, "scalar", lambda a: a.reshape(()))
        value = x
    if not bounds:
        return None
    return node("Clip", value, bounds.get("maximum"), *([bounds["minimum"]] if "minimum" in bounds else []))


@emits("div", is_special=True)
def emit_softsign(op: Op, scope: Scope) -> Input:
    """x / (1 + abs(x))  ->  Softsign(x)"""
    x, below = op.operands
    total = sole_producer(below, "add")
    for part, one in (total.operands, total.operands[::-1]) if total is not None and x.type.dtype == f32 else ():
        magnitude = sole_producer(part, "abs")
        if magnitude is not None and magnitude.operands[0] is x and is_number(scope, one, 1.0) and x.type == below.type:
            return node("Softsign", x)
    return None


@emits("where", is_special=True)
def emit_thresholded_relu(op: Op, scope: Scope) -> Input:
    """where(x > alpha, x, 0)  ->  ThresholdedRelu(x)"""
    condition, x, zero = op.operands
    above = sole_producer(condition, "greater")
    if above is None or above.operands[0] is not x or x.type != op.result.type or x.type.dtype != f32:
        return None
    alpha = above.operands[1]
    if not is_number(scope, zero, 0.0) or not scope.is_known(alpha) or alpha.type.elements != 1:
        return None
    return node("ThresholdedRelu", x, alpha=float(scope.array(alpha).reshape(())))


def is_number(scope: Scope, value: Value, number: float) -> bool:
    """Whether a value is known to hold one number throughout."""
    return scope.is_known(value) and bool(np.all(scope.array(value) == number))
