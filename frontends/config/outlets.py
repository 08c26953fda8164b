"""What comes behind the layers of an encoder: one vector for all, or tokens for a language model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ircost.frontends.config.feed_forward_layers import feed_forward
from ircost.frontends.config.parts import ACTIVATIONS, linear, normed, part_of
from ircost.frontends.config.plan import Plan
from ircost.frontends.config.scope import Scope
from ircost.frontends.config.tower_parts import (
    AttentionPooler,
    AverageProjector,
    LayersProjector,
    Outlet,
    Pooler,
    ShuffleProjector,
)
from ircost.ir import ops
from ircost.ir.graph import Value


def put_out(scope: Scope, plan: Plan, part: Outlet, x: Value) -> Value:
    """x [batch, tokens, hidden] behind the last layer and its norm."""
    return BUILDERS[type(part)](scope, plan, part, x)


def pooled(scope: Scope, plan: Plan, part: Pooler, x: Value) -> Value:
    """[batch, width] of one token."""
    batch, rows, _ = x.type.shape
    one = part_of(scope, x, 0 if part.token == "first" else rows - 1, 1, axis=1)
    one = normed(scope, one, f"{part.name}_norm", part.norm)
    out = linear(scope, one, part.name, part.width, part.has_bias)
    out = scope(ops.reshape(out, shape=(batch, part.width)))
    return scope(ops.tanh(out)) if part.activation == "tanh" else out


def attention_pooled(scope: Scope, plan: Plan, part: AttentionPooler, x: Value) -> Value:
    """[batch, hidden]: a learnt query's view of all tokens. Source: Zhai et al., "SigLIP", 2023; google-research."""
    batch, rows, hidden = x.type.shape
    heads, width = part.attention.heads, part.attention.width
    with scope.at("pooler"):
        probe = scope(ops.broadcast(scope.weight("query", 1, 1, hidden), shape=(batch, 1, hidden)))
        q = scope(ops.reshape(linear(scope, probe, "query", hidden, True), shape=(batch, 1, heads, width)))
        both = linear(scope, x, "key_value", 2 * hidden, True)
        both = scope(ops.reshape(both, shape=(batch, rows, 2 * heads, width)))
        k, v = (part_of(scope, both, start, heads, axis=2) for start in (0, heads))
        mixed = scope(ops.cached_attention(q, k, v, scale=part.attention.scale))
        mixed = linear(scope, scope(ops.reshape(mixed, shape=(batch, 1, hidden))), "out", hidden, True)
        fed = feed_forward(scope, plan, part.feed_forward, normed(scope, mixed, "norm", part.norm))
        return scope(ops.reshape(ops.add(mixed, fed), shape=(batch, hidden)))


def averaged(scope: Scope, plan: Plan, part: AverageProjector, x: Value) -> Value:
    """[batch, tokens, width]. Source: Gemma Team, "Gemma 3", 2025, 2.1."""
    batch, rows, hidden = x.type.shape
    side, edge = round(rows**0.5), round(part.tokens**0.5)
    each = side // edge
    with scope.at("projector"):
        grid = scope(ops.reshape(x, shape=(batch, edge, each, edge, each, hidden)))
        mean = scope(ops.reduce_mean(grid, axes=(2, 4)))
        mean = scope(ops.reshape(mean, shape=(batch, part.tokens, hidden)))
        return linear(scope, normed(scope, mean, "norm", part.norm), "out", part.width)


def through_layers(scope: Scope, plan: Plan, part: LayersProjector, x: Value) -> Value:
    """[batch, patches, width]. Source: Liu et al., "Improved Baselines with Visual Instruction Tuning", 2023."""
    with scope.at("projector"):
        if part.class_token:
            x = _without_class_token(scope, x, part.class_token)
        x = scope(ACTIVATIONS[part.activation](linear(scope, x, "up", part.width, part.has_bias)))
        return linear(scope, x, "out", part.width, part.has_bias)


def shuffled(scope: Scope, plan: Plan, part: ShuffleProjector, x: Value) -> Value:
    """[batch, patches * ratio ** 2, width]. Source: huggingface/transformers, ``modeling_llama4.py``."""
    x = _without_class_token(scope, x, "last")
    batch, rows, hidden = x.type.shape
    each, side = round(1 / part.ratio), round(rows**0.5)
    edge = side // each
    activation = ACTIVATIONS[part.activation]
    with scope.at("projector"):
        grid = scope(ops.reshape(x, shape=(batch, edge, each, edge, each, hidden)))
        grid = scope(ops.transpose(grid, perm=(0, 1, 3, 2, 4, 5)))
        x = scope(ops.reshape(grid, shape=(batch, edge * edge, each * each * hidden)))
        x = scope(activation(linear(scope, x, "up", part.inner)))
        x = scope(activation(linear(scope, x, "down", part.out)))
        return linear(scope, x, "out", part.width, part.has_bias)


def _without_class_token(scope: Scope, x: Value, place: str) -> Value:
    return part_of(scope, x, 1 if place == "first" else 0, x.type.shape[1] - 1, axis=1)


BUILDERS: Mapping[type, Callable[[Scope, Plan, Any, Value], Value]] = {
    Pooler: pooled,
    AttentionPooler: attention_pooled,
    AverageProjector: averaged,
    LayersProjector: through_layers,
    ShuffleProjector: shuffled,
}
