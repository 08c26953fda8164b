"""The cost model that suits a machine best."""

from __future__ import annotations

from ircost.backends import Target
from ircost.cost_models.interface import COST_MODELS, CostModel, Estimates
from ircost.cost_models.kernel_table import KernelTable


class Automatic(CostModel):
    """``analytical`` for GPUs, which its constants were fitted on; ``roofline`` for all else."""

    name = "auto"

    def estimate(self, kernels: KernelTable, target: Target) -> Estimates:
        return chosen_model(self.name, target).estimate(kernels, target)


def chosen_model(name: str, target: Target) -> CostModel:
    """The model of that name; ``auto`` is another one for each kind of machine.

    Raises:
        UnknownNameError: there is none; lists the nearest.
    """
    if name == Automatic.name:
        name = "analytical" if target.kind == "gpu" else "roofline"
    return COST_MODELS.get(name)


COST_MODELS.add(Automatic.name, Automatic())
