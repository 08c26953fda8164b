"""Predicts what long contexts cost a language model, in closed forms: the cache, prefill, decode, a swap."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from ircost.backends import Target, load_target
from ircost.datasets.claim_yaml import Section
from ircost.datasets.claims import Written
from ircost.frontends.config import BuiltModel, build_model
from ircost.frontends.config.architecture import Architecture
from ircost.frontends.config.layer_parts import Attention
from ircost.frontends.config.workload import workload_of
from ircost.ir.types import f16
from ircost.predictors.known_architecture import architecture_named
from ircost.predictors.prediction import Point, Prediction
from ircost.quantity_text import bytes_text, si_text, three_digits


class LongContextConfiguration(Written):
    """Args:
    model: a bundled one. target: the machine.
    contexts: tokens, by point. tokens: that are decoded behind each.
    swap_bytes_per_s: to the host and back.
    """

    model: str
    target: str
    contexts: dict[str, int] = Field(min_length=1)
    tokens: int = Field(ge=1)
    swap_bytes_per_s: float = Field(gt=0)


def predict_long_context(section: Section) -> Prediction:
    """Weights and cache over the bandwidth for each token; operations over the peak for a prompt.

    Attention of a prompt is counted as s^2 d operations a layer, as the paper does; the usual count of the scores that
    a causal mask leaves, and of their products with the values, is twice that, and is told with the figure.

    Raises:
        ClaimError: the configuration is wrong, or the target or model unknown.
    """
    wanted = section.read(LongContextConfiguration)
    with section.blaming("target"):
        target = load_target(wanted.target)
    # Versions for long contexts have the same sizes; the limit of the bundled one is none here.
    architecture = replace(architecture_named(wanted.model, section), max_context=0)
    values: dict[Point, float | str] = {}
    reasons: dict[Point, str] = {}
    for point, context in wanted.contexts.items():
        built = build_model(architecture, workload_of("decode", context=context))
        for name, (value, reason) in _costs(built, context, wanted, target).items():
            values[name, point], reasons[name, point] = value, reason
    return Prediction(
        values=values,
        reasons=reasons,
        target=target,
        figures=(f"memory.{target.main_memory.name}.bandwidth_bytes_per_s", f"matrix.{f16.name}"),
        model="closed forms on the configuration, no constants",
    )


def _costs(
    built: BuiltModel, context: int, wanted: LongContextConfiguration, target: Target
) -> dict[str, tuple[float, str]]:
    cache_bytes = built.kv_bytes_per_token * context
    weights_bytes = built.parameters * f16.bits / 8
    rate, peak = float(target.main_memory.bandwidth_bytes_per_s), float(target.matrix[f16.name])
    dense = 2.0 * built.parameters * context
    mixed = attention_operations(built.architecture, context)
    per_token = f"{bytes_text(built.kv_bytes_per_token)} a token"
    read = f"{bytes_text(weights_bytes)} of weights and {bytes_text(cache_bytes)} of cache at {si_text(rate, 'B/s')}"
    usual = three_digits((dense + 2.0 * mixed) / peak)
    return {
        "cache": (cache_bytes / 2**30, f"{context:,} tokens, {per_token}"),
        "decode": ((weights_bytes + cache_bytes) / rate * wanted.tokens, f"{wanted.tokens} times {read}"),
        "prefill": (
            (dense + mixed) / peak,
            f"{si_text(dense + mixed, 'op')} at {si_text(peak, 'op/s')}; {usual} s with the usual count of attention",
        ),
        "swap": (
            2.0 * cache_bytes / wanted.swap_bytes_per_s,
            f"{bytes_text(cache_bytes)} out and in again at {si_text(wanted.swap_bytes_per_s, 'B/s')}",
        ),
    }


def attention_operations(architecture: Architecture, context: int) -> float:
    """s^2 d of each layer, d the width of all query heads together."""
    mixers = [layer.mixer for layer in architecture.stack.layers]
    return sum(float(context) ** 2 * m.heads * m.width for m in mixers if isinstance(m, Attention))
