"""State-space layers: the short convolution before them, the selective scan, and its form with matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ircost.ir.composite import composite
from ircost.ir.errors import ShapeError
from ircost.ir.graph import Value
from ircost.ir.ops.contraction import contract, conv
from ircost.ir.ops.elementwise import add, as_format, exp, maximum, minimum, mul, silu, softplus
from ircost.ir.ops.linear_attention import mixed
from ircost.ir.ops.movement import slice, transpose
from ircost.ir.ops.normalization import scalar_like
from ircost.ir.ops.recurrence import ChunkedRecurrence, Recurrence, optional, over_time, state_or_zeros
from ircost.ir.ops.shape import concat, reshape
from ircost.ir.types import f32

ACTIVATIONS: dict[str, Callable[[Value], Value]] = {"silu": silu, "identity": lambda x: x}


@partial(composite, kind=Recurrence)
def causal_conv1d(
    x: Value,
    weight: Value,
    *more: Value,
    activation: str = "silu",
    has_bias: bool = False,
    has_state: bool = False,
) -> tuple[Value, ...]:
    """Each channel with its own window over the last w tokens, then the activation.

    Shapes: x [b, t, c], weight [c, w]; then, where there are such, bias [c] and the last w - 1 tokens before, state
    [b, w - 1, c], zeros where left out. Results: out [b, t, c], state.
    Source: Gu, Dao, "Mamba", 2023; Dao-AILab/causal-conv1d.
    """
    (b, t, c), (channels, w) = x.type.shape, weight.type.shape
    if channels != c or activation not in ACTIVATIONS:
        raise ShapeError(f"causal_conv1d: x is {x.type}, weight is {weight.type}, activation '{activation}'")
    bias, state = optional(more, (has_bias, has_state))
    before = state_or_zeros(state, (b, w - 1, c), x.type.dtype)
    padded = concat(before, x, axis=1) if w > 1 else x
    by_channel = conv(transpose(padded, perm=(0, 2, 1)), reshape(weight, shape=(c, 1, w)))
    out = transpose(by_channel, perm=(0, 2, 1))
    for shift in bias:
        out = add(out, shift)
    return ACTIVATIONS[activation](out), slice(padded, starts=(0, t, 0), size=(b, w - 1, c))


@partial(composite, kind=Recurrence)
def selective_scan(
    x: Value,
    dt: Value,
    a: Value,
    b: Value,
    c: Value,
    *more: Value,
    is_softplus: bool = True,
    has_bias: bool = False,
    has_skip: bool = False,
    has_gate: bool = False,
    has_state: bool = False,
) -> tuple[Value, ...]:
    """S = exp(dt a) S + dt x b', y = S c, channel by channel with a state of n each; all of it in f32.

    dt becomes softplus(dt + bias), y + skip x, and that is multiplied by silu(gate).

    Shapes: x and dt [batch, t, channels], a [channels, n], below 0, b and c [batch, t, n]; then, where there are
    such, bias [channels], skip [channels], gate [batch, t, channels], state [batch, channels, n].
    Results: out [batch, t, channels], state as it came, in f32 where none did.
    Source: Gu, Dao, "Mamba", 2023, algorithm 2; state-spaces/mamba.
    """
    batch, _, channels = x.type.shape
    n = a.type.shape[-1]
    if dt.type.shape != x.type.shape or a.type.shape != (channels, n) or b.type != c.type or b.type.shape[-1] != n:
        raise ShapeError(f"selective_scan: x {x.type}, dt {dt.type}, a {a.type}, b {b.type}, c {c.type} do not fit")
    bias, skip, gate, state = optional(more, (has_bias, has_skip, has_gate, has_state))
    wide = as_format(x, f32)
    steps = step_sizes(dt, bias, is_softplus)

    def step(before: Value, x: Value, dt: Value, b: Value, c: Value) -> tuple[Value, Value]:
        column = reshape(dt, shape=(batch, channels, 1))
        kept = exp(mul(column, as_format(a, f32)))
        taken = mul(reshape(mul(dt, x), shape=(batch, channels, 1)), reshape(b, shape=(batch, 1, n)))
        after = add(mul(kept, before), taken)
        return after, contract(after, c, notation="b d n, b n -> b d")

    first = state_or_zeros(state, (batch, channels, n))
    out, last = over_time(step, as_format(first, f32), [wide, steps, as_format(b, f32), as_format(c, f32)])
    for factor in skip:
        out = add(out, mul(wide, as_format(factor, f32)))
    for z in gate:
        out = mul(out, silu(as_format(z, f32)))
    return as_format(out, x.type.dtype), as_format(last, first.type.dtype)


@partial(composite, kind=ChunkedRecurrence)
def ssd_scan(
    x: Value,
    dt: Value,
    a: Value,
    b: Value,
    c: Value,
    *more: Value,
    is_softplus: bool = True,
    least_step: float = 0.0,
    most_step: float = 0.0,
    has_bias: bool = False,
    has_skip: bool = False,
    has_state: bool = False,
) -> tuple[Value, ...]:
    """S = exp(dt a) S + b (dt x)', y = c S, with a state [n, p] for each head, and b and c for groups of heads.

    dt becomes softplus(dt + bias), kept between ``least_step`` and ``most_step`` (0: no limit); y + skip x is put out.

    Shapes: x [batch, t, h, p], dt [batch, t, h], a [h], below 0, b and c [batch, t, g, n] with h a multiple of g;
    then, where there are such, bias [h], skip [h], state [batch, h, n, p].
    Results: out [batch, t, h, p], state as it came, in f32 where none did.
    Source: Dao, Gu, "Transformers are SSMs", ICML 2024; state-spaces/mamba.
    """
    batch, t, heads, _ = x.type.shape
    bias, skip, state = optional(more, (has_bias, has_skip, has_state))
    steps = step_sizes(dt, bias, is_softplus)
    if least_step > 0.0:
        steps = maximum(steps, scalar_like(least_step, steps))
    if most_step > 0.0:
        steps = minimum(steps, scalar_like(most_step, steps))
    wide = as_format(x, f32)
    scaled = as_format(mul(wide, reshape(steps, shape=(batch, t, heads, 1))), x.type.dtype)
    out, last = mixed(c, b, scaled, mul(steps, as_format(a, f32)), None, state, 1.0)
    for factor in skip:
        own = mul(wide, reshape(as_format(factor, f32), shape=(heads, 1)))
        out = as_format(add(as_format(out, f32), own), x.type.dtype)
    return out, last


def step_sizes(dt: Value, bias: Sequence[Value], is_softplus: bool) -> Value:
    """In f32."""
    steps = as_format(dt, f32)
    for shift in bias:
        steps = add(steps, as_format(shift, f32))
    return softplus(steps) if is_softplus else steps
