"""Models that somebody trained, read with a check: corrections hold for the constants that they were learned on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ircost.cost_models.gpu.constants import ConstantsFile, bundled_constants
from ircost.cost_models.gpu.labels import is_runtime
from ircost.cost_models.gpu.power_constants import PowerConstants, bundled_power_constants
from ircost.cost_models.learned.storage import POWER, bundled_models, bundled_power_models, read_models
from ircost.cost_models.learned.stored_trees import LearnedModelError

if TYPE_CHECKING:
    from ircost.cost_models.learned.family_model import FamilyModel

CONSTANTS, POWER_CONSTANTS = "constants", "power_constants"  # entries of a card


def digest_of(constants: ConstantsFile, family: str) -> str:
    """SHA-256 of the constants that corrections of a family are of: with others they are worth nothing.

    What was fitted onto those, of machines that they never met, changes no correction.
    """
    own = {name: fit for name, fit in constants.base.fits.items() if name == family}
    return _digest(ConstantsFile(fits=own))


def digest_of_power(constants: PowerConstants) -> str:
    """The same of factors of power."""
    return _digest(constants)


def _digest(constants: ConstantsFile | PowerConstants) -> str:
    return hashlib.sha256(constants.to_json().encode()).hexdigest()


def trained_models(folder: str | Path) -> dict[str, FamilyModel]:
    """Those of a folder by ``irc train``, and the bundled ones of other families.

    Raises:
        LearnedModelError: it holds none, a damaged one, or one that was learned on other constants than the bundled.
    """
    own = read_models(folder)
    check_constants(own, folder)
    return {**bundled_models(), **own}


def constants_corrected_by(models: Mapping[str, FamilyModel]) -> ConstantsFile:
    """The bundled constants, knowing of which runtimes corrections beside them were learned."""
    met = ((family, word) for family, model in models.items() for word in model.vocabulary["runtime"])
    return replace(bundled_constants(), corrected=frozenset(pair for pair in met if is_runtime(pair[1])))


def trained_power_models(folder: str | Path) -> dict[str, FamilyModel]:
    """The same of power, where the folder has any.

    Raises:
        LearnedModelError: as ``trained_models``.
    """
    power = Path(folder) / POWER
    own = read_models(power) if power.is_dir() else {}
    check_constants(own, power)
    return {**bundled_power_models(), **own}


def check_constants(models: Mapping[str, FamilyModel], at: str | Path) -> None:
    """Raises:
    LearnedModelError: a model was learned on other constants than the bundled ones, which it would be asked with.
    """
    for family, model in models.items():
        own = {
            CONSTANTS: digest_of(bundled_constants(), family),
            POWER_CONSTANTS: digest_of_power(bundled_power_constants()),
        }
        if any(model.about.get(name, digest) != digest for name, digest in own.items()):
            raise LearnedModelError(
                f"{at}: the corrections of {family} were learned on other constants than those of this version",
                help="train it again with irc train",
            )
