"""State-space layers and linear attention: projections, the short convolution, and a state that is handed on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ircost.frontends.config.layer_parts import (
    DeltaNet,
    KimiDelta,
    LightningAttention,
    Mamba,
    Mamba2,
    Norm,
    Recurrent,
    ShortConvolution,
)
from ircost.frontends.config.parts import linear, normed, part_of, pieces, scaled
from ircost.frontends.config.plan import Plan
from ircost.frontends.config.scope import Scope
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import DType, TensorType, f32


def recurrent(scope: Scope, plan: Plan, part: Recurrent, x: Value) -> Value:
    """x [batch, tokens, hidden]; states come in where tokens came before, and go out."""
    hidden = x.type.shape[-1]
    with scope.at("mixer"):
        mixed, has_bias = BUILDERS[type(part)](scope, plan, part, x)
        out = linear(scope, mixed, "out", hidden, has_bias)
        plan.exchange("all_reduce", out.type.size_bytes, "sum of the channels' parts")
        return out


# ---- state spaces


def mamba(scope: Scope, plan: Plan, part: Mamba, x: Value) -> tuple[Value, bool]:
    """Source: Gu, Dao, "Mamba", 2023, 3.4; norms of steps: Lieber et al., "Jamba", 2024."""
    inner = plan.share(part.inner, "channels")
    both = linear(scope, x, "in", 2 * inner, part.has_bias)
    taken, gate = pieces(scope, both, (inner, inner))
    taken = _convolved(scope, plan, taken, part.window, part.has_conv_bias)
    steps = linear(scope, taken, "steps", part.rank + 2 * part.state)
    plan.exchange("all_reduce", steps.type.size_bytes, "sum of the channels' parts of steps")
    rank, b, c = pieces(scope, steps, (part.rank, part.state, part.state))
    rank, b, c = (normed(scope, v, f"{n}_norm", part.step_norm) for n, v in (("step", rank), ("b", b), ("c", c)))
    dt = linear(scope, rank, "step", inner)
    a = scope.weight("a", inner, part.state, dtype=f32)  # -exp(A_log), as engines load it
    bias, skip = scope.weight("step_bias", inner, dtype=f32), scope.weight("skip", inner, dtype=f32)
    more = [bias, skip, gate]
    out = _with_state(
        scope,
        plan,
        ops.selective_scan.results,
        (taken, dt, a, b, c, *more),
        TensorType((x.type.shape[0], inner, part.state), f32),
        has_bias=True,
        has_skip=True,
        has_gate=True,
    )
    return out, part.has_bias


def mamba2(scope: Scope, plan: Plan, part: Mamba2, x: Value) -> tuple[Value, bool]:
    """Source: Dao, Gu, "Transformers are SSMs", ICML 2024, section 7."""
    batch, rows, _ = x.type.shape
    heads, groups = plan.share(part.heads, "heads"), _groups(plan, part)
    inner, shared = heads * part.width, groups * part.state
    widths = (inner, inner, shared, shared, heads)
    packed = _scaled_apart(scope, linear(scope, x, "in", sum(widths), part.has_bias), widths, part.factors)
    gate, mixed, dt = pieces(scope, packed, (inner, inner + 2 * shared, heads))
    mixed = _convolved(scope, plan, mixed, part.window, part.has_conv_bias)
    taken, b, c = pieces(scope, mixed, (inner, shared, shared))
    taken = scope(ops.reshape(taken, shape=(batch, rows, heads, part.width)))
    b, c = (scope(ops.reshape(v, shape=(batch, rows, groups, part.state))) for v in (b, c))
    per_head = [scope.weight(name, heads, dtype=f32) for name in ("a", "step_bias", "skip")]
    out = _with_state(
        scope,
        plan,
        ops.ssd_scan.results,
        (taken, dt, per_head[0], b, c, *per_head[1:]),
        TensorType((batch, heads, part.state, part.width), f32),
        has_bias=True,
        has_skip=True,
        least_step=part.steps[0],
        most_step=part.steps[1],
    )
    out, gate = scope(ops.reshape(out, shape=(batch, rows, inner))), scope(ops.silu(gate))
    if part.norm is None:
        return scope(ops.mul(out, gate)), part.has_bias
    if part.is_norm_first:
        return scope(ops.mul(_normed_in_groups(scope, out, part.norm, groups), gate)), part.has_bias
    return _normed_in_groups(scope, scope(ops.mul(out, gate)), part.norm, groups), part.has_bias


def _scaled_apart(scope: Scope, x: Value, widths: tuple[int, ...], factors: tuple[float, ...]) -> Value:
    """Each part of the last axis times its factor: one product with a row of them, as engines run it."""
    if set(factors) == {1.0}:
        return x
    told = ", ".join(f"{factor:g}" for factor in factors)
    row = scope.table(f"factors {told}", (sum(widths),), scope.dtype, lambda: np.repeat(factors, widths))
    return scope(ops.mul(x, row))


def _groups(plan: Plan, part: Mamba2) -> int:
    """Of one rank; where there are fewer than ranks, several ranks hold the same."""
    if part.groups < plan.mesh.tp and plan.mesh.tp % part.groups == 0:
        return 1
    return plan.share(part.groups, "groups")


def _normed_in_groups(scope: Scope, x: Value, norm: Norm, groups: int) -> Value:
    batch, rows, inner = x.type.shape
    apart = scope(ops.reshape(x, shape=(batch, rows, groups, inner // groups)))
    apart = normed(scope, apart, "norm", replace(norm, has_scale=False))
    together = scope(ops.reshape(apart, shape=(batch, rows, inner)))
    with scope.at("norm"):
        return scope(ops.mul(together, scope.weight("weight", inner)))


# ---- linear attention


def lightning(scope: Scope, plan: Plan, part: LightningAttention, x: Value) -> tuple[Value, bool]:
    """Source: MiniMax, "MiniMax-01", 2025, 2.2; Qin et al., "Lightning Attention-2", 2024."""
    batch, rows, _ = x.type.shape
    heads = plan.share(part.heads, "heads")
    packed = scope(ops.silu(linear(scope, x, "qkv", 3 * heads * part.width)))
    packed = scope(ops.reshape(packed, shape=(batch, rows, 3 * heads, part.width)))
    q, k, v = (part_of(scope, packed, start * heads, heads, axis=2) for start in range(3))
    g = scope.layer_table("decay", (heads,), f32, lambda layer: decay_logarithms(part, layer)[:heads])
    state = TensorType((batch, heads, part.width, part.width), f32)
    out = _with_state(scope, plan, ops.linear_attention.results, (q, k, v, g), state)
    out = normed(scope, scope(ops.reshape(out, shape=(batch, rows, heads * part.width))), "norm", part.norm)
    return scope(ops.mul(out, ops.sigmoid(linear(scope, x, "gate", heads * part.width)))), False


def decay_logarithms(part: LightningAttention, layer: int) -> np.ndarray:
    """[heads], below 0: later layers forget less. Source: huggingface/transformers, ``MiniMaxLightningAttention``."""
    rates = 2.0 ** (-8.0 / part.heads * np.arange(1, part.heads + 1))
    return -rates * (1 - layer / (part.layers - 1 + 1e-5) + 1e-5)


def delta_net(scope: Scope, plan: Plan, part: DeltaNet, x: Value) -> tuple[Value, bool]:
    """Source: Yang, Kautz, Hatamizadeh, "Gated Delta Networks", ICLR 2025; Qwen3-Next."""
    batch, rows, _ = x.type.shape
    groups, heads = plan.share(part.key_heads, "heads of keys"), plan.share(part.value_heads, "heads of values")
    keys, values = groups * part.key_width, heads * part.value_width
    packed = linear(scope, x, "qkv_gate", 2 * keys + 2 * values)
    mixed, gate = pieces(scope, packed, (2 * keys + values, values))
    mixed = _convolved(scope, plan, mixed, part.window, False)
    q, k, v = pieces(scope, mixed, (keys, keys, values))
    q, k = (scope(ops.reshape(u, shape=(batch, rows, groups, part.key_width))) for u in (q, k))
    v = scope(ops.reshape(v, shape=(batch, rows, heads, part.value_width)))
    beta, step = pieces(scope, linear(scope, x, "beta_step", 2 * heads), (heads, heads))
    g = _forgotten(scope, step, heads)
    beta = scope(ops.sigmoid(beta))
    state = TensorType((batch, heads, part.key_width, part.value_width), f32)
    more: dict[str, Any] = {"scale": part.key_width**-0.5}
    out = _with_state(scope, plan, ops.gated_delta_rule.results, (q, k, v, g, beta), state, **more)
    out = normed(scope, out, "norm", part.norm)
    gate = scope(ops.reshape(gate, shape=out.type.shape))
    return scope(ops.reshape(ops.mul(out, ops.silu(gate)), shape=(batch, rows, values))), False


def _forgotten(scope: Scope, step: Value, heads: int, least: float = 0.0) -> Value:
    """The logarithm of what is kept, in f32: a softplus(step + bias), or where there is a bound, least
    sigmoid(-a (step + bias)); step [.., heads], or [.., heads * width].
    """
    batch, rows, width = step.type.shape
    a, bias = scope.weight("a", heads, dtype=f32), scope.weight("step_bias", width, dtype=f32)
    steps = ops.add(ops.as_format(step, f32), bias)
    steps = steps if least else ops.softplus(steps)
    if width != heads:
        steps = ops.reshape(steps, shape=(batch, rows, heads, width // heads))
        a = ops.reshape(a, shape=(heads, 1))
    if not least:
        return scope(ops.mul(steps, a))
    return scaled(scope, scope(ops.sigmoid(ops.mul(steps, ops.neg(a)))), least)


def kimi_delta(scope: Scope, plan: Plan, part: KimiDelta, x: Value) -> tuple[Value, bool]:
    """Source: Kimi Team, "Kimi Linear", arXiv:2510.26692, 4; every rank has the narrow projections whole."""
    batch, rows, _ = x.type.shape
    heads = plan.share(part.heads, "heads")
    inner = heads * part.width
    mixed = _convolved(scope, plan, linear(scope, x, "qkv", 3 * inner), part.window, False)
    mixed = scope(ops.reshape(mixed, shape=(batch, rows, 3 * heads, part.width)))
    q, k, v = (part_of(scope, mixed, start * heads, heads, axis=2) for start in range(3))
    narrow = linear(scope, x, "forget_in", part.rank) if part.rank else x
    g = _forgotten(scope, linear(scope, narrow, "forget", inner), heads, part.least)
    beta = scope(ops.sigmoid(linear(scope, x, "beta", heads)))
    state = TensorType((batch, heads, part.width, part.width), f32)
    more: dict[str, Any] = {"scale": part.width**-0.5}
    out = _with_state(scope, plan, ops.gated_delta_rule.results, (q, k, v, g, beta), state, **more)
    out = normed(scope, out, "norm", part.norm)
    narrow = linear(scope, x, "gate_in", part.rank) if part.rank else x
    gate = linear(scope, narrow, "gate", inner)
    gate = scope(ops.reshape(gate, shape=out.type.shape))
    return scope(ops.reshape(ops.mul(out, ops.sigmoid(gate)), shape=(batch, rows, inner))), False


def short_convolution(scope: Scope, plan: Plan, part: ShortConvolution, x: Value) -> tuple[Value, bool]:
    """Source: Liquid AI, "LFM2 Technical Report", arXiv:2511.23404, 2."""
    channels = plan.share(part.channels, "channels")
    before, behind, taken = pieces(scope, linear(scope, x, "in", 3 * channels, part.has_bias), (channels,) * 3)
    taken = scope(ops.mul(before, taken))
    mixed = _convolved(scope, plan, taken, part.window, part.has_bias, activation="identity")
    return scope(ops.mul(behind, mixed)), part.has_bias


# ---- what all share


def _convolved(scope: Scope, plan: Plan, x: Value, window: int, has_bias: bool, activation: str = "silu") -> Value:
    batch, _, channels = x.type.shape
    operands = [x, scope.weight("conv", channels, window)]
    if has_bias:
        operands.append(scope.weight("conv_bias", channels))
    state = TensorType((batch, window - 1, channels), x.type.dtype)
    attrs = {"has_bias": has_bias, "activation": activation}
    return _with_state(scope, plan, ops.causal_conv1d.results, operands, state, "conv_state", **attrs)


def _with_state(
    scope: Scope,
    plan: Plan,
    make: Callable[..., Any],
    operands: Any,
    state: TensorType,
    name: str = "state",
    **attrs: Any,
) -> Value:
    """The op's output; its state goes out under ``name``, and comes in under that where tokens came before."""
    before = [scope.input(name, state)] if plan.workload.past else []
    out, after = (scope(value) for value in make(*operands, *before, has_state=bool(before), **attrs))
    scope.output(name, after)
    return out


