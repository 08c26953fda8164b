"""What comes before the layers: tokens, images or sound as vectors."""

from __future__ import annotations

from ircost.frontends.config.layer_parts import Embedding, LayerInputs
from ircost.frontends.config.parts import biased, linear, normed, part_of, scaled
from ircost.frontends.config.plan import Plan
from ircost.frontends.config.scope import Scope
from ircost.frontends.config.tower_parts import Entrance, Frames, Patches
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import TensorType, i64


def entered(scope: Scope, plan: Plan, part: Entrance, name: str = "tokens") -> Value:
    """[batch, tokens, hidden] of the model's input.

    Args:
        name: of the input, where it is tokens.
    """
    if isinstance(part, Embedding):
        return embedded(scope, plan, part, name)
    return patches(scope, plan, part) if isinstance(part, Patches) else frames(scope, plan, part)


def embedded(scope: Scope, plan: Plan, part: Embedding, name: str = "tokens") -> Value:
    """Each rank holds a part of the vocabulary, and the parts are added up."""
    work = plan.workload
    tokens = plan.tokens = scope.set_input(name, TensorType((work.batch, work.rows), i64))
    table = token_table(scope, plan, part)
    with scope.at("embedding"):
        x = scope(ops.gather(table, tokens, axis=0))
        plan.exchange("all_reduce", x.type.size_bytes, "sum of the vocabulary's parts")
        if part.width != part.hidden:
            x = linear(scope, x, "project_in", part.hidden)
        x = scaled(scope, x, part.factor)
        if part.positions:
            positions = scope.weight("positions", part.positions, part.hidden)
            x = scope(ops.add(x, part_of(scope, positions, work.past + part.offset, work.rows, axis=0)))
        if part.token_types:
            types = scope.input("token_types", TensorType((work.batch, work.rows), i64))
            segments = scope.weight("token_types", part.token_types, part.hidden)
            x = scope(ops.add(x, ops.gather(segments, types, axis=0)))
        return normed(scope, x, "norm", part.norm)


def layer_inputs(scope: Scope, plan: Plan, part: LayerInputs, layers: int, x: Value) -> Value:
    """[layers, batch, tokens, width] of the tokens, and of x [batch, tokens, hidden]; every rank projects all of it."""
    assert plan.tokens is not None, "tokens come in before"
    batch, rows, hidden = x.type.shape
    with scope.at("inputs"):
        table = scope.weight("tokens", vocabulary_share(plan, part.vocabulary), layers * part.width)
        own = scope(ops.gather(table, plan.tokens, axis=0))
        plan.exchange("all_reduce", own.type.size_bytes, "sum of the vocabulary's parts")
        own = scaled(scope, own, part.width**0.5)
        seen = scaled(scope, linear(scope, x, "projection", layers * part.width), hidden**-0.5)
        own, seen = (scope(ops.reshape(value, shape=(batch, rows, layers, part.width))) for value in (own, seen))
        both = scope(ops.add(normed(scope, seen, "norm", part.norm), own))
        return scope(ops.transpose(scaled(scope, both, 2**-0.5), perm=(2, 0, 1, 3)))


def token_table(scope: Scope, plan: Plan, part: Embedding) -> Value:
    """[vocabulary, width], one for the whole model: an encoder's is its decoder's, and a tied head's."""
    path = scope.path[:-1] if part.is_shared else scope.path
    rows = vocabulary_share(plan, part.vocabulary)
    return scope.weight_at((*path, "embedding", "tokens"), rows, part.width)


def vocabulary_share(plan: Plan, size: int) -> int:
    """Of one rank, padded to a whole number of rows."""
    return -(-size // plan.mesh.tp)


def patches(scope: Scope, plan: Plan, part: Patches) -> Value:
    """Images [batch, channels, edge, edge] through a convolution whose windows lie side by side."""
    batch, side = plan.workload.batch, part.side
    pixels = scope.set_input("pixels", TensorType((batch, part.channels, part.image, part.image), scope.dtype))
    with scope.at("patches"):
        weight = scope.weight("weight", part.hidden, part.channels, part.patch, part.patch)
        x = scope(ops.conv(_whole(scope, pixels, part), weight, strides=(part.patch, part.patch)))
        x = scope(ops.transpose(ops.reshape(x, shape=(batch, part.hidden, side**2)), perm=(0, 2, 1)))
        x = biased(scope, x, part.has_bias)
        if part.class_token:
            x = _with_class_token(scope, x, part)
        if part.has_positions:
            x = scope(ops.add(x, scope.weight("positions", part.tokens, part.hidden)))
        return normed(scope, x, "norm", part.norm)


def _whole(scope: Scope, pixels: Value, part: Patches) -> Value:
    """The rows and columns that make up whole patches."""
    edge = part.side * part.patch
    return part_of(scope, part_of(scope, pixels, 0, edge, axis=2), 0, edge, axis=3)


def _with_class_token(scope: Scope, x: Value, part: Patches) -> Value:
    token = scope.weight("class_token", 1, 1, part.hidden)
    token = scope(ops.broadcast(token, shape=(x.type.shape[0], 1, part.hidden)))
    both = (token, x) if part.class_token == "first" else (x, token)
    return scope(ops.concat(*both, axis=1))


def frames(scope: Scope, plan: Plan, part: Frames) -> Value:
    """Spectra [batch, bands, 2 * tokens] through two convolutions of three frames. Source: Radford et al., 2022."""
    work = plan.workload
    x = scope.set_input("spectra", TensorType((work.batch, part.bands, 2 * work.rows), scope.dtype))
    for name, stride in (("conv1", 1), ("conv2", 2)):
        with scope.at(name):
            weight = scope.weight("weight", part.hidden, x.type.shape[1], 3)
            x = scope(ops.conv(x, weight, strides=(stride,), pads=((1, 1),)))
            bias = scope(ops.reshape(scope.weight("bias", part.hidden), shape=(part.hidden, 1)))
            x = scope(ops.gelu(ops.add(x, bias)))
    table = scope.weight("positions", part.positions, part.hidden)
    return scope(ops.add(ops.transpose(x, perm=(0, 2, 1)), part_of(scope, table, 0, work.rows, axis=0)))
