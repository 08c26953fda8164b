"""Latent attention: keys and values are one vector a token; with an indexer, to the tokens that it chooses."""

from __future__ import annotations

from ircost.frontends.config.attention_layers import gated_by_head, project_out, rotated, tuned
from ircost.frontends.config.cached_rows import as_cached, format_without_scales, index_rows
from ircost.frontends.config.config_file import ConfigError
from ircost.frontends.config.layer_parts import Indexer, LatentAttention
from ircost.frontends.config.parts import linear, normed, part_of, pieces, scaled
from ircost.frontends.config.plan import Plan
from ircost.frontends.config.scope import Scope
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import TensorType, f32


def latent_attention(scope: Scope, plan: Plan, part: LatentAttention, x: Value) -> Value:
    """Prompts by heads of their own; behind a cache in the latent space, into which queries are turned instead.

    Tokens are chosen wherever an indexer could leave some out, in the latent space; and in all passes behind a cache,
    since engines record one graph for all contexts. A prompt no longer than what it chooses sees all of itself, and of
    the indexer needs no more than keys for the cache.

    Source: DeepSeek-AI, "DeepSeek-V2", arXiv:2405.04434, 2.1.2 and appendix C (the absorbed form); "DeepSeek-V3.2",
    2025, 2.1, which runs short prompts by heads of their own.
    """
    hidden = x.type.shape[-1]
    work = plan.workload
    with scope.at("attention"):
        q, latent, rope, source = _latent_inputs(scope, plan, part, x)
        if part.tuning is not None:
            q = scope(ops.mul(q, tuned(scope, plan, *part.tuning)))
        if work.phase != "encode":
            scope.output("latent", as_cached(scope, plan, latent))
            scope.output("rotated_key", as_cached(scope, plan, rope))
        chosen = _choice(scope, plan, part, x, source)
        if work.past or chosen is not None:
            mixed = _in_latent_space(scope, plan, part, q, latent, rope, chosen)
        else:
            mixed = _by_heads(scope, plan, part, q, latent, rope)
        mixed = gated_by_head(scope, x, mixed, plan.share(part.heads, "heads")) if part.is_gated else mixed
        return project_out(scope, plan, mixed, hidden, part.has_bias)


def _latent_inputs(scope: Scope, plan: Plan, part: LatentAttention, x: Value) -> tuple[Value, Value, Value, Value]:
    """Queries [b, t, heads, plain + shared], the latent vector [b, t, latent], the shared key [b, t, 1, shared], and
    what queries are made from.
    """
    batch, rows, _ = x.type.shape
    heads = plan.share(part.heads, "heads")
    width = part.plain + part.shared
    down = linear(scope, x, "down", part.query_rank + part.latent + part.shared, part.has_bias)
    narrow, latent, rope = pieces(scope, down, (part.query_rank, part.latent, part.shared))
    source = normed(scope, narrow, "query_norm", part.norm) if part.query_rank else x
    q = linear(scope, source, "query", heads * width)
    q = scope(ops.reshape(q, shape=(batch, rows, heads, width)))
    latent = normed(scope, latent, "latent_norm", part.norm)
    rope = scope(ops.reshape(rope, shape=(batch, rows, 1, part.shared)))
    return q, latent, rotated(scope, plan, part.rotary, rope), source


def _by_heads(scope: Scope, plan: Plan, part: LatentAttention, q: Value, latent: Value, rope: Value) -> Value:
    batch, rows, heads, _ = q.type.shape
    up = linear(scope, latent, "up", heads * (part.plain + part.value_width))
    up = scope(ops.reshape(up, shape=(batch, rows, heads, part.plain + part.value_width)))
    plain, v = part_of(scope, up, 0, part.plain), part_of(scope, up, part.plain, part.value_width)
    turned = rotated(scope, plan, part.rotary, part_of(scope, q, part.plain, part.shared))
    q = scope(ops.concat(part_of(scope, q, 0, part.plain), turned, axis=3))
    shared = ops.broadcast(rope, shape=(batch, rows, heads, part.shared))
    k = scope(ops.concat(plain, shared, axis=3))
    mixed = scope(ops.cached_attention(q, k, v, scale=part.scale, is_causal=rows > 1))
    return scope(ops.reshape(mixed, shape=(batch, rows, heads * part.value_width)))


