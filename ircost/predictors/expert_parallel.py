"""Predicts the least time of a token under expert parallelism, where sending to experts and back is all that takes."""

from __future__ import annotations

from pydantic import Field

from ircost.datasets.claim_yaml import ClaimError, Section
from ircost.datasets.claims import Written
from ircost.frontends.config import build_model
from ircost.frontends.config.architecture import Architecture
from ircost.frontends.config.layer_parts import Experts
from ircost.frontends.config.workload import workload_of
from ircost.predictors.known_architecture import architecture_named
from ircost.predictors.prediction import Point, Prediction
from ircost.quantity_text import si_text, small_text


class ExpertParallelConfiguration(Written):
    """Args:
    model: a bundled mixture of experts.
    tokens: of one device in a step.
    hidden: elements of a token that is sent; rounded as the paper does.
    dispatched_bytes, combined_bytes: of an element on its way out, and back.
    links_bytes_per_s: of one device, by point.
    microbatches: that take turns in computing and sending.
    """

    model: str
    tokens: int = Field(ge=1)
    hidden: int = Field(ge=1)
    dispatched_bytes: float = Field(gt=0)
    combined_bytes: float = Field(gt=0)
    links_bytes_per_s: dict[str, float] = Field(min_length=1)
    microbatches: int = Field(ge=1)


def predict_expert_parallel(section: Section) -> Prediction:
    """Bytes of all experts of a token over the link, once for each microbatch, in every layer.

    Raises:
        ClaimError: the configuration is wrong, the model unknown, or without experts.
    """
    wanted = section.read(ExpertParallelConfiguration)
    architecture = architecture_named(wanted.model, section)
    experts = experts_of_token(architecture)
    if not experts:
        raise ClaimError(f"'{wanted.model}' has no experts", at=section.place("model"))
    layers = len(architecture.stack.layers)
    values: dict[Point, float | str] = {}
    reasons: dict[Point, str] = {}
    for point, rate in wanted.links_bytes_per_s.items():
        sent = (wanted.dispatched_bytes + wanted.combined_bytes) * wanted.tokens * experts * wanted.hidden
        leg_s = sent / rate
        token_s = wanted.microbatches * leg_s * layers
        moved = f"{si_text(sent, 'B')} for {wanted.tokens} tokens to {experts} experts at {si_text(rate, 'B/s')}"
        own = leg_s * architecture.hidden / wanted.hidden
        exact = f"{small_text(own, 's')} with the exact width of {architecture.hidden:,}"
        values["all to all", point], reasons["all to all", point] = leg_s * 1e6, f"{moved}; {exact}"
        values["token", point] = token_s * 1e3
        reasons["token", point] = f"{wanted.microbatches} times {small_text(leg_s, 's')} in {layers} layers"
    built = build_model(architecture, workload_of("decode", context=1))
    values["cache", "a token"] = built.kv_bytes_per_token
    reasons["cache", "a token"] = f"latent vector and rotated key of {layers} layers, two bytes an element"
    return Prediction(values, reasons, None, (), "closed form on the configuration, no constants")


def experts_of_token(architecture: Architecture) -> int:
    """Routed ones and the shared one, which is sent to as well."""
    found = [part for layer in architecture.stack.layers if isinstance(part := layer.feed_forward, Experts)]
    return max((part.chosen + (part.shared is not None) for part in found), default=0)
