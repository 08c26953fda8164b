"""The cost model that suits a machine best."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from ircost.backends import RUNTIMES, Target
from ircost.backends.runtime import Runtime, own_runtime
from ircost.cost_models.gpu.constants import constants_beside_bundled
from ircost.cost_models.gpu.machine import MEASURED_KINDS
from ircost.cost_models.interface import COST_MODELS, CostModel, Estimates
from ircost.cost_models.kernel_table import KernelTable

MODELS = {"microcontroller": "microcontroller"}  # of kinds of which whole networks were measured, but no kernels


class Automatic(CostModel):
    """``hybrid`` for GPUs and CPUs, whose kernels were measured; microcontrollers have a model of their own.

    ``roofline`` for all else.
    """

    name = "auto"

    def estimate(self, kernels: KernelTable, target: Target) -> Estimates:
        return chosen_model(self.name, target).estimate(kernels, target)


def chosen_model(name: str, target: Target) -> CostModel:
    """The model of that name; ``auto`` is another one for each kind of machine.

    Raises:
        UnknownNameError, LearnedModelError: as of ``cost_model_named``.
    """
    if name == Automatic.name:
        name = "hybrid" if target.kind in MEASURED_KINDS else MODELS.get(target.kind, "roofline")
    return cost_model_named(name)


def search_model(target: Target) -> CostModel:
    """By which passes choose among kernels where nobody names a model, and changes of a machine are told: laws hold."""
    return chosen_model(Automatic.name, target).for_search


def cost_model_named(name: str) -> CostModel:
    """The model of that name; the hybrid with models of a folder that ``irc train`` wrote, or the analytical model with
    constants of a file that ``irc calibrate`` wrote, the bundled ones beside.

    Raises:
        UnknownNameError: there is none; lists the nearest.
        LearnedModelError: the folder holds no learned model, or a damaged one.
        ConstantsError: the file holds no constants.
    """
    if name not in COST_MODELS and Path(name).is_dir():
        return _trained(name, _stamp(Path(name)))
    if name not in COST_MODELS and is_constants_file(name):
        return _fitted(name, _stamp(Path(name)))
    return COST_MODELS.get(name)


def own_runtimes(name: str) -> tuple[Runtime, ...]:
    """Runtimes that nobody knows but the model of that name, such as a folder of models of measured kernels.

    Raises:
        UnknownNameError, LearnedModelError, ConstantsError: as of ``cost_model_named``.

    >>> own_runtimes("hybrid")
    ()
    """
    if name in COST_MODELS:
        return ()
    return unknown_among(cost_model_named(name).runtimes)


def unknown_among(names: Iterable[str]) -> tuple[Runtime, ...]:
    """Of measured runtimes those that not all know."""
    return tuple(own_runtime(word) for word in sorted(names) if word not in RUNTIMES)


def is_constants_file(name: str) -> bool:
    """Whether a model is named by a file of constants."""
    return name.endswith(".json")


def is_learned(name: str) -> bool:
    """Whether a model's figures hold of machines as they were measured only: passes ask another one."""
    model = cost_model_named(name)
    return model.for_search is not model


Stamp = tuple[tuple[str, int, int], ...]


def _stamp(path: Path) -> Stamp:
    """Of a file, or of all in a folder: name, time of its last change, bytes. Written anew, it is read anew."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    found = [(str(file), file.stat()) for file in files if file.is_file()]
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in found)


@lru_cache(maxsize=8)
def _trained(folder: str, stamp: Stamp) -> CostModel:
    from ircost.cost_models.analytical import Analytical
    from ircost.cost_models.learned.hybrid import Hybrid
    from ircost.cost_models.learned.storage import is_of_power_alone
    from ircost.cost_models.learned.trained import constants_corrected_by, trained_models, trained_power_models

    latencies = None if is_of_power_alone(folder) else trained_models(folder)
    analytical = None if latencies is None else Analytical(constants_corrected_by(latencies))
    return Hybrid(latencies, analytical, trained_power_models(folder), name=folder)


@lru_cache(maxsize=8)
def _fitted(file: str, stamp: Stamp) -> CostModel:
    from ircost.cost_models.analytical import Analytical

    return Analytical(constants_beside_bundled(file), name=file)


COST_MODELS.add(Automatic.name, Automatic())