def _in_latent_space(
    scope: Scope, plan: Plan, part: LatentAttention, q: Value, latent: Value, rope: Value, chosen: Value | None
) -> Value:
    """One key and value head of latent + shared elements, of which the values are the latent ones."""
    batch, rows, heads, _ = q.type.shape
    with scope.at("up"):
        weight = scope.weight("weight", heads * (part.plain + part.value_width), part.latent)
        weight = scope(ops.reshape(weight, shape=(heads, part.plain + part.value_width, part.latent)))
    to_keys = part_of(scope, weight, 0, part.plain, axis=1)
    to_values = part_of(scope, weight, part.plain, part.value_width, axis=1)
    plain = part_of(scope, q, 0, part.plain)
    turned = rotated(scope, plan, part.rotary, part_of(scope, q, part.plain, part.shared))
    absorbed = scope(ops.contract(plain, to_keys, notation="b t h d, h d c -> b t h c"))
    q = scope(ops.concat(absorbed, turned, axis=3))
    new = scope(ops.concat(latent, ops.reshape(rope, shape=(batch, rows, part.shared)), axis=2))
    new = scope(ops.reshape(new, shape=(batch, rows, 1, part.latent + part.shared)))
    work = plan.workload
    type = TensorType((batch, work.past, 1, part.latent + part.shared), format_without_scales(scope, plan))
    past = [scope.input("past_latent", type)] if work.past else []
    if chosen is not None:
        mixed = ops.chosen_attention(q, new, *past, chosen, latent_width=part.latent, scale=part.scale)
    else:
        mixed = ops.latent_attention(q, new, *past, latent_width=part.latent, scale=part.scale, is_causal=rows > 1)
    mixed = scope(mixed)
    out = scope(ops.contract(mixed, to_values, notation="b t h c, h d c -> b t h d"))
    return scope(ops.reshape(out, shape=(batch, rows, heads * part.value_width)))


# ---- the indexer


def _choice(scope: Scope, plan: Plan, part: LatentAttention, x: Value, source: Value) -> Value | None:
    """[b, t, k] of the tokens that each sees, its own choice or that of the layer before; None: all of them.

    Raises:
        ConfigError: the layer before stands in another stage.
    """
    if part.indexer is not None:
        with scope.at("indexer"):
            plan.chosen = _chosen(scope, plan, part.indexer, x, source)
    elif not part.takes_choice:
        return None
    elif not plan.has_choice:
        raise ConfigError(
            "a stage begins with a layer that sees what the one before it chose",
            help="choose another --mesh pp=N; the layers with an indexer are in indexer_types",
        )
    plan.has_choice = True
    return plan.chosen


def _chosen(scope: Scope, plan: Plan, part: Indexer, x: Value, source: Value) -> Value | None:
    """Every rank chooses for itself, by all heads. Source: vLLM, ``deepseek_v2.py``, class Indexer."""
    work, (batch, rows, _) = plan.workload, x.type.shape
    k = normed(scope, linear(scope, x, "key", part.width), "key_norm", part.norm)
    k = scope(ops.reshape(k, shape=(batch, rows, 1, part.width)))
    k = scope(ops.reshape(rotated(scope, plan, part.rotary, k), shape=(batch, rows, part.width)))
    k, k_scale = index_rows(scope, plan, k, part.form)
    new = {"key": k} | ({} if k_scale is None else {"key_scale": k_scale})
    if work.phase != "encode":
        for name, value in new.items():
            scope.output(name, value)
    if not work.past and rows <= part.chosen:
        with scope.idle():
            for value, name, width in _queries(part, x, source):
                linear(scope, value, name, width)
        return None
    q, weights = (linear(scope, value, name, width) for value, name, width in _queries(part, x, source))
    q = rotated(scope, plan, part.rotary, scope(ops.reshape(q, shape=(batch, rows, part.heads, part.width))))
    weights = scaled(scope, scope(ops.as_format(weights, f32)), (part.heads * part.width) ** -0.5)
    q, q_scale = index_rows(scope, plan, q, part.form)
    if q_scale is not None:
        weights = scope(ops.mul(weights, ops.reshape(q_scale, shape=weights.type.shape)))
    past = []
    if work.past:
        types = {
            name: TensorType((batch, work.past, value.type.shape[2]), value.type.dtype) for name, value in new.items()
        }
        past = [scope.input(f"past_{name}", type) for name, type in types.items()]
    scales = [] if k_scale is None else [k_scale]
    scores = ops.index_scores(
        *(q, k, weights, *past[:1], *scales, *past[1:]),
        has_cache=bool(past),
        has_scales=bool(scales),
        is_causal=rows > 1,
    )
    return scope(ops.chosen_keys(scope(scores), k=min(part.chosen, work.context), is_causal=rows > 1))


def _queries(part: Indexer, x: Value, source: Value) -> tuple[tuple[Value, str, int], ...]:
    """What is projected to queries and to weights of their heads, under which name, and how wide those are."""
    return (source, "query", part.heads * part.width), (x, "weights", part.heads)
