"""What it takes to send between devices of a target: the fitted model of collectives, on the target's own links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ircost.backends import Target, TargetError
from ircost.cost_models.gpu.collective import collective_demand, least_sent_s
from ircost.cost_models.gpu.constants import ConstantsFile, bundled_constants
from ircost.cost_models.gpu.demand import times
from ircost.cost_models.gpu.families import FAMILIES
from ircost.cost_models.gpu.formats import format_of
from ircost.cost_models.gpu.labels import labels_of
from ircost.cost_models.gpu.machine import machine_of
from ircost.cost_models.gpu.table_work import Setting, bridged, bus_between, collective_work, devices_in_a_node

DTYPE = "float16"  # that collectives were measured in; their bytes are what counts


@dataclass(frozen=True, slots=True)
class CollectiveTimes:
    """Args:
    latency_s: [sizes] of each collective. algorithm: of each, in words. at_best_s: bytes over links, nothing else.
    """

    latency_s: np.ndarray
    algorithm: tuple[str, ...]
    at_best_s: np.ndarray


def collective_times(
    kind: str,
    sizes_bytes: Sequence[float],
    ranks: int,
    target: Target,
    constants: ConstantsFile | None = None,
    node: int | None = None,
) -> CollectiveTimes:
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
    family = FAMILIES["collective"]
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
    dtype = format_of(DTYPE)
    assert dtype is not None, "a format of the tables"
    setting = Setting(target, machine, machine.runtime, dtype, "f16", 1.0)
    labels = labels_of(
        architecture=machine.architecture,
        device=machine.name.partition("+")[0],
        runtime=machine.runtime,
        dtype=DTYPE,
        kind=str(family.kinds(columns)[0]),
        machine=machine.kind,
    )
    work = collective_work(columns, setting)
    demand = collective_demand(work, setting.machine)
    fitted = (constants or bundled_constants()).of(family.name, labels)
    terms = times(demand, _no_sooner_than_links(fitted, setting, min(ranks, node)))
    named = [terms.choices[choice] for choice in terms.choice]
    return CollectiveTimes(terms.latency_s, tuple(named), least_sent_s(work))


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
    least_s = {"hop": near_s, "bulk_hop": near_s, "bus_hop": bus_s, "bulk_bus_hop": bus_s, "far_hop": far_s}
    return {name: max(value, least_s.get(name, 0.0)) for name, value in constants.items()}
