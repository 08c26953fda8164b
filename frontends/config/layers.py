"""Stacks of layers: groups of equal ones built once, each layer of a mixer, a feed-forward layer, and norms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ircost.frontends.config.alternating_updates import updated
from ircost.frontends.config.attention_layers import self_attention
from ircost.frontends.config.cross_attention import cross_attention
from ircost.frontends.config.feed_forward_layers import experts, feed_forward
from ircost.frontends.config.latent_attention import latent_attention
from ircost.frontends.config.layer_parts import (
    Attention,
    DenseAndExperts,
    Experts,
    LatentAttention,
    Layer,
    LayerInputs,
    SideBySide,
    Stack,
    built_groups,
)
from ircost.frontends.config.parts import ACTIVATIONS, in_format, linear, normed, scaled
from ircost.frontends.config.plan import Plan
from ircost.frontends.config.position_bias import position_bias
from ircost.frontends.config.recurrent_layers import recurrent
from ircost.frontends.config.scope import Scope, run_layers
from ircost.frontends.config.tower_parts import Tower
from ircost.ir import ops
from ircost.ir.graph import Function, Value
from ircost.ir.types import f32


def run_stack(scope: Scope, plan: Plan, stack: Stack, x: Value, begin: int = 0, end: int | None = None) -> Value:
    """Layers ``begin`` to ``end``, all of them where nothing is said; not the norm behind."""
    if stack.has_wide_sums:
        x = in_format(scope, x, f32)
    plan.position_bias = position_bias(scope, plan, stack.bias_table) if stack.bias_table else None
    plan.chosen, plan.has_choice, plan.kept = None, False, {}
    for period, count in built_groups(stack.layers[begin:end]):
        plan.repeats = count
        x = run_layers(scope, x, begin, len(period), count, partial(_at_place, plan, period))
        begin += len(period) * count
    plan.repeats = 1
    return in_format(scope, x, scope.dtype)


def hold_idle(scope: Scope, plan: Plan, tower: Tower, x: Value) -> None:
    """Layers and a norm that are loaded though nothing reads them: weights of the model, no work."""
    assert tower.idle is not None, "asked for where there are some"
    aside = replace(scope, function=Function("aside", [x.type]), outputs={}, inputs=[])
    aside.path = scope.path
    first = len(tower.stack.layers)
    for number, layer in enumerate(tower.idle.layers):
        with aside.at(f"layers.{first + number}"):
            _at_place(replace(plan, collectives=[]), (layer,), aside, aside.function.block.arguments[0], 0)
    normed(aside, aside.function.block.arguments[0], "norm", tower.idle.final_norm)


def _at_place(plan: Plan, period: tuple[Layer, ...], scope: Scope, x: Value, place: int) -> Value:
    layer = period[place]
    scope.wide, scope.forms = layer.wide, layer.forms
    if layer.updates is not None:
        assert layer.inputs is not None, "families with several states have inputs of layers"
        mixed, fed = partial(_mixed, scope, plan, layer), partial(_fed, scope, plan, layer)
        return updated(scope, layer.updates, layer, x, mixed, fed, partial(_from_inputs, scope, plan, layer.inputs))
    if layer.placement.startswith("parallel"):
        return _parallel(scope, plan, x, layer)
    if layer.mixer is not None:
        bare = layer if layer.has_mixer_norm else replace(layer, placement="bare")
        x = _around(scope, x, bare, "attention_norm", partial(_mixed, scope, plan, layer), layer.mixer_sum)
    if layer.cross is not None:
        x = _around(scope, x, layer, "source_norm", partial(cross_attention, scope, plan, layer.cross))
    if isinstance(layer.feed_forward, DenseAndExperts):
        both = partial(_dense_and_experts, scope, plan, layer.feed_forward, x)
        x = _around(scope, x, layer, "mlp_norm", both, layer.feed_forward_sum)
    elif layer.feed_forward is not None:
        x = _around(scope, x, layer, "mlp_norm", partial(_fed, scope, plan, layer), layer.feed_forward_sum)
    if layer.inputs is not None:
        x = _with_inputs(scope, plan, layer.inputs, x)
    return scope(ops.mul(x, scope.weight("scale", 1))) if layer.has_scale else x


def _with_inputs(scope: Scope, plan: Plan, part: LayerInputs, x: Value) -> Value:
    return scope(ops.add(x, _from_inputs(scope, plan, part, x)))


def _from_inputs(scope: Scope, plan: Plan, part: LayerInputs, x: Value) -> Value:
    """The layer's own vectors behind a gate of x; every rank has both projections whole."""
    assert plan.layer_inputs is not None, "made before the first layer"
    with scope.at("inputs"):
        gate = ACTIVATIONS[part.activation](linear(scope, x, "gate", part.width))
        out = linear(scope, scope(ops.mul(gate, scope.of_layer(plan.layer_inputs))), "out", x.type.shape[-1])
        return normed(scope, out, "norm", part.norm)


