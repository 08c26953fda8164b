"""The architecture of a bundled model, for claims of papers about it."""

from __future__ import annotations

from ircost.datasets.claim_yaml import ClaimError, Section
from ircost.datasets.model_configs import find_model
from ircost.frontends.config import Architecture, architecture_of
from ircost.frontends.config.config_file import Config
from ircost.ir.errors import UnknownNameError


def architecture_named(name: str, section: Section, key: str = "model") -> Architecture:
    """The parts of a bundled model.

    Args:
        section: of the claim that names it under ``key``.

    Raises:
        ClaimError: no such model is bundled.
    """
    try:
        model = find_model(name)
    except UnknownNameError as error:
        raise ClaimError(error.message, at=section.place(key), help=error.help) from error
    return architecture_of(Config(model.config, f"{model.name}.json"), model.name)
