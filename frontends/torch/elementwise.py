"""Operators on each element."""

from __future__ import annotations

import math
from typing import Any

from ircost.frontends.torch.call import Call, Operand, lowering
from ircost.ir import ops
from ircost.ir.definition import OpDefinition
from ircost.ir.graph import Value
from ircost.ir.types import boolean

UNARY: dict[str, OpDefinition] = {
    **{"abs": ops.abs, "neg": ops.neg, "sign": ops.sign, "relu": ops.relu, "reciprocal": ops.reciprocal},
    **{"exp": ops.exp, "log": ops.log, "sqrt": ops.sqrt, "rsqrt": ops.rsqrt, "erf": ops.erf},
    **{"sin": ops.sin, "cos": ops.cos, "tan": ops.tan, "asin": ops.asin, "acos": ops.acos, "atan": ops.atan},
    **{"sinh": ops.sinh, "cosh": ops.cosh, "tanh": ops.tanh},
    **{"asinh": ops.asinh, "acosh": ops.acosh, "atanh": ops.atanh},
    **{"sigmoid": ops.sigmoid, "silu": ops.silu, "hardswish": ops.hard_swish},
}
ROUNDINGS: dict[str, OpDefinition] = {"floor": ops.floor, "ceil": ops.ceil, "round": ops.round}
LEAST_THRESHOLD = 16  # exp(-16) is below the rounding of a float32
BINARY: dict[str, OpDefinition] = {
    **{"mul": ops.mul, "fmod": ops.fmod, "remainder": ops.mod},
    **{"maximum": ops.maximum, "minimum": ops.minimum},
}
COMPARISONS: dict[str, OpDefinition] = {
    **{"eq": ops.equal, "ne": ops.not_equal},
    **{"lt": ops.less, "le": ops.less_equal, "gt": ops.greater, "ge": ops.greater_equal},
}
LOGIC: dict[str, OpDefinition] = {"and": ops.logical_and, "or": ops.logical_or, "xor": ops.logical_xor}
BITS: dict[str, OpDefinition] = {"and": ops.bitwise_and, "or": ops.bitwise_or, "xor": ops.bitwise_xor}


def register_unary(name: str, op: OpDefinition) -> None:
    @lowering(name)
    def lower(call: Call, x: Value) -> Value:
        return op(call.operand(x))


def register_rounding(name: str, op: OpDefinition) -> None:
    @lowering(name)
    def lower(call: Call, x: Value) -> Value:
        return op(x) if x.type.dtype.is_float else x


def register_binary(op: OpDefinition, *names: str) -> None:
    @lowering(*names)
    def lower(call: Call, x: Operand, y: Operand) -> Value:
        return op(call.operand(x), call.operand(y))


def register_comparison(name: str, op: OpDefinition) -> None:
    @lowering(f"{name}.Tensor", f"{name}.Scalar")
    def lower(call: Call, x: Value, y: Operand) -> Value:
        dtype = call.common_dtype()
        if dtype == boolean and name not in ("eq", "ne"):
            raise call.error("booleans are compared by order")
        return op(call.operand(x, dtype), call.operand(y, dtype))


def register_logic(name: str) -> None:
    @lowering(f"logical_{name}")
    def lower_logical(call: Call, x: Value, y: Value) -> Value:
        return LOGIC[name](truth(call, x), truth(call, y))

    @lowering(f"bitwise_{name}.Tensor", f"bitwise_{name}.Scalar")
    def lower_bits(call: Call, x: Operand, y: Operand) -> Value:
        table = LOGIC if call.dtype == boolean else BITS
        return table[name](call.operand(x), call.operand(y))


for _name, _op in UNARY.items():
    register_unary(_name, _op)
for _name, _op in ROUNDINGS.items():
    register_rounding(_name, _op)
for _name, _op in BINARY.items():
    _names = (_name,) if _name.startswith("m") and _name != "mul" else (f"{_name}.Tensor", f"{_name}.Scalar")
    register_binary(_op, *_names)
for _name, _op in COMPARISONS.items():
    register_comparison(_name, _op)
for _name in LOGIC:
    register_logic(_name)


def truth(call: Call, x: Value) -> Value:
    """Whether each element is other than 0."""
    return x if x.type.dtype == boolean else ops.not_equal(x, ops.scalar_like(0, x))


@lowering("logical_not")
def logical_not(call: Call, x: Value) -> Value:
    return ops.logical_not(truth(call, x))


@lowering("bitwise_not")
def bitwise_not(call: Call, x: Value) -> Value:
    return ops.logical_not(x) if x.type.dtype == boolean else ops.bitwise_not(x)