def _around(
    scope: Scope,
    x: Value,
    layer: Layer,
    name: str,
    part: Callable[[Value], Value],
    factors: tuple[float, float] = (1.0, 1.0),
) -> Value:
    """x + part(x) with norms where the placement says."""
    placement, norm = layer.placement, layer.norm
    narrow = in_format(scope, x, scope.dtype)
    if placement in ("pre", "both", "normed"):
        narrow = normed(scope, narrow, name, norm)
    out = part(narrow)
    if placement in ("both", "behind"):
        out = normed(scope, out, f"{name}_behind", norm)
    kept = narrow if placement == "normed" else x
    x = scope(ops.add(scaled(scope, kept, factors[0]), in_format(scope, scaled(scope, out, factors[1]), x.type.dtype)))
    return normed(scope, x, name, norm) if placement == "post" else x


def _parallel(scope: Scope, plan: Plan, x: Value, layer: Layer) -> Value:
    first = normed(scope, x, "attention_norm", layer.norm)
    second = first if layer.placement == "parallel" else normed(scope, x, "mlp_norm", layer.norm)
    both = scope(ops.add(_mixed(scope, plan, layer, first), _fed(scope, plan, layer, second)))
    return scope(ops.add(x, both))


def _mixed(scope: Scope, plan: Plan, layer: Layer, x: Value) -> Value:
    mixer = layer.mixer
    if isinstance(mixer, LatentAttention):
        return latent_attention(scope, plan, mixer, x)
    if isinstance(mixer, Attention):
        return self_attention(scope, plan, mixer, x)
    assert mixer is not None, "asked for where there is one"
    return _side_by_side(scope, plan, mixer, x) if isinstance(mixer, SideBySide) else recurrent(scope, plan, mixer, x)


def _side_by_side(scope: Scope, plan: Plan, part: SideBySide, x: Value) -> Value:
    """Source: Zuo et al., "Falcon-H1", arXiv:2507.22448, 2.1."""
    (before, behind), (before_state, behind_state) = part.attention_factors, part.state_factors
    attended = self_attention(scope, plan, part.attention, scaled(scope, x, before))
    kept = recurrent(scope, plan, part.state, scaled(scope, x, before_state))
    return scope(ops.add(scaled(scope, kept, behind_state), scaled(scope, attended, behind)))


def _fed(scope: Scope, plan: Plan, layer: Layer, x: Value) -> Value:
    (part,) = layer.fed
    return experts(scope, plan, part, x) if isinstance(part, Experts) else feed_forward(scope, plan, part, x)


def _dense_and_experts(scope: Scope, plan: Plan, part: DenseAndExperts, whole: Value, x: Value) -> Value:
    """Both added up; experts and their router read what stands before the norm of the dense layer, ``whole``.

    Source: huggingface/transformers, ``Gemma4TextDecoderLayer``.
    """
    dense = normed(scope, feed_forward(scope, plan, part.dense, x), "dense_norm_behind", part.norm)
    taken = normed(scope, whole, "experts_norm", part.norm)
    routed = experts(scope, plan, part.experts, taken, routed_by=whole)
    return scope(ops.add(dense, normed(scope, routed, "experts_norm_behind", part.norm)))
