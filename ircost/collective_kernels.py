"""What the ranks of a model send each other, as kernels of a report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ircost.backends import Target
from ircost.cost_models.collectives import collective_times, devices_in_a_node
from ircost.cost_models.energy import static_w
from ircost.frontends.config.build import BuiltModel
from ircost.frontends.config.plan import Collective
from ircost.ir.ops.experts import experts_met
from ircost.report import KernelReport


def collective_kernels(built: BuiltModel, target: Target) -> list[KernelReport]:
    """Of one pass of a model.

    Raises:
        TargetError: the target has no links.
    """
    return collective_kernels_of([built], target)[0]


def collective_kernels_of(models: Sequence[BuiltModel], target: Target) -> list[list[KernelReport]]:
    """The same of many models at once: all collectives of one kind among as many ranks are priced together.

    Raises:
        TargetError: the target has no links.
    """
    times = _times([item for built in models for item in built.collectives], target)
    return [[_kernel(item, *_time_of(item, times, target), target) for item in built.collectives] for built in models]


def notes_on_networks(built: BuiltModel, target: Target) -> list[str]:
    """What collectives over a network are worth; nothing of ranks that one node holds."""
    node = devices_in_a_node(target) if built.collectives else 0
    most = max((item.ranks for item in built.collectives), default=0)
    if most <= node:
        return []
    return [
        f"{most} ranks stand in nodes of {node}: the share of the network's bandwidth that is reached was fitted to "
        "one cluster, a slow one; a good network may take a fraction of that time"
    ]


Times = dict[tuple[str, int, float], tuple[float, float, str]]


def _times(items: Iterable[Collective], target: Target) -> Times:
    """Seconds, seconds at best, and the algorithm, by kind, ranks and bytes."""
    sizes: dict[tuple[str, int], dict[float, None]] = {}
    for item in items:
        for kind, ranks, size in _legs(item, target):
            sizes.setdefault((kind, ranks), {})[size] = None
    found = {}
    for (kind, ranks), distinct in sizes.items():
        own = collective_times(kind, list(distinct), ranks, target)
        for size, latency_s, at_best_s, algorithm in zip(
            distinct, own.latency_s, own.at_best_s, own.algorithm, strict=True
        ):
            found[kind, ranks, size] = (max(float(latency_s), float(at_best_s)), float(at_best_s), algorithm)
    return found


def _time_of(item: Collective, times: Times, target: Target) -> tuple[float, float, str]:
    """Of the slower leg: what is handed on within nodes streams behind what comes in."""
    return max(times[leg] for leg in _legs(item, target))


def _legs(item: Collective, target: Target) -> list[tuple[str, int, float]]:
    """Kind, ranks and bytes of what is sent: as it is, or over the network and within each node.

    A token that is handed on leaves once for each other node that has some of its experts, and goes over a node's links
    to each rank that has. Source: deepseek-ai/DeepEP, "normal kernels with NVLink and RDMA forwarding".
    """
    node = devices_in_a_node(target) if target.links else 0
    if not item.chosen or item.ranks <= node or item.ranks % node:
        return [(item.kind, item.ranks, item.size_bytes)]
    nodes = item.ranks // node
    once_bytes = item.size_bytes / experts_met(item.chosen, 1, item.ranks)
    away_bytes = once_bytes * experts_met(item.chosen, 1, nodes) * (nodes - 1) / nodes
    # An all-to-all of so many keeps one part of `ranks` for itself.
    return [(item.kind, item.ranks, away_bytes * item.ranks / (item.ranks - 1)), (item.kind, node, item.size_bytes)]


def _kernel(item: Collective, once_s: float, at_best_s: float, algorithm: str, target: Target) -> KernelReport:
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
        of_peak=min(at_best_s / once_s, 1.0) if once_s else None,
        tile=algorithm,
    )
