"""Attention layers: projections, positions, the cache, and what ranks add up."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ircost.frontends.config.cached_rows import SCALES, cached_format, index_bytes_per_token, with_scales
from ircost.frontends.config.config_file import ConfigError
from ircost.frontends.config.layer_parts import Attention, LatentAttention, Rotary
from ircost.frontends.config.parts import linear, normed, part_of, pieces, scaled
from ircost.frontends.config.plan import Plan
from ircost.frontends.config.scope import Scope
from ircost.frontends.config.workload import Workload
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import TensorType, f32


def self_attention(scope: Scope, plan: Plan, part: Attention, x: Value) -> Value:
    """One attention layer of the new tokens over the cache and themselves; x [batch, tokens, hidden].

    The three projections are one product, as all engines run them.
    """
    hidden = x.type.shape[-1]
    heads = plan.share(part.heads, "heads")
    kv_heads = _kv_heads(plan, part)
    if part.is_shared:
        return _with_kept(scope, plan, part, x, heads)
    with scope.at("attention"):
        packed, apart = _projected(scope, part, x, heads, kv_heads)
        q, k = _with_positions(scope, plan, part, packed, heads, kv_heads)
        v = part_of(scope, packed, packed.type.shape[2] - kv_heads, kv_heads, axis=2) if apart is None else apart
        v = scaled(scope, normed(scope, v, "v_norm", part.value_norm), part.value_factor)
        if part.tuning is not None:
            q = scope(ops.mul(q, tuned(scope, plan, *part.tuning)))
        mixed = _attended(scope, plan, part, q, k, v)
        if part.is_gated:
            gate = linear(scope, x, "gate", heads * part.width, part.has_qkv_bias)
            mixed = scope(ops.mul(mixed, ops.sigmoid(gate)))
        mixed = gated_by_head(scope, x, mixed, heads) if part.is_gated_by_head else mixed
        return project_out(scope, plan, mixed, hidden, part.has_out_bias)


def _projected(scope: Scope, part: Attention, x: Value, heads: int, kv_heads: int) -> tuple[Value, Value | None]:
    """Heads of queries, keys and values together, [b, t, heads, width]; values of another width apart."""
    batch, rows, _ = x.type.shape
    own = kv_heads * part.value_width if part.has_values else 0
    shared = (heads + kv_heads) * part.width
    padding = 0 if part.has_k_bias else kv_heads * part.width
    packed = linear(scope, x, "qkv", shared + own, part.has_qkv_bias, padding)
    packed = _whole_normed(scope, packed, part, heads, kv_heads)
    if part.value_width != part.width:
        packed, v = pieces(scope, packed, (shared, own))
        packed = scope(ops.reshape(packed, shape=(batch, rows, heads + kv_heads, part.width)))
        return packed, scope(ops.reshape(v, shape=(batch, rows, kv_heads, part.value_width)))
    return scope(ops.reshape(packed, shape=(batch, rows, (shared + own) // part.width, part.width))), None


def _with_kept(scope: Scope, plan: Plan, part: Attention, x: Value, heads: int) -> Value:
    """Queries alone are the layer's own.

    Raises:
        ConfigError: the layer whose keys and values it sees stands in another stage.
    """
    batch, rows, hidden = x.type.shape
    if bool(part.window) not in plan.kept:
        raise ConfigError(
            "a stage lacks the layer whose keys and values later ones see", help="choose another --mesh pp=N"
        )
    with scope.at("attention"):
        q = linear(scope, x, "query", heads * part.width, part.has_qkv_bias)
        q = scope(ops.reshape(q, shape=(batch, rows, heads, part.width)))
        mixed = _over(scope, plan, part, _placed(scope, plan, part, q, "q_norm"), plan.kept[bool(part.window)])
        return project_out(scope, plan, mixed, hidden, part.has_out_bias)


def _kv_heads(plan: Plan, part: Attention) -> int:
    """Of one rank; where there are fewer than ranks, several ranks hold the same."""
    if part.kv_heads < plan.mesh.tp and plan.mesh.tp % part.kv_heads == 0:
        return 1
    return plan.share(part.kv_heads, "heads of keys and values")


def _whole_normed(scope: Scope, packed: Value, part: Attention, heads: int, kv_heads: int) -> Value:
    """Queries and keys normed over all their heads, values as they are."""
    if part.whole_norm is None:
        return packed
    widths = (heads * part.width, kv_heads * part.width, kv_heads * part.width)
    q, k, v = pieces(scope, packed, widths)
    q, k = normed(scope, q, "q_norm", part.whole_norm), normed(scope, k, "k_norm", part.whole_norm)
    return scope(ops.concat(q, k, v, axis=2))


def _with_positions(
    scope: Scope, plan: Plan, part: Attention, packed: Value, heads: int, kv_heads: int
) -> tuple[Value, Value]:
    """Queries and keys, normed and rotated: by one kernel where their weights are the same."""
    if part.key_factor != 1.0:
        q, k = part_of(scope, packed, 0, heads, axis=2), part_of(scope, packed, heads, kv_heads, axis=2)
        return rotated(scope, plan, part.rotary, q), rotated(
            scope, plan, part.rotary, scaled(scope, k, part.key_factor)
        )
    if part.head_norm is None:
        both = part_of(scope, packed, 0, heads + kv_heads, axis=2)
        both = rotated(scope, plan, part.rotary, both)
        return part_of(scope, both, 0, heads, axis=2), part_of(scope, both, heads, kv_heads, axis=2)
    q = _placed(scope, plan, part, part_of(scope, packed, 0, heads, axis=2), "q_norm")
    return q, _placed(scope, plan, part, part_of(scope, packed, heads, kv_heads, axis=2), "k_norm")


def _placed(scope: Scope, plan: Plan, part: Attention, x: Value, name: str) -> Value:
    """x [batch, tokens, heads, width] normed, where there is a norm, and rotated."""
    if part.head_norm is None:
        return rotated(scope, plan, part.rotary, x)
    if part.is_norm_behind:
        return _head_normed(scope, rotated(scope, plan, part.rotary, x), name, part)
    return rotated(scope, plan, part.rotary, _head_normed(scope, x, name, part))


def _head_normed(scope: Scope, x: Value, name: str, part: Attention) -> Value:
    """x [batch, tokens, heads, width], each head by itself."""
    assert part.head_norm is not None, "asked for where there is one"
    if not part.is_norm_by_head:
        return normed(scope, x, name, part.head_norm)
    out = normed(scope, x, name, replace(part.head_norm, has_scale=False, has_bias=False))
    with scope.at(name):
        return scope(ops.mul(out, scope.weight("weight", *x.type.shape[2:])))


def rotated(scope: Scope, plan: Plan, rotary: Rotary | None, x: Value) -> Value:
    """x [batch, tokens, heads, width] with its leading elements turned by the angle of each position."""
    if rotary is None:
        return x
    cos, sin = (_angles(scope, plan, rotary, function) for function in ("cos", "sin"))
    return scope(ops.rotary_embedding(x, cos, sin, width=rotary.width, is_interleaved=rotary.is_interleaved))


def _angles(scope: Scope, plan: Plan, rotary: Rotary, function: str) -> Value:
    """[tokens, 1, width] of the new positions."""
    work = plan.workload
    turn = {"cos": np.cos, "sin": np.sin}[function]

    def make() -> np.ndarray:
        angles = grid_angles(rotary, work.rows) if rotary.side else line_angles(rotary, work.past, work.context)
        both = np.repeat(angles, 2, axis=1) if rotary.is_interleaved else np.concatenate([angles, angles], axis=1)
        return np.asarray(turn(both)[:, None])

    told = (f", side {rotary.side}" if rotary.side else "") + (", of neighbours" if rotary.is_interleaved else "")
    told += f", {rotary.turning} pairs" if rotary.turning else ""
    name = f"{function} of {rotary.width}, base {rotary.base:g}{told}"
    return scope.table(name, (work.rows, 1, rotary.width), scope.dtype, make)


def tuned(scope: Scope, plan: Plan, floor: float, factor: float, first: int) -> Value:
    """[tokens, 1, 1] by which queries grow; ``first`` is the number of the first token."""
    work = plan.workload

    def make() -> np.ndarray:
        places = np.arange(work.past, work.context)
        return np.asarray(1 + factor * np.log1p(np.floor((places + first) / floor)))[:, None, None]

    return scope.table("tuning of queries", (work.rows, 1, 1), scope.dtype, make)


def line_angles(rotary: Rotary, begin: int, end: int) -> np.ndarray:
    """[tokens, width / 2]."""
    rates = rotary.base ** -(np.arange(0, rotary.width, 2) / rotary.width)
    if rotary.turning:
        rates[rotary.turning :] = 0.0
    return np.outer(np.arange(begin, end), rates)


def grid_angles(rotary: Rotary, tokens: int) -> np.ndarray:
    """[tokens, width / 2] of patches by column and row, from 1 on; a class token behind them does not turn.

    Source: huggingface/transformers, ``Llama4VisionRotaryEmbedding``.
    """
    half = rotary.width // 2
    rates = rotary.base ** -(np.arange(0, half, 2) / half)
    places = np.arange(rotary.side**2)
    found = np.concatenate([np.outer(n + 1, rates) for n in (places % rotary.side, places // rotary.side)], axis=1)
    return np.concatenate([found, np.zeros((tokens - len(found), half))])


def _attended(scope: Scope, plan: Plan, part: Attention, q: Value, k: Value, v: Value) -> Value:
    """[batch, tokens, heads * width] over what the cache holds and the new tokens, which join it."""
    (k, k_scale), (v, v_scale) = (with_scales(scope, plan, x) for x in (k, v))
    past = _cached(scope, plan, {"key": k, "value": v}, part)
    scales = [scale for scale in (k_scale, v_scale) if scale is not None]
    past_scales = _cached(scope, plan, dict(zip(("key_scales", "value_scales"), scales, strict=False)), part)
    held = (k, v, *past, *scales, *past_scales)
    if part.is_kept:
        plan.kept[bool(part.window)] = held
    return _over(scope, plan, part, q, held)


def _over(scope: Scope, plan: Plan, part: Attention, q: Value, held: tuple[Value, ...]) -> Value:
    """[batch, tokens, heads * width]; ``held`` are new keys and values, those of the past, and scales of both."""
    batch, rows, heads, _ = q.type.shape
    has_scales = cached_format(plan) in SCALES
    count = 4 if has_scales else 2
    has_past = len(held) == 2 * count
    operands = [q, *held]
    keys = rows + (held[2].type.shape[1] if has_past else 0)
    if part.chunk and rows > part.chunk:
        operands = [_chunked(scope, plan, x, part.chunk) for x in operands]
    if part.has_bias_table:
        assert plan.position_bias is not None, "the stack has a table"
        operands.append(plan.position_bias)
    if part.has_alibi:
        operands.append(_slopes(scope, plan, part))
    if part.has_sinks:
        operands.append(scope.weight("sinks", heads))
    mixed = ops.cached_attention(
        *operands,
        scale=part.scale,
        has_cache=has_past,
        is_causal=part.is_causal and rows > 1,
        window=part.window if part.window < keys else 0,
        softcap=part.softcap,
        has_sinks=part.has_sinks,
        has_scales=has_scales,
        has_alibi=part.has_alibi,
    )
    return scope(ops.reshape(scope(mixed), shape=(batch, rows, heads * part.value_width)))


def _chunked(scope: Scope, plan: Plan, x: Value, chunk: int) -> Value:
    """Chunks as if each were a sequence: none sees another. Source: Meta, Llama 4, ``attention_chunk_size``."""
    batch, rows, heads, width = x.type.shape
    if plan.workload.past or rows % chunk:
        raise ConfigError(
            f"{rows} new tokens behind {plan.workload.past}, and attention sees no more than its chunk of {chunk}",
            help=f"run whole chunks from the first token: --phase prefill --seq {-(-rows // chunk) * chunk}",
        )
    return scope(ops.reshape(x, shape=(batch * rows // chunk, chunk, heads, width)))


def _cached(scope: Scope, plan: Plan, new: dict[str, Value], part: Attention) -> list[Value]:
    """What is kept of the past as inputs; of the new tokens it becomes outputs, which the caller's cache takes in."""
    work = plan.workload
    if work.phase == "encode":
        return []
    for name, value in new.items():
        scope.output(name, value)
    past = min(work.past, part.window - 1) if part.window else work.past
    if part.chunk and past:
        past = _past_of_chunk(work, part.chunk)
    if not past:
        return []
    types = {name: (value.type.shape, value.type.dtype) for name, value in new.items()}
    return [
        scope.input(f"past_{name}", TensorType((shape[0], past, *shape[2:]), dtype))
        for name, (shape, dtype) in types.items()
    ]