BUILDERS: Mapping[type, Callable[[Scope, Plan, Any, Value], tuple[Value, bool]]] = {
    Mamba: mamba,
    Mamba2: mamba2,
    LightningAttention: lightning,
    DeltaNet: delta_net,
    KimiDelta: kimi_delta,
    ShortConvolution: short_convolution,
}


def state_bytes(part: Recurrent, dtype: DType) -> int:
    """Of one sequence in one layer: the state in f32, and what the convolution holds of the last tokens."""
    if isinstance(part, Mamba):
        elements, held = part.inner * part.state, part.inner * (part.window - 1)
    elif isinstance(part, Mamba2):
        channels = part.heads * part.width + 2 * part.groups * part.state
        elements, held = part.heads * part.width * part.state, channels * (part.window - 1)
    elif isinstance(part, LightningAttention):
        elements, held = part.heads * part.width**2, 0
    elif isinstance(part, KimiDelta):
        elements, held = part.heads * part.width**2, 3 * part.heads * part.width * (part.window - 1)
    elif isinstance(part, ShortConvolution):
        elements, held = 0, part.channels * (part.window - 1)
    else:
        channels = 2 * part.key_heads * part.key_width + part.value_heads * part.value_width
        elements, held = part.value_heads * part.key_width * part.value_width, channels * (part.window - 1)
    return elements * 4 + held * dtype.bits // 8
