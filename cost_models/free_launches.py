"""Cost models as they are, but for launches: those cost nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ircost.backends import Target
from ircost.cost_models.analytical import Analytical, Evaluated
from ircost.cost_models.gpu.demand import ISSUE
from ircost.cost_models.interface import CostModel
from ircost.cost_models.kernel_table import KernelTable

FREE = ("launch", ISSUE)  # fitted times that launches take on the device


class FreeLaunches(Analytical):
    """The analytical model's own choice of tiles, and no time for launches: neither the host's nor the device's."""

    def evaluated(self, kernels: KernelTable, target: Target) -> Iterator[Evaluated]:
        for part in Analytical.evaluated(self, kernels, target):
            terms = part.terms
            # Kernels that no library has are priced in launches: with free ones the choice of tiles would take them.
            paid = {name: seconds for name, seconds in terms.fixed.items() if name in FREE}
            rest_s = terms.device_s - sum(paid.values(), start=np.zeros_like(terms.device_s))
            fixed = {name: seconds for name, seconds in terms.fixed.items() if name not in FREE}
            yield replace(part, terms=replace(terms, latency_s=rest_s, device_s=rest_s, fixed=fixed))


def without_launches(model: CostModel) -> CostModel:
    """The model with launches that cost nothing; for what has no such constants, the target says all there is."""
    return FreeLaunches(model.constants) if isinstance(model, Analytical) else model
