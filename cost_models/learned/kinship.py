"""Which measured machine stands for one that was not: what was learned of a chip says much of its kin.

Kin are of one architecture and of about one size, as H100 and H200 are: where the analytical model errs on one, it errs
on the other. For what they send each other it is links that count: kin have the same. All other machines are strangers
to each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ircost.cost_models.gpu.labels import BETWEEN_NODES
from ircost.cost_models.gpu.machine import GpuMachine, LinkKind
from ircost.cost_models.learned.columns import machine_figures

MOST_PROCESSORS = 1.5  # times as many: one die cut in several ways, or dies of one size
LINKED = "collective"  # the family whose kernels go over links
PAIR = "pair"  # the topology of bridges between two
SAME_FIGURES = 1e-4  # squares of logarithms, added up: a hundredth of any one


@dataclass(frozen=True, slots=True)
class MetMachine:
    """A machine that was measured.

    Args:
        architecture: "" where its target tells none: then it has no kin.
        figures: natural logarithms, by name (``MACHINE_FIGURES``).
        link: the widest to others of its kind; None where it has none.
    """

    architecture: str
    figures: Mapping[str, float]
    link: LinkKind | None = None

    @staticmethod
    def of(machine: GpuMachine) -> MetMachine:
        return MetMachine(machine.architecture, machine_figures(machine), machine.link)

    def is_kin(self, other: MetMachine, family: str) -> bool:
        """Of one architecture, and of about one size, or with the same links.

        Where bridges join pairs, larger groups send over the bus of a server, and no two servers need be alike.
        """
        if not self.architecture or self.architecture != other.architecture:
            return False
        if family == LINKED:
            return self.link is not None and self.link.topology != PAIR and self.link == other.link
        return bool(abs(self.figures["processors"] - other.figures["processors"]) <= np.log(MOST_PROCESSORS))

    def is_same(self, other: MetMachine, family: str) -> bool:
        """Alike in all that a family's kernels depend on."""
        return self.distance(other) < SAME_FIGURES and (family != LINKED or self.link == other.link)

    def distance(self, other: MetMachine) -> float:
        """Between their figures, each as a ratio."""
        return float(sum((self.figures[name] - other.figures[name]) ** 2 for name in self.figures))


def nearest_kin(machine: MetMachine, met: Mapping[str, MetMachine], among: Iterable[str], family: str) -> str | None:
    """The name of the machine that stands for another; None where that has no kin.

    Args:
        met: all that were measured. among: those to choose from, such as all that ran a certain runtime.
    """
    kin = [name for name in sorted(among) if met[name].is_kin(machine, family)]
    return min(kin, key=lambda name: met[name].distance(machine), default=None)


def may_have_kin(family: str, kind: str) -> bool:
    """Whether kernels of a kind go as their machine does; what leaves a node goes as the network does."""
    return family != LINKED or not kind.endswith(BETWEEN_NODES)


def breed(name: str, machine: MetMachine) -> str:
    """What machines are new together: their architecture, or each by itself."""
    return machine.architecture or name
