"""One step of a diffusion transformer: conditions, layers that these modulate, the way back to latents."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from ircost.frontends.config.attention_layers import project_out
from ircost.frontends.config.denoiser_parts import (
    Conditioning,
    Denoiser,
    JointLayer,
    Latents,
    ModulatedLayer,
    SingleLayer,
)
from ircost.frontends.config.feed_forward_layers import feed_forward
from ircost.frontends.config.layer_parts import Attention, Norm, groups
from ircost.frontends.config.parts import ACTIVATIONS, biased, in_format, linear, normed, part_of, pieces
from ircost.frontends.config.plan import Plan
from ircost.frontends.config.scope import Scope, run_layers_of
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.ops.normalization import scalar_like
from ircost.ir.types import TensorType, f32, i64


@dataclass(frozen=True, slots=True)
class Step:
    """What all layers of a step read.

    Args:
        condition: [batch, 1, hidden]. angles: cosines and sines of all tokens, prompt first; none without axes.
    """

    condition: Value
    angles: tuple[Value, Value] | None


def denoised(scope: Scope, plan: Plan, part: Denoiser) -> Value:
    """The noise in the latents [batch, channels, edge, edge], or of packed ones [batch, tokens, channels]."""
    work = plan.workload
    x = latents_in(scope, plan, part.latents)
    condition = conditioned(scope, plan, part.conditioning, part.latents.hidden)
    states: tuple[Value, ...] = (x,)
    if part.prompt:
        prompt = scope.set_input("prompt", TensorType((work.batch, work.source, part.prompt), scope.dtype))
        states = (x, linear(scope, prompt, "prompt", part.latents.hidden, True))
    step = Step(condition, _angles(scope, plan, part) if part.axes else None)
    begin = 0
    for period, count in groups(part.layers):
        if isinstance(period[0], SingleLayer) and len(states) == 2:
            states = (scope(ops.concat(states[1], states[0], axis=1)),)
        plan.repeats = count
        states = run_layers_of(scope, states, begin, len(period), count, partial(_layer, plan, step, period))
        begin += len(period) * count
    plan.repeats = 1
    x = part_of(scope, states[0], states[0].type.shape[1] - work.rows, work.rows, axis=1)
    shift, scale = modulation(scope, condition, "norm", 2)
    x = modulated(scope, x, part.norm, shift, scale)
    x = linear(scope, x, "out", part.latents.patch**2 * part.latents.out, True)
    return x if part.latents.is_packed else _as_latents(scope, x, part.latents)


# ---- what comes in


def latents_in(scope: Scope, plan: Plan, part: Latents) -> Value:
    """[batch, tokens, hidden] of patches."""
    work = plan.workload
    if part.is_packed:
        width = part.channels * part.patch**2
        packed = scope.set_input("latents", TensorType((work.batch, work.rows, width), scope.dtype))
        return linear(scope, packed, "patches", part.hidden, True)
    side = math.isqrt(work.rows)
    edge = side * part.patch
    latents = scope.set_input("latents", TensorType((work.batch, part.channels, edge, edge), scope.dtype))
    with scope.at("patches"):
        weight = scope.weight("weight", part.hidden, part.channels, part.patch, part.patch)
        x = scope(ops.conv(latents, weight, strides=(part.patch, part.patch)))
        x = scope(ops.transpose(ops.reshape(x, shape=(work.batch, part.hidden, work.rows)), perm=(0, 2, 1)))
        x = biased(scope, x, True)
        if part.has_learnt_positions:
            return scope(ops.add(x, scope.weight("positions", part.most_tokens, part.hidden)))
        return scope(ops.add(x, _cut_positions(scope, part, side)))


def _cut_positions(scope: Scope, part: Latents, side: int) -> Value:
    """[tokens, hidden] of the middle of a table of sines by row and column."""
    begin = (part.table - side) // 2
    table = scope.table(
        f"positions {part.table}",
        (part.table, part.table, part.hidden),
        scope.dtype,
        lambda: grid_sines(part.table, part.hidden, part.edge // part.patch),
    )
    cut = part_of(scope, part_of(scope, table, begin, side, axis=0), begin, side, axis=1)
    return scope(ops.reshape(cut, shape=(side * side, part.hidden)))


def grid_sines(rows: int, hidden: int, usual: int) -> np.ndarray:
    """[rows, rows, hidden]: half for the column, half for the row, as if there were ``usual`` of them.

    Source: diffusers, ``get_2d_sincos_pos_embed``.
    """
    rates = 10000.0 ** -(np.arange(hidden // 4) / (hidden / 4))
    angles = np.outer(np.arange(rows) * usual / rows, rates)
    one = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    columns = np.broadcast_to(one[None], (rows, rows, hidden // 2))
    return np.concatenate([columns, columns.transpose(1, 0, 2)], axis=2)


def conditioned(scope: Scope, plan: Plan, part: Conditioning, hidden: int) -> Value:
    """[batch, 1, hidden]: the time, and whichever of guidance, label and pooled prompt there are, added up."""
    batch = plan.workload.batch
    with scope.at("condition"):
        found = [_of_number(scope, batch, part.width, hidden, "time")]
        if part.has_guidance:
            found.append(_of_number(scope, batch, part.width, hidden, "guidance"))
        if part.pooled:
            pooled = scope.set_input("pooled", TensorType((batch, 1, part.pooled), scope.dtype))
            found.append(_two_layers(scope, pooled, "pooled", hidden))
        if part.labels:
            labels = scope.set_input("labels", TensorType((batch, 1), i64))
            found.append(scope(ops.gather(scope.weight("labels", part.labels, hidden), labels, axis=0)))
        total = found[0]
        for other in found[1:]:
            total = scope(ops.add(total, other))
        return scope(ops.silu(total))  # each layer reads it behind the activation


def _of_number(scope: Scope, batch: int, width: int, hidden: int, name: str) -> Value:
    """Cosines and sines of a number at falling rates, through two layers."""
    number = scope.set_input(name, TensorType((batch, 1, 1), f32))
    rates = scope.table(
        f"rates {width}", (width // 2,), f32, lambda: 10000.0 ** -(np.arange(width // 2) / (width // 2))
    )
    angles = scope(ops.mul(number, rates))
    both = scope(ops.concat(ops.cos(angles), ops.sin(angles), axis=2))
    return _two_layers(scope, in_format(scope, both, scope.dtype), name, hidden)


def _two_layers(scope: Scope, x: Value, name: str, hidden: int) -> Value:
    with scope.at(name):
        return linear(scope, scope(ops.silu(linear(scope, x, "up", hidden, True))), "out", hidden, True)


def _angles(scope: Scope, plan: Plan, part: Denoiser) -> tuple[Value, Value]:
    """[tokens, 1, width] each: of a prompt all 0, of patches by row and column."""
    work, width = plan.workload, sum(part.axes)
    side = math.isqrt(work.rows)

    def make(turn: str) -> np.ndarray:
        places = np.zeros((work.source + work.rows, len(part.axes)))
        places[work.source :, -2:] = np.stack(np.divmod(np.arange(work.rows), side), axis=1)
        rates = [10000.0 ** -(np.arange(0, axis, 2) / axis) for axis in part.axes]
        angles = np.concatenate([np.outer(places[:, i], rate) for i, rate in enumerate(rates)], axis=1)
        return np.asarray({"cos": np.cos, "sin": np.sin}[turn](np.repeat(angles, 2, axis=1))[:, None])

    shape = (work.source + work.rows, 1, width)
    cos, sin = (scope.table(f"{turn} of axes", shape, scope.dtype, partial(make, turn)) for turn in ("cos", "sin"))
    return cos, sin


# ---- layers


def _layer(
    plan: Plan, step: Step, period: tuple[object, ...], scope: Scope, states: tuple[Value, ...], place: int
) -> tuple[Value, ...]:
    layer = period[place]
    if isinstance(layer, ModulatedLayer):
        return (_modulated_layer(scope, plan, layer, step, states[0]),)
    if isinstance(layer, JointLayer):
        return _joint_layer(scope, plan, layer, step, states[0], states[1])
    assert isinstance(layer, SingleLayer), "no other layers"
    return (_single_layer(scope, plan, layer, step, states[0]),)


def modulation(scope: Scope, condition: Value, name: str, count: int) -> list[Value]:
    """[batch, 1, hidden] each: what a norm is scaled and shifted by, and what goes into a sum."""
    hidden = condition.type.shape[-1]
    return pieces(scope, linear(scope, condition, f"{name}_modulation", count * hidden, True), (hidden,) * count)


def modulated(scope: Scope, x: Value, norm: Norm, shift: Value, scale: Value) -> Value:
    """norm(x) (1 + scale) + shift. Source: Peebles, Xie, ICCV 2023, 3.2 (adaLN)."""
    x = normed(scope, x, "norm", norm)
    return scope(ops.add(ops.mul(x, ops.add(scale, scalar_like(1.0, scale))), shift))


def gated_sum(scope: Scope, x: Value, gate: Value, out: Value) -> Value:
    return scope(ops.add(x, ops.mul(gate, out)))


def _modulated_layer(scope: Scope, plan: Plan, layer: ModulatedLayer, step: Step, x: Value) -> Value:
    shift, scale, gate, shift2, scale2, gate2 = modulation(scope, step.condition, "image", 6)
    q, k, v = heads_of(scope, plan, layer.attention, modulated(scope, x, layer.norm, shift, scale), "image")
    mixed = mixed_of(scope, layer.attention, q, k, v, None)
    with scope.at("image"):
        mixed = project_out(scope, plan, mixed, x.type.shape[-1], True)
    x = gated_sum(scope, x, gate, mixed)
    fed = feed_forward(scope, plan, layer.feed_forward, modulated(scope, x, layer.norm, shift2, scale2))
    return gated_sum(scope, x, gate2, fed)


def _joint_layer(
    scope: Scope, plan: Plan, layer: JointLayer, step: Step, image: Value, text: Value
) -> tuple[Value, ...]:
    """Each stream has weights of its own; all tokens attend to one another. Source: Esser et al., ICML 2024."""
    of_image = modulation(scope, step.condition, "image", 6)
    of_text = modulation(scope, step.condition, "text", 2 if layer.is_last else 6)
    streams = [("text", text, of_text), ("image", image, of_image)]
    own = [
        heads_of(scope, plan, layer.attention, modulated(scope, x, layer.norm, how[0], how[1]), name)
        for name, x, how in streams
    ]
    q, k, v = (scope(ops.concat(*both, axis=1)) for both in zip(*own, strict=True))
    mixed = mixed_of(scope, layer.attention, q, k, v, step.angles)
    words = text.type.shape[1]
    image = _behind(
        scope, plan, layer, "image", image, part_of(scope, mixed, words, image.type.shape[1], axis=1), of_image
    )
    if layer.is_last:
        return image, text
    return image, _behind(scope, plan, layer, "text", text, part_of(scope, mixed, 0, words, axis=1), of_text)


def _behind(scope: Scope, plan: Plan, layer: JointLayer, name: str, x: Value, mixed: Value, how: list[Value]) -> Value:
    """What a stream does by itself, behind the attention of both."""
    with scope.at(name):
        x = gated_sum(scope, x, how[2], project_out(scope, plan, mixed, x.type.shape[-1], True))
        fed = feed_forward(scope, plan, layer.feed_forward, modulated(scope, x, layer.norm, how[3], how[4]))
        return gated_sum(scope, x, how[5], fed)


def _single_layer(scope: Scope, plan: Plan, layer: SingleLayer, step: Step, x: Value) -> Value:
    """Attention and feed-forward layer side by side; their last products are one. Source: flux, ``model.py``."""
    shift, scale, gate = modulation(scope, step.condition, "image", 3)
    y = modulated(scope, x, layer.norm, shift, scale)
    mixed = mixed_of(scope, layer.attention, *heads_of(scope, plan, layer.attention, y, "image"), step.angles)
    inner = plan.share(layer.feed_forward.inner, "columns of the feed-forward layer")
    fed = scope(ACTIVATIONS[layer.feed_forward.activation](linear(scope, y, "up", inner, True)))
    return gated_sum(
        scope, x, gate, project_out(scope, plan, scope(ops.concat(mixed, fed, axis=2)), x.type.shape[-1], True)
    )


def heads_of(scope: Scope, plan: Plan, part: Attention, x: Value, name: str) -> tuple[Value, Value, Value]:
    """Queries, keys and values [batch, tokens, heads, width] by one product; the first two normed head by head."""
    batch, rows, _ = x.type.shape
    heads = plan.share(part.heads, "heads")
    with scope.at(name):
        packed = linear(scope, x, "qkv", 3 * heads * part.width, part.has_qkv_bias)
        packed = scope(ops.reshape(packed, shape=(batch, rows, 3 * heads, part.width)))
        q, k, v = (part_of(scope, packed, start * heads, heads, axis=2) for start in range(3))
        return normed(scope, q, "q_norm", part.head_norm), normed(scope, k, "k_norm", part.head_norm), v


def mixed_of(scope: Scope, part: Attention, q: Value, k: Value, v: Value, angles: tuple[Value, Value] | None) -> Value:
    batch, tokens, heads, width = q.type.shape
    if angles is not None:
        q, k = (scope(ops.rotary_embedding(u, *angles, width=width, is_interleaved=True)) for u in (q, k))
    return scope(ops.reshape(ops.cached_attention(q, k, v, scale=part.scale), shape=(batch, tokens, heads * width)))


def _as_latents(scope: Scope, x: Value, part: Latents) -> Value:
    """[batch, tokens, patch * patch * channels] as [batch, channels, edge, edge]."""
    batch, tokens, _ = x.type.shape
    side = math.isqrt(tokens)
    apart = ops.reshape(x, shape=(batch, side, side, part.patch, part.patch, part.out))
    edge = side * part.patch
    return scope(ops.reshape(ops.transpose(apart, perm=(0, 5, 1, 3, 2, 4)), shape=(batch, part.out, edge, edge)))
