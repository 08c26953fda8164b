"""How many weights a model has, those of an encoder that another phase runs included."""

from __future__ import annotations

from math import prod

from ircost.frontends.config.architecture import Architecture
from ircost.frontends.config.build import build_model
from ircost.frontends.config.denoiser_parts import Latents
from ircost.frontends.config.weights import WeightUse
from ircost.frontends.config.workload import Workload


def count_parameters(architecture: Architecture) -> int:
    """Elements of all weights of a checkpoint, each once: what any phase reads, and what none does."""
    source = int(architecture.has_source)
    phases = [phase for phase in ("prefill", "encode", "denoise") if phase in architecture.phases]
    uses: dict[str, WeightUse] = {}
    for phase in phases:
        rows = architecture.embedding.tokens if isinstance(architecture.embedding, Latents) else 1
        built = build_model(architecture, Workload(phase, batch=1, rows=rows, context=rows, source=source))
        uses |= {use.name: use for use in built.weights}
    idle = sum(prod(weight.shape) for weight in architecture.idle)
    return idle + sum(use.parameters for use in uses.values())
