"""Keys and values as a cache holds them: in its number format, with scales where that needs some."""

from __future__ import annotations

from ircost.frontends.config.config_file import ConfigError
from ircost.frontends.config.layer_parts import Indexer
from ircost.frontends.config.plan import Plan
from ircost.frontends.config.scope import Scope
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import DType, f4e2m1, f8e4m3

# Formats of fewer than 8 bits -> elements of a head's row that share a scale, and its format. Wider ones have a scale a
# tensor or a row, whose bytes nobody notices. Source: NVIDIA, NVFP4: a scale in FP8 for each 16 elements, as of
# TensorRT-LLM's cache in it.
SCALES: dict[DType, tuple[int, DType]] = {f4e2m1: (16, f8e4m3)}
NARROWEST = 8  # bits, without scales


def check_cache_format(dtype: DType) -> None:
    """Raises:
    ConfigError: rows in it need scales, and nobody knows which.
    """
    if dtype.bits < NARROWEST and dtype not in SCALES:
        known = ", ".join(str(form) for form in SCALES)
        raise ConfigError(
            f"a cache in {dtype} needs scales of blocks, and how they lie is not known here",
            help=f"f8e4m3 and i8 need none that count; {known} has those of NVFP4",
        )


def cached_bits(dtype: DType) -> float:
    """Of an element, its part of a scale included.

    >>> cached_bits(f8e4m3), cached_bits(f4e2m1)
    (8, 4.5)
    """
    if dtype not in SCALES:
        return dtype.bits
    block, scale = SCALES[dtype]
    return dtype.bits + scale.bits / block


def cached_format(plan: Plan) -> DType | None:
    """Of what attention reads; None: what activations are in."""
    return plan.workload.cache_dtype if plan.workload.phase != "encode" else None


def format_without_scales(scope: Scope, plan: Plan) -> DType:
    """Of what is kept of latents, and of an encoder's output.

    Raises:
        ConfigError: the format needs scales.
    """
    dtype = cached_format(plan) or scope.dtype
    if dtype in SCALES:
        raise ConfigError(
            f"latents, and keys and values of an encoder's output, have no scales here, as a cache in {dtype} needs",
            help="--cache-dtype f8e4m3",
        )
    return dtype


def as_cached(scope: Scope, plan: Plan, x: Value) -> Value:
    """In the cache's number format, in which attention of any phase but ``encode`` finds it.

    Raises:
        ConfigError: the format needs scales.
    """
    dtype = format_without_scales(scope, plan)
    return x if dtype == x.type.dtype else scope(ops.cast(x, to=dtype))


def with_scales(scope: Scope, plan: Plan, x: Value) -> tuple[Value, Value | None]:
    """[batch, tokens, heads, width] as a cache holds it; its scales [batch, tokens, heads, blocks] if there are any.

    Raises:
        ConfigError: blocks do not divide the width.
    """
    dtype = cached_format(plan)
    if dtype not in SCALES:
        return as_cached(scope, plan, x), None
    block, form = SCALES[dtype]
    width = x.type.shape[-1]
    if width % block:
        raise ConfigError(f"heads of {width} do not divide into blocks of {block}", help="--cache-dtype f8e4m3")
    narrow, scale = scope.build.op(ops.quantise_rows.create([x], {"to": dtype, "block": block})).results
    return narrow, scope(ops.cast(scale, to=form))


def index_rows(scope: Scope, plan: Plan, x: Value, form: DType | None) -> tuple[Value, Value | None]:
    """Rows of an indexer in its format, whatever the rest of a cache is in, and their scales, if there are any."""
    if form is None:
        return as_cached(scope, plan, x), None
    narrow, scale = scope.build.op(ops.quantise_rows.create([x], {"to": form, "block": x.type.shape[-1]})).results
    return narrow, scale


def index_bytes_per_token(part: Indexer, bits: float) -> float:
    """Of the key of one layer's indexer, its scale in f32 included.

    Args:
        bits: of an element of the cache, where the indexer's has no format of its own.
    """
    return part.width * bits / 8 if part.form is None else part.width * part.form.bits / 8 + 4
