"""Several states of each token, of which a layer computes one and updates all: AltUp, with LAuReL beside its parts."""

from __future__ import annotations

from collections.abc import Callable

from ircost.frontends.config.layer_parts import AlternatingUpdates, Layer
from ircost.frontends.config.parts import linear, normed, part_of, scaled
from ircost.frontends.config.scope import Scope
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.ops.normalization import scalar_like

SMALLEST_SQUARE = 1e-5  # Source: huggingface/transformers, ``Gemma3nTextModel``

Part = Callable[[Value], Value]


def spread(scope: Scope, part: AlternatingUpdates, x: Value) -> Value:
    """[states, batch, tokens, hidden]: x [batch, tokens, hidden], and projections of it as long as it is."""
    with scope.at("altup_in"):
        others = scope.weight("weight", part.states - 1, x.type.shape[-1], x.type.shape[-1])
        made = scope(ops.contract(x, others, notation="b t k, i n k -> i b t n"))
        first = scope(ops.reshape(x, shape=(1, *x.type.shape)))
        return scope(ops.concat(first, _as_long_as(scope, made, first), axis=0))


def gathered(scope: Scope, part: AlternatingUpdates, x: Value) -> Value:
    """[batch, tokens, hidden]: the mean of the first state and of projections of the others, as long as it is."""
    hidden = x.type.shape[-1]
    with scope.at("altup_out"):
        first, rest = part_of(scope, x, 0, 1, axis=0), part_of(scope, x, 1, part.states - 1, axis=0)
        weight = scope.weight("weight", part.states - 1, hidden, hidden)
        made = scope(ops.contract(rest, weight, notation="i b t k, i n k -> i b t n"))
        both = scope(ops.concat(first, _as_long_as(scope, made, first), axis=0))
        return scope(ops.reduce_mean(both, axes=(0,)))


def _as_long_as(scope: Scope, x: Value, other: Value) -> Value:
    """x with the mean square of ``other`` along the last axis."""
    squares, least = _mean_square(x), scalar_like(SMALLEST_SQUARE, x)
    longer = ops.mul(ops.sqrt(_mean_square(other)), ops.rsqrt(ops.maximum(squares, least)))
    return scope(ops.mul(x, longer))


def _mean_square(x: Value) -> Value:
    return ops.reduce_mean(ops.mul(x, x), axes=(x.type.rank - 1,), keepdims=True)


def updated(
    scope: Scope, part: AlternatingUpdates, layer: Layer, x: Value, mixed: Part, fed: Part, inputs: Part
) -> Value:
    """A layer of all states x [states, batch, tokens, hidden].

    Args:
        mixed, fed: the layer's parts. inputs: from the first state, what is added to the others.

    Source: Baykal et al., "Alternating Updates for Efficient Transformers", NeurIPS 2023; Menghani et al., "LAuReL",
    2024; huggingface/transformers, ``Gemma3nTextDecoderLayer``.
    """
    states, batch, rows, hidden = x.type.shape
    before = _predicted(scope, part, x)
    active = _first(scope, before)
    narrow = normed(scope, active, "attention_norm", layer.norm)
    with scope.at("laurel"):
        low = linear(scope, linear(scope, narrow, "left", part.rank), "right", hidden)
        beside = scope(ops.add(narrow, normed(scope, low, "norm", layer.norm)))
    attended = scope(ops.add(active, normed(scope, mixed(narrow), "attention_norm_behind", layer.norm)))
    both = scaled(scope, scope(ops.add(attended, beside)), 2**-0.5)
    narrow = fed(normed(scope, both, "mlp_norm", layer.norm))
    out = scope(ops.add(both, normed(scope, narrow, "mlp_norm_behind", layer.norm)))
    with scope.at("altup"):
        factors = linear(scope, _modalities(scope, part, out), "correction", states)
        factors = scope(ops.add(factors, scalar_like(1.0, factors)))
        factors = ops.reshape(ops.transpose(factors, perm=(2, 0, 1)), shape=(states, batch, rows, 1))
        change = ops.reshape(ops.sub(out, active), shape=(1, batch, rows, hidden))
        corrected = scope(ops.add(ops.mul(change, factors), before))
        first = _first(scope, corrected)
        scale = scope.weight("scale", hidden)
        first = scope(ops.mul(first, scale)) if part.is_scaled else first
    more = scope(ops.reshape(inputs(first), shape=(1, batch, rows, hidden)))
    others = scope(ops.add(part_of(scope, corrected, 1, states - 1, axis=0), more))
    return scope(ops.concat(part_of(scope, corrected, 0, 1, axis=0), others, axis=0))


def _predicted(scope: Scope, part: AlternatingUpdates, x: Value) -> Value:
    """All states before the layer: mixed by what the first one says."""
    states, batch, rows, _ = x.type.shape
    with scope.at("altup"):
        factors = linear(scope, _modalities(scope, part, _first(scope, x)), "prediction", states * states)
        factors = scope(ops.reshape(factors, shape=(batch, rows, states, states)))
        return scope(ops.add(ops.contract(x, factors, notation="p b t h, b t m p -> m b t h"), x))


def _modalities(scope: Scope, part: AlternatingUpdates, x: Value) -> Value:
    """[batch, tokens, states], between -1 and 1."""
    narrow = scaled(scope, normed(scope, x, "router_norm", part.norm), 1 / x.type.shape[-1])
    return scope(ops.tanh(linear(scope, narrow, "router", part.states)))


def _first(scope: Scope, x: Value) -> Value:
    return scope(ops.reshape(part_of(scope, x, 0, 1, axis=0), shape=x.type.shape[1:]))