def _past_of_chunk(work: Workload, chunk: int) -> int:
    """Tokens in the cache that new ones see; all of them stand in one chunk, or else it is not known here."""
    first, last = work.past // chunk, (work.context - 1) // chunk
    if first != last and work.rows > 1 and work.past % chunk:
        raise ConfigError(
            f"tokens {work.past} to {work.context - 1} stand in several chunks of {chunk}",
            help="choose a context whose new tokens stand in one",
        )
    return work.past % chunk


def _slopes(scope: Scope, plan: Plan, part: Attention) -> Value:
    """[heads] of how fast biases fall with the distance. Source: Press et al., "ALiBi", ICLR 2022.

    Kernels take them in 32 bits and multiply where the scores are: Dao-AILab/flash-attention, ``alibi_slopes``.
    """
    heads = plan.share(part.heads, "heads")

    def make() -> np.ndarray:
        power = 2 ** math.floor(math.log2(part.heads))
        slopes = [2 ** (-8 * (i + 1) / power) for i in range(power)]
        slopes += [2 ** (-4 * (2 * i + 1) / power) for i in range(part.heads - power)]
        return np.array(slopes[:heads])

    return scope.table("slopes of distances", (heads,), f32, make)


def gated_by_head(scope: Scope, x: Value, mixed: Value, heads: int) -> Value:
    """mixed [batch, tokens, heads * width], each head times a sigmoid of its own number."""
    batch, rows, width = mixed.type.shape
    gate = ops.sigmoid(ops.reshape(linear(scope, x, "gate", heads), shape=(batch, rows, heads, 1)))
    apart = scope(ops.reshape(mixed, shape=(batch, rows, heads, width // heads)))
    return scope(ops.reshape(scope(ops.mul(apart, gate)), shape=mixed.type.shape))


def project_out(scope: Scope, plan: Plan, mixed: Value, hidden: int, has_bias: bool) -> Value:
    out = linear(scope, mixed, "out", hidden, has_bias)
    plan.exchange("all_reduce", out.type.size_bytes, "sum of the heads' parts")
    return out


def kv_bytes_per_token(part: Attention | LatentAttention, bits: float, tp: int = 1) -> float:
    """Bytes that one token adds to the cache of one layer, on all ranks together.

    >>> from ircost.frontends.config.layer_parts import Norm
    >>> norm = Norm("rms", 1e-6)
    >>> part = LatentAttention(128, 1536, 512, 128, 64, Rotary(64), 128, norm, 0.1)
    >>> 61 * kv_bytes_per_token(part, 16)
    70272.0
    """
    if isinstance(part, LatentAttention):
        own = index_bytes_per_token(part.indexer, bits) if part.indexer is not None else 0.0
        return ((part.latent + part.shared) * bits / 8 + own) * tp
    if part.is_shared:
        return 0.0
    held = max(part.kv_heads, tp)
    return held * (part.width + part.value_width) * bits / 8