@lowering("add.Tensor", "add.Scalar")
def add(call: Call, x: Operand, y: Operand, alpha: float = 1) -> Value:
    if call.dtype == boolean:
        return ops.logical_or(call.operand(x), call.operand(y))
    return ops.add(call.operand(x), scaled(call, call.operand(y), alpha))


@lowering("sub.Tensor", "sub.Scalar")
def sub(call: Call, x: Operand, y: Operand, alpha: float = 1) -> Value:
    return ops.sub(call.operand(x), scaled(call, call.operand(y), alpha))


@lowering("rsub.Scalar", "rsub.Tensor")
def rsub(call: Call, x: Operand, y: Operand, alpha: float = 1) -> Value:
    return ops.sub(call.operand(y), scaled(call, call.operand(x), alpha))


def scaled(call: Call, x: Value, factor: float) -> Value:
    return x if factor == 1 else ops.mul(x, call.operand(factor, x.type.dtype))


@lowering("div.Tensor", "div.Scalar")
def div(call: Call, x: Operand, y: Operand) -> Value:
    return ops.div(call.operand(x), call.operand(y))


@lowering("div.Tensor_mode", "div.Scalar_mode")
def div_mode(call: Call, x: Operand, y: Operand, rounding_mode: str | None = None) -> Value:
    lhs, rhs = call.operand(x), call.operand(y)
    quotient = ops.div(lhs, rhs)
    if rounding_mode is None:
        return quotient
    if rounding_mode == "floor":
        return floored(lhs, rhs) if call.dtype.is_integer else ops.floor(quotient)
    return quotient if call.dtype.is_integer else truncated(quotient)


@lowering("floor_divide")
def floor_divide(call: Call, x: Operand, y: Operand) -> Value:
    return div_mode(call, x, y, rounding_mode="floor")  # type: ignore[return-value]


def floored(lhs: Value, rhs: Value) -> Value:
    """Of integers: what is left after the remainder of the divisor's sign divides evenly."""
    return ops.div(ops.sub(lhs, ops.mod(lhs, rhs)), rhs)


def truncated(x: Value) -> Value:
    return ops.mul(ops.sign(x), ops.floor(ops.abs(x)))


@lowering("trunc")
def trunc(call: Call, x: Value) -> Value:
    return truncated(x) if x.type.dtype.is_float else x


@lowering("pow.Tensor_Scalar", "pow.Tensor_Tensor", "pow.Scalar")
def pow_(call: Call, x: Operand, exponent: Operand) -> Value:
    base = call.operand(x)
    if exponent == 2:
        return ops.mul(base, base)
    if exponent == 0.5 and call.dtype.is_float:
        return ops.sqrt(base)
    return ops.pow(base, call.operand(exponent))


@lowering("square")
def square(call: Call, x: Value) -> Value:
    return ops.mul(x, x)


@lowering("log2")
def log2(call: Call, x: Value) -> Value:
    return scaled(call, ops.log(call.operand(x)), 1 / math.log(2))


@lowering("log10")
def log10(call: Call, x: Value) -> Value:
    return scaled(call, ops.log(call.operand(x)), 1 / math.log(10))


@lowering("log1p")
def log1p(call: Call, x: Value) -> Value:
    return ops.log(ops.add(call.operand(x), call.operand(1)))


@lowering("expm1")
def expm1(call: Call, x: Value) -> Value:
    return ops.sub(ops.exp(call.operand(x)), call.operand(1))


@lowering("exp2")
def exp2(call: Call, x: Value) -> Value:
    return ops.exp(scaled(call, call.operand(x), math.log(2)))


@lowering("erfc")
def erfc(call: Call, x: Value) -> Value:
    return ops.sub(call.operand(1), ops.erf(call.operand(x)))


@lowering("atan2")
def atan2(call: Call, y: Value, x: Value) -> Value:
    """The angle of (x, y), by the arc tangent of y / x and the quadrant."""
    y, x = call.operand(y), call.operand(x)
    zero = call.operand(0.0)
    is_below = ops.less(y, zero)
    half = ops.where(is_below, call.operand(-math.pi), call.operand(math.pi))
    right = ops.atan(ops.div(y, x))
    angle = ops.where(ops.less(x, zero), ops.add(right, half), right)
    return ops.where(ops.logical_and(ops.equal(x, zero), ops.equal(y, zero)), zero, angle)


@lowering("isnan")
def isnan(call: Call, x: Value) -> Value:
    return ops.isnan(x)


@lowering("isinf")
def isinf(call: Call, x: Value) -> Value:
    return ops.isinf(x)


# ---- activations


