"""Costs of sending between the devices of a target: the fitted model of collectives on the target's own links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ircost.backends import Target, TargetError
from ircost.cost_models.gpu.collective import CollectiveWork, collective_demand, least_sent_s
from ircost.cost_models.gpu.constants import ConstantsFile, bundled_constants
from ircost.cost_models.gpu.demand import Terms, times
from ircost.cost_models.gpu.families import FAMILIES
from ircost.cost_models.gpu.formats import format_of
from ircost.cost_models.gpu.kernel_work import runtime_label
from ircost.cost_models.gpu.labels import OF_BYTES, labels_of
from ircost.cost_models.gpu.machine import GpuMachine, machine_of
from ircost.cost_models.gpu.table_work import (
    Setting,
    architecture_on_a_bus,
    bridged,
    bus_between,
    collective_work,
    devices_in_a_node,
    is_on_a_bus,
)

FAMILY = "collective"


@dataclass(frozen=True, slots=True)
class CollectiveTimes:
    """Every field is [sizes].

    Args:
        latency_s: of each collective; never below ``at_best_s``, the time of its bytes over links and of nothing else.
        algorithm: in words.
        low_s, high_s: ends of the interval of 90 %; None of models that give none.
        grades: how well each is known, as of ``learned.grades``; none likewise.
    """

    latency_s: np.ndarray
    algorithm: tuple[str, ...]
    at_best_s: np.ndarray
    low_s: np.ndarray | None = None
    high_s: np.ndarray | None = None
    grades: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AskedCollectives:
    """Collectives of one kind, as the analytical model has understood them.

    Args:
        labels: what their constants depend on. terms: where their time goes. at_best_s: see ``CollectiveTimes``.
    """

    work: CollectiveWork
    labels: Mapping[str, str]
    machine: GpuMachine
    terms: Terms
    at_best_s: np.ndarray

    @property
    def times(self) -> CollectiveTimes:
        named = tuple(self.terms.choices[choice] for choice in self.terms.choice)
        return CollectiveTimes(np.maximum(self.terms.latency_s, self.at_best_s), named, self.at_best_s)


def collective_times(
    kind: str,
    sizes_bytes: Sequence[float],
    ranks: int,
    target: Target,
    constants: ConstantsFile | None = None,
    node: int | None = None,
) -> CollectiveTimes:
    """Collectives of one kind, by the analytical model: see ``asked_collectives``."""
    return asked_collectives(kind, sizes_bytes, ranks, target, constants or bundled_constants(), node).times


def asked_collectives(
    kind: str,
    sizes_bytes: Sequence[float],
    ranks: int,
    target: Target,
    constants: ConstantsFile,
    node: int | None = None,
) -> AskedCollectives:
    """Collectives of one kind among ``ranks`` devices: within a node as far as its links reach, else over the network.

    Args:
        kind: a name in ``gpu.collective.OPS``. sizes_bytes: as nccl-tests counts them.
        node: of these devices so many stand in one; as many as its links join where None.

    Raises:
        TargetError: the target has neither links nor a bus nor a network to send over.
    """
    if not target.links:
        raise TargetError(
            f"{target.name} has no links to other devices", help="leave --mesh out, or give the target some 'links'"
        )
    family = FAMILIES[FAMILY]
    count = len(sizes_bytes)
    node = node or devices_in_a_node(target)
    topology = f"{target.name}; {node} per node" if ranks > node else target.name
    columns = {
        "op": np.full(count, kind, dtype=object),
        "world_size": np.full(count, float(ranks)),
        "bytes": np.asarray(sizes_bytes, dtype=float),
        "topology": np.full(count, topology, dtype=object),
        "kernel": np.full(count, "", dtype=object),
        "device": np.full(count, target.name, dtype=object),
    }
    machine = machine_of(target)
    dtype = format_of(OF_BYTES)
    assert dtype is not None, "a format of the tables"
    started = str(family.kinds(columns)[0])
    architecture, device = machine.architecture, machine.chip
    if is_on_a_bus(target):
        architecture, device = architecture_on_a_bus(target), ""
    labels = labels_of(
        architecture=architecture,
        device=device,
        runtime=runtime_label(machine.runtime, machine.kind, FAMILY, started, constants),
        dtype=OF_BYTES,
        kind=started,
        machine=machine.kind,
    )
    setting = Setting(target, machine, labels["runtime"], dtype, "f16", 1.0)
    work = collective_work(columns, setting)
    fitted = _no_sooner_than_links(constants.of(FAMILY, labels), setting, min(ranks, node))
    terms = times(collective_demand(work, machine), fitted)
    return AskedCollectives(work, labels, machine, terms, least_sent_s(work))


def _no_sooner_than_links(constants: Mapping[str, float], setting: Setting, devices: int) -> dict[str, float]:
    """The constants, no step below the latency of the link that it goes over, where the target tells that.

    Args:
        devices: that take part in one node.
    """
    target = setting.target
    joining = (link for link in target.links if link.topology not in ("bus", "network") and devices <= bridged(link))
    ways = (next(joining, None), bus_between(target), target.network)
    near_s, bus_s, far_s = (float(link.latency_s or 0.0) if link is not None else 0.0 for link in ways)
    near_s /= setting.machine.clocks_per_reference  # those steps are counted longer where clocks are slower
    ways_s = {"hop": near_s, "bus_hop": bus_s, "far_hop": far_s}
    least_s = ways_s | {f"bulk_{name}": least for name, least in ways_s.items()}
    return {name: max(value, least_s.get(name, 0.0)) for name, value in constants.items()}
