"""Attention of a decoder to what its encoder made, whose keys and values are worked out once a sequence."""

from __future__ import annotations

from ircost.frontends.config.attention_layers import project_out
from ircost.frontends.config.cached_rows import as_cached, format_without_scales
from ircost.frontends.config.layer_parts import Attention
from ircost.frontends.config.parts import linear, part_of
from ircost.frontends.config.plan import Plan
from ircost.frontends.config.scope import Scope
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import TensorType


def cross_attention(scope: Scope, plan: Plan, part: Attention, x: Value) -> Value:
    """x [batch, tokens, hidden] over the encoder's tokens.

    The first pass makes keys and values from the encoder's output and hands them out; later ones take them in.
    """
    batch, rows, hidden = x.type.shape
    heads = plan.share(part.heads, "heads")
    with scope.at("source"):
        q = linear(scope, x, "query", heads * part.width, part.has_qkv_bias)
        q = scope(ops.reshape(q, shape=(batch, rows, heads, part.width)))
        k, v = _made(scope, plan, part) if plan.source is not None else _kept(scope, plan, part)
        mixed = scope(ops.cached_attention(q, k, v, scale=part.scale))
        mixed = scope(ops.reshape(mixed, shape=(batch, rows, heads * part.value_width)))
        return project_out(scope, plan, mixed, hidden, part.has_out_bias)


def _made(scope: Scope, plan: Plan, part: Attention) -> list[Value]:
    """[batch, source, heads, width] each; both are one product."""
    assert plan.source is not None, "asked for where there is one"
    batch, source, _ = plan.source.type.shape
    heads = plan.share(part.kv_heads, "heads of keys and values")
    has_both = part.has_qkv_bias and part.has_k_bias
    both = linear(scope, plan.source, "key_value", 2 * heads * part.width, has_both)
    both = scope(ops.reshape(both, shape=(batch, source, 2 * heads, part.width)))
    k, v = (part_of(scope, both, start, heads, axis=2) for start in (0, heads))
    if part.has_qkv_bias and not part.has_k_bias:
        v = scope(ops.add(v, scope.weight("value_bias", heads, part.width)))
    k, v = (as_cached(scope, plan, x) for x in (k, v))
    for name, value in (("key", k), ("value", v)):
        scope.output(name, value)
    return [k, v]


def _kept(scope: Scope, plan: Plan, part: Attention) -> list[Value]:
    work = plan.workload
    heads = plan.share(part.kv_heads, "heads of keys and values")
    type = TensorType((work.batch, work.source, heads, part.width), format_without_scales(scope, plan))
    return [scope.input(f"past_{name}", type) for name in ("key", "value")]
