"""Collectives over links: latency and bandwidth of the algorithm that suits the size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ircost.cost_models.gpu.demand import COMMON, NEVER, RESIDENT, Amount, Demand, Parameter, beside
from ircost.cost_models.gpu.machine import GpuMachine

OPS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "send_recv", "broadcast")
ALL_REDUCE, ALL_TO_ALL, SEND_RECV = (OPS.index(name) for name in ("all_reduce", "all_to_all", "send_recv"))
PAIRS = (SEND_RECV, OPS.index("broadcast"))  # one device sends all of it
ALGORITHMS = ("ring", "tree", "direct", "in switch")
# Flags beside the data instead of barriers: half the bandwidth, a fraction of the latency.
# Source: Hu et al., "Demystifying NCCL", 2025 (LL and Simple protocols).
PROTOCOLS = ("flags", "bulk")
CHOICES = tuple(f"{algorithm}, {protocol}" for algorithm in ALGORITHMS for protocol in PROTOCOLS)

MOST_CROSSING = 4  # messages one way between eight devices, as many as a server takes

PARAMETERS = {
    "link": Parameter("share", 0.75, "share of the links' bandwidth within a node"),
    "bus": Parameter("share", 0.7, "share of a device's bandwidth to the host's bus"),
    "root": Parameter("share", 0.15, "share of what eight devices send over the bus at once that the host passes on"),
    "network": Parameter("share", 0.5, "share of the bandwidth of the network cards"),
    "launch": Parameter("time", 5e-6, "start and end of the collective"),
    "hop": Parameter("time", 1e-6, "one step between neighbours in a node, with flags"),
    "bulk_hop": Parameter("time", 3e-6, "the same with barriers, in bulk"),
    "bus_hop": Parameter("time", 2e-6, "one step through the host's bus, with flags"),
    "bulk_bus_hop": Parameter("time", 5e-6, "the same with barriers, in bulk"),
    "far_hop": Parameter("time", 1e-5, "one step between nodes, with flags"),
    "bulk_far_hop": Parameter("time", 3e-5, "the same with barriers, in bulk"),
    **{name: parameter for name, parameter in COMMON.items() if name != RESIDENT},
}


@dataclass(frozen=True, slots=True)
class CollectiveWork:
    """Every field is [rows], or one number for all.

    Args:
        op: index into ``OPS``.
        world: devices that take part; nodes: machines they stand in.
        size_bytes: as nccl-tests counts it: the whole gathered buffer of a gather or scatter.
        link_bytes_per_s: of one device, one direction, within a node.
        network_bytes_per_s: of one device, one direction, between nodes.
        is_bus: 1 where devices have no links of their own but share the host's bus.
        crossing: devices whose messages cross that bus at a time, one way.
        has_switch_reduction: 1 where switches add up.
    """

    op: Amount
    world: Amount
    nodes: Amount
    size_bytes: Amount
    link_bytes_per_s: Amount
    network_bytes_per_s: Amount
    is_bus: Amount
    crossing: Amount
    has_switch_reduction: Amount


def least_sent_s(work: CollectiveWork) -> np.ndarray:
    """[rows] seconds at the full rate of its fastest way out for what every device must send at least.

    Source: Chan et al., "Collective Communication: Theory, Practice, and Experience", CCPE 19(13), 2007, table 1; with
    sums in the switch a device sends its buffer once.
    """
    world, nodes, link, network = (
        np.asarray(x) for x in (work.world, work.nodes, work.link_bytes_per_s, work.network_bytes_per_s)
    )
    share = np.where(np.isin(work.op, PAIRS), 1.0, (world - 1) / world)
    is_far = nodes > 1
    is_twice = (np.asarray(work.op) == ALL_REDUCE) & ((np.asarray(work.has_switch_reduction) == 0) | is_far)
    rate = np.where(is_far, np.maximum(link, network), link)
    found: np.ndarray = np.where(is_twice, 2.0, 1.0) * share * work.size_bytes / rate
    return found


def collective_demand(work: CollectiveWork, machine: GpuMachine) -> Demand:
    """Ring, tree, one shot to all, and reduction in the switch, each with flags or in bulk.

    A ring of n takes n - 1 steps (twice that for an all-reduce) and moves (n - 1) / n of the buffer each way; a tree
    takes log2 n steps and moves all of it; one shot takes one step and sends the buffer to each; a switch that adds up
    takes each device's buffer once. Between nodes the slower of links and network sets the pace, and few of the steps
    are between nodes: of a ring one for each further node, of a tree log2 of the nodes. As many rings as a node has
    devices leave it, by a card each, so that a card carries its ring's part of the buffer; what each device sends to
    each of the others (all to all) leaves by its own card whole, and at once: nothing is handed on.

    Source: Thakur et al., "Optimization of Collective Communication Operations in MPICH", IJHPCA 2005; NVIDIA,
    nccl-tests PERFORMANCE.md (bus bandwidth) and nccl src/graph/tuning.cc (steps between nodes); Hu et al.,
    "Demystifying NCCL", 2025 (channels, one ring each).
    """
    op, n, nodes, size, link, network, is_bus, crowd, switched = beside(
        *(work.op, work.world, work.nodes, work.size_bytes, work.link_bytes_per_s, work.network_bytes_per_s),
        *(work.is_bus, work.crossing, work.has_switch_reduction),
    )
    size = size + np.zeros_like(n)
    is_reduce, is_exchange = op == ALL_REDUCE, op == ALL_TO_ALL
    is_pair, is_far = np.isin(op, PAIRS), nodes > 1
    twice = np.where(is_reduce, 2.0, 1.0)
    share = np.where(is_pair, 1.0, (n - 1) / n)
    rings = np.where(is_pair | is_exchange, 1.0, n / nodes)
    ring_far = np.where(is_pair, is_far, twice * (nodes - 1))
    ring_near = np.where(is_pair, ~is_far, twice * (n - 1) - ring_far)
    tree_far = twice * np.ceil(np.log2(nodes))
    tree_near = twice * np.ceil(np.log2(n / nodes))
    none = np.zeros_like(size)
    # Bytes that each device sends, steps in a node and between nodes, and where an algorithm does not exist.
    ways = (
        (twice * share * size, ring_near, ring_far, none),
        (2.0 * size, tree_near, tree_far, np.where(is_reduce, 0.0, NEVER)),
        (np.where(is_reduce, n - 1, share) * size, none + ~is_far, none + is_far, is_far * ~is_exchange * NEVER),
        (size, none + 2, none, np.where(is_reduce & (switched > 0) & ~is_far, 0.0, NEVER)),
    )
    moved = np.concatenate([np.repeat(m, 2, axis=1) * (2.0, 1.0) for m, _, _, _ in ways], axis=1)
    near, far, never = (
        np.concatenate([np.repeat(way[place], 2, axis=1) for way in ways], axis=1) for place in (1, 2, 3)
    )
    flags = np.tile([1.0, 0.0], len(ways))
    on_bus = is_bus > 0
    slower = machine.clocks_per_reference
    return Demand(
        busy={
            "link": np.where(on_bus, 0.0, moved / link),
            "bus": np.where(on_bus, moved / link, 0.0),
            "root": np.where(on_bus, moved / link * crowd / MOST_CROSSING, 0.0),
            "network": np.where(is_far, moved / (network * rings), 0.0),
        },
        fixed={
            "launch": np.ones_like(moved) * slower + never,
            "hop": np.where(on_bus, 0.0, near * flags) * slower,
            "bulk_hop": np.where(on_bus, 0.0, near * (1 - flags)) * slower,
            "bus_hop": np.where(on_bus, near * flags, 0.0),
            "bulk_bus_hop": np.where(on_bus, near * (1 - flags), 0.0),
            "far_hop": far * flags,
            "bulk_far_hop": far * (1 - flags),
        },
        choices=CHOICES,
    )
