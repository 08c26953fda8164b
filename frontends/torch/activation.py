"""Activations, and what bounds values."""

from __future__ import annotations

from ircost.frontends.torch.call import Call, Operand, lowering
from ircost.frontends.torch.elementwise import scaled
from ircost.ir import ops
from ircost.ir.graph import Value

LEAST_THRESHOLD = 16  # exp(-16) is below the rounding of a float32


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
