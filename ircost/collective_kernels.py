"""Communication between the ranks of a model, as kernels of a report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ircost.backends import Target
from ircost.cost_models.energy import static_w
from ircost.cost_models.gpu.labels import WITH_PEERS
from ircost.cost_models.gpu.table_work import (
    NETWORK_BYTES_PER_S,
    architecture_on_a_bus,
    devices_in_a_node,
    is_on_a_bus,
)
from ircost.cost_models.interface import CostModel
from ircost.frontends.config.build import BuiltModel
from ircost.frontends.config.plan import Collective
from ircost.ir.ops.experts import experts_met
from ircost.quantity_text import si_text
from ircost.report import KernelReport


def collective_kernels(built: BuiltModel, target: Target, model: CostModel) -> list[KernelReport]:
    """Of one pass of a model, as a cost model has them.

    Raises:
        TargetError: the target has no links.
    """
    return collective_kernels_of([built], target, model)[0]


def collective_kernels_of(models: Sequence[BuiltModel], target: Target, model: CostModel) -> list[list[KernelReport]]:
    """The same of many models at once: all collectives of one kind among as many ranks are priced together.

    Raises:
        TargetError: the target has no links.
    """
    placed = [list(_placed(built, target)) for built in models]
    times = _times([sent for own in placed for sent in own], target, model)
    return [[_kernel(item, _time_of((item, node), times, target), target) for item, node in own] for own in placed]


def notes_on_links(built: BuiltModel, target: Target) -> list[str]:
    """What collectives over a bus that is shared, or over a network, are worth; nothing where links join all ranks."""
    node = devices_in_a_node(target) if built.collectives else 0
    crowd = max((min(item.ranks, node) for item in built.collectives), default=0)
    way = "over the host's bus" if architecture_on_a_bus(target) == WITH_PEERS else "through the host's memory"
    bus = [
        f"{crowd} ranks send {way}: how fast is a matter of their server; times are of a usual one, the interval "
        "holds nine in ten"
    ] * (crowd > 1 and is_on_a_bus(target))
    if not any(_is_far(item, built, node) for item in built.collectives):
        return bus
    where = f"in nodes of {node}" if node > 1 else "in a node each"
    notes = [
        f"{built.mesh.ranks} ranks stand {where}: the share of the network's bandwidth that is reached was fitted to "
        "one cluster, a slow one; a good network may take a fraction of that time"
    ]
    if target.network is None:
        rate = si_text(NETWORK_BYTES_PER_S, "B/s")
        notes.append(
            f"{target.name} names no network between nodes: {rate} of each device are taken ('links' in its file tell)"
        )
    return [*bus, *notes]


def _is_far(item: Collective, built: BuiltModel, node: int) -> bool:
    return item.ranks > node or any(built.mesh.leaves_node(stage, node) for stage in item.stages)


Sent = tuple[Collective, int]  # and how many devices of those that take part stand in one node
Leg = tuple[str, int, int, float]  # kind, ranks, devices of a node, bytes
Times = dict[Leg, "_Time"]


@dataclass(frozen=True, slots=True)
class _Time:
    """Of one leg; ``low_s`` and ``high_s`` are None of cost models that give no intervals."""

    latency_s: float
    at_best_s: float
    algorithm: str
    low_s: float | None = None
    high_s: float | None = None
    grade: str = ""


def _placed(built: BuiltModel, target: Target) -> Iterator[Sent]:
    """What is sent, by where devices stand.

    A stage in another node is sent a part by each rank, which put them together over their own links. Source: Narayanan
    et al., "Efficient Large-Scale Language Model Training on GPU Clusters Using Megatron-LM", SC 2021, 4.1; vLLM's
    ``send_tensor_dict`` does the same.
    """
    node, tp = devices_in_a_node(target), built.mesh.tp
    for item in built.collectives:
        far = sum(built.mesh.leaves_node(stage, node) for stage in item.stages)
        if item.count > far or not item.stages:
            yield replace(item, count=item.count - far), node
        if far:
            part_bytes = -(-item.size_bytes // tp)
            yield replace(item, size_bytes=part_bytes, count=far, purpose=f"{item.purpose}, in another node"), 1
        if far and tp > 1:
            yield Collective("all_gather", item.size_bytes, tp, far, "parts from the stage in another node"), node


def _times(items: Iterable[Sent], target: Target, model: CostModel) -> Times:
    """Of each leg."""
    sizes: dict[tuple[str, int, int], dict[float, None]] = {}
    for item in items:
        for kind, ranks, node, size in _legs(item, target):
            sizes.setdefault((kind, ranks, node), {})[size] = None
    found = {}
    for (kind, ranks, node), distinct in sizes.items():
        own = model.collectives(kind, list(distinct), ranks, target, node)
        for row, size in enumerate(distinct):
            found[kind, ranks, node, size] = _Time(
                float(own.latency_s[row]),
                float(own.at_best_s[row]),
                own.algorithm[row],
                None if own.low_s is None else float(own.low_s[row]),
                None if own.high_s is None else float(own.high_s[row]),
                own.grades[row] if own.grades else "",
            )
    return found


def _time_of(item: Sent, times: Times, target: Target) -> _Time:
    """Of the slower leg: what is handed on within nodes streams behind what comes in."""
    return max((times[leg] for leg in _legs(item, target)), key=lambda time: time.latency_s)


def _legs(sent: Sent, target: Target) -> list[Leg]:
    """What is sent: as it is, or over the network and within each node.

    A token that is handed on leaves once for each other node that has some of its experts, and goes over a node's links
    to each rank that has. Source: deepseek-ai/DeepEP, "normal kernels with NVLink and RDMA forwarding".
    """
    item, node = sent
    if not item.chosen or item.ranks <= node or item.ranks % node:
        return [(item.kind, item.ranks, node, item.size_bytes)]
    nodes = item.ranks // node
    once_bytes = item.size_bytes / experts_met(item.chosen, 1, item.ranks)
    away_bytes = once_bytes * experts_met(item.chosen, 1, nodes) * (nodes - 1) / nodes
    # An all-to-all of so many keeps one part of `ranks` for itself.
    away_bytes *= item.ranks / (item.ranks - 1)
    return [(item.kind, item.ranks, node, away_bytes), (item.kind, node, node, item.size_bytes)]


def _kernel(item: Collective, once: _Time, target: Target) -> KernelReport:
    once_s = once.latency_s
    return KernelReport(
        name=item.purpose,
        op=item.kind,
        source_nodes=(),
        count=item.count,
        latency_s=once_s * item.count,
        energy_j=static_w(target) * once_s * item.count,
        flops=0,
        macs=0,
        bytes=0,
        bound="link",
        of_peak=min(once.at_best_s / once_s, 1.0) if once_s else None,
        tile=once.algorithm,
        low_s=None if once.low_s is None else once.low_s * item.count,
        high_s=None if once.high_s is None else once.high_s * item.count,
        grade=once.grade,
    )
