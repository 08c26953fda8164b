"""How many weights a model has, those of an encoder that another phase runs included."""

from __future__ import annotations

from math import prod

from ircost.frontends.config.architecture import Architecture
from ircost.frontends.config.build import build_model
from ircost.frontends.config.workload import Workload


def count_parameters(architecture: Architecture) -> int:
    """Elements of all weights of a checkpoint, each once: what any phase reads, and what none does."""
    source = int(architecture.has_source)
    phases = [phase for phase in ("prefill", "encode", "denoise") if phase in architecture.phases]
    uses = {}
    for phase in phases:
        built = build_model(architecture, Workload(phase, batch=1, rows=1, context=1, source=source))
        uses |= {use.name: use for use in built.weights}
    idle = sum(prod(weight.shape) for weight in architecture.idle)
    return idle + sum(use.type.elements * use.copies for use in uses.values())
