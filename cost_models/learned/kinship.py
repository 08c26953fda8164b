"""Which measured machine stands for one that was not: what was learned of a chip says much of its kin.

Kin are of one architecture and of about one size, as H100 and H200 are: where the analytical model errs on one, it errs
on the other. All other machines are strangers to each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ircost.cost_models.gpu.machine import GpuMachine
from ircost.cost_models.learned.columns import machine_figures

MOST_PROCESSORS = 1.5  # times as many: one die cut in several ways, or dies of one size


@dataclass(frozen=True, slots=True)
class MetMachine:
    """A machine that was measured.

    Args:
        architecture: "" where its target tells none: then it has no kin.
        figures: natural logarithms, by name (``MACHINE_FIGURES``).
    """

    architecture: str
    figures: Mapping[str, float]

    @staticmethod
    def of(machine: GpuMachine) -> MetMachine:
        return MetMachine(machine.architecture, machine_figures(machine))

    def is_kin(self, other: MetMachine) -> bool:
        """Of one architecture, and of about one size."""
        apart = abs(self.figures["processors"] - other.figures["processors"])
        return bool(self.architecture) and self.architecture == other.architecture and apart <= np.log(MOST_PROCESSORS)

    def distance(self, other: MetMachine) -> float:
        """Between their figures, each as a ratio."""
        return float(sum((self.figures[name] - other.figures[name]) ** 2 for name in self.figures))


def nearest_kin(machine: MetMachine, met: Mapping[str, MetMachine], among: Iterable[str]) -> str | None:
    """The name of the machine that stands for another; None where that has no kin.

    Args:
        met: all that were measured. among: those to choose from, such as all that ran a certain runtime.
    """
    kin = [name for name in sorted(among) if met[name].is_kin(machine)]
    return min(kin, key=lambda name: met[name].distance(machine), default=None)


def breed(name: str, machine: MetMachine) -> str:
    """What machines are new together: their architecture, or each by itself."""
    return machine.architecture or name