@lowering("gelu")
def gelu(call: Call, x: Value, approximate: str = "none") -> Value:
    return ops.gelu_tanh(x) if approximate == "tanh" else ops.gelu(x)


@lowering("leaky_relu")
def leaky_relu(call: Call, x: Value, negative_slope: float = 0.01) -> Value:
    return ops.leaky_relu(x, alpha=float(negative_slope))


@lowering("elu")
def elu(call: Call, x: Value, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Value:
    """scale * (x where x > 0, alpha * (exp(input_scale * x) - 1) below)"""
    if input_scale == 1:
        return scaled(call, ops.elu(x, alpha=float(alpha)), scale)
    below = scaled(call, ops.sub(ops.exp(scaled(call, x, input_scale)), call.operand(1)), alpha)
    return scaled(call, ops.where(ops.greater(x, call.operand(0)), x, below), scale)


@lowering("softplus")
def softplus(call: Call, x: Value, beta: float = 1, threshold: float = 20) -> Value:
    """log(1 + exp(beta x)) / beta; beyond the threshold it is x, up to rounding."""
    if threshold < LEAST_THRESHOLD:
        raise call.error(f"threshold = {threshold}", help=f"{LEAST_THRESHOLD} and more are supported")
    return scaled(call, ops.softplus(scaled(call, x, beta)), 1 / beta)


@lowering("hardsigmoid")
def hardsigmoid(call: Call, x: Value) -> Value:
    return ops.hard_sigmoid(x, alpha=1 / 6, beta=0.5)


@lowering("hardtanh")
def hardtanh(call: Call, x: Value, min_val: float = -1, max_val: float = 1) -> Value:
    return clamp(call, x, min_val, max_val)  # type: ignore[return-value]


@lowering("relu6")
def relu6(call: Call, x: Value) -> Value:
    return clamp(call, x, 0, 6)  # type: ignore[return-value]


@lowering("clamp", "clamp.Tensor")
def clamp(call: Call, x: Value, min: Operand | None = None, max: Operand | None = None) -> Value:
    x = call.operand(x)
    if min is not None:
        x = ops.relu(x) if not isinstance(min, Value) and min == 0 else ops.maximum(x, call.operand(min))
    return x if max is None else ops.minimum(x, call.operand(max))


@lowering("clamp_min", "clamp_min.Tensor")
def clamp_min(call: Call, x: Value, min: Operand) -> Value:
    return clamp(call, x, min)  # type: ignore[return-value]


@lowering("clamp_max", "clamp_max.Tensor")
def clamp_max(call: Call, x: Value, max: Operand) -> Value:
    return clamp(call, x, None, max)  # type: ignore[return-value]


@lowering("prelu", "_prelu_kernel")
def prelu(call: Call, x: Value, weight: Value) -> Value:
    if weight.type.rank == 1 and x.type.rank > 1 and weight.type.elements > 1:
        weight = ops.reshape(weight, shape=(weight.type.elements, *(1,) * (x.type.rank - 2)))
    return ops.prelu(x, weight)


@lowering("mish")
def mish(call: Call, x: Value) -> Value:
    return ops.mul(x, ops.tanh(ops.softplus(x)))


# ---- choice, formats


@lowering("where.self", "where.ScalarOther", "where.ScalarSelf", "where.Scalar")
def where(call: Call, condition: Value, x: Operand, y: Operand) -> Value:
    return ops.where(truth(call, condition), call.operand(x), call.operand(y))


@lowering("masked_fill.Scalar", "masked_fill.Tensor")
def masked_fill(call: Call, x: Value, mask: Value, value: Operand) -> Value:
    return ops.where(mask, call.operand(value), x)


@lowering("_to_copy", "to.dtype", "to.device", "to.dtype_layout", "type_as")
def to_copy(call: Call, x: Value, *rest: Any, **options: Any) -> Value:
    return call.operand(x)


@lowering("clone", "contiguous", "detach", "alias", "lift_fresh_copy", "copy")
def same(call: Call, x: Value, *rest: Any, **options: Any) -> Value:
    """Copies that nobody needs where values do not change."""
    source = rest[0] if call.operator == "aten.copy.default" else x
    value = call.operand(source)
    return value if value.type.shape == call.type.shape else ops.broadcast(value, shape=call.type.shape)


@lowering("native_dropout")
def native_dropout(call: Call, x: Value, p: float, train: bool | None) -> list[Value | None]:
    call.need_eval(bool(train) and p > 0)
    return [x, None]


@lowering("dropout")
def dropout(call: Call, x: Value, p: float, train: bool | None = False) -> Value:
    call.need_eval(bool(train) and p > 0)
    return x
