"""The architecture of a bundled model, for claims of papers about it."""

from __future__ import annotations

from ircost.datasets.claim_yaml import Section
from ircost.datasets.model_configs import find_model
from ircost.frontends.config import Architecture, architecture_of
from ircost.frontends.config.config_file import Config


def architecture_named(name: str, section: Section) -> Architecture:
    """The parts of a bundled model.

    Args:
        section: of the claim that names it under ``model``.

    Raises:
        ClaimError: no such model is bundled.
    """
    with section.blaming("model"):
        model = find_model(name)
    return architecture_of(Config(model.config, f"{model.name}.json"), model.name)
