"""The analytical model with the same kernels, launched in another way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from ircost.backends import Target
from ircost.backends.runtime import RUNTIMES
from ircost.cost_models.analytical import Analytical, Evaluated, launched_by
from ircost.cost_models.gpu.demand import HOST, ISSUE
from ircost.cost_models.gpu.kernel_work import labels_of_group
from ircost.cost_models.gpu.machine import machine_of
from ircost.cost_models.interface import CostModel
from ircost.cost_models.kernel_table import KernelTable
from ircost.cost_models.part_groups import PartGroup

FREE = ("launch", ISSUE)  # fitted times that launches take on the device
EAGER = "pytorch"


class FreeLaunches(Analytical):
    """The analytical model's own choice of tiles, and no time for launches: neither the host's nor the device's."""

    def launches_one_by_one(self, target: Target) -> bool:
        return False

    def evaluated(self, kernels: KernelTable, target: Target) -> Iterator[Evaluated]:
        for part in Analytical.evaluated(self, kernels, target):
            terms = part.terms
            # Kernels that no library has are priced in launches: with free ones the choice of tiles would take them.
            paid = {name: seconds for name, seconds in terms.fixed.items() if name in FREE}
            rest_s = terms.device_s - sum(paid.values(), start=np.zeros_like(terms.device_s))
            fixed = {name: seconds for name, seconds in terms.fixed.items() if name not in FREE}
            yield replace(part, terms=replace(terms, latency_s=rest_s, device_s=rest_s, fixed=fixed))


class Replayed(Analytical):
    """Kernels of whichever runtime, recorded once and replayed as a whole."""

    def launches_one_by_one(self, target: Target) -> bool:
        return False

    def constants_of(self, group: PartGroup, labels: Mapping[str, str], target: Target) -> Mapping[str, float]:
        return self.constants.of(group.family, labels)


class OneByOne(Analytical):
    """Kernels of whichever runtime, launched one by one by the host as PyTorch launches its own."""

    def launches_one_by_one(self, target: Target) -> bool:
        return True

    def constants_of(self, group: PartGroup, labels: Mapping[str, str], target: Target) -> Mapping[str, float]:
        eager = target.model_copy(update={"name": target.name.partition("+")[0], "runtime": ""}).with_runtime(EAGER)
        of_eager = self.constants.of(group.family, labels_of_group(group, machine_of(eager), self.constants))
        own = self.constants.of(group.family, labels)
        return {**own, HOST: max(own[HOST], launched_by(eager, of_eager)[HOST])}


def without_launches(model: CostModel) -> CostModel:
    """The model with launches that cost nothing; for what has no such constants, the target says all there is."""
    return FreeLaunches(model.constants) if isinstance(model, Analytical) else model


def launched_otherwise(model: Analytical, target: Target) -> tuple[str, str, CostModel]:
    """One by one where steps are replayed as a whole, and the other way round: (name, in words, model)."""
    runtime = RUNTIMES.get(target.runtime)
    if runtime is not None and runtime.launch == "eager":
        return "graph", "kernels replayed (CUDA graphs)", Replayed(model.constants)
    return "eager", "kernels launched one by one, by PyTorch", OneByOne(model.constants)
