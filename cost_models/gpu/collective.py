"""Collectives over links: latency and bandwidth of the algorithm that suits the size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ircost.cost_models.gpu.terms import Column, Constants, Parameter, Terms

OPS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "send_recv", "broadcast")
ALGORITHMS = ("ring", "tree", "direct", "in switch")

PARAMETERS = {
    "launch_s": Parameter(5e-6, 5e-7, 1e-3, "start and end of the collective"),
    "hop_s": Parameter(1.5e-6, 1e-7, 1e-4, "one step between neighbours in a node"),
    "far_hop_s": Parameter(1e-5, 1e-6, 1e-3, "one step between nodes"),
    "link": Parameter(0.75, 0.05, 1.0, "share of the links' bandwidth within a node"),
    "bus": Parameter(0.4, 0.01, 1.0, "share of the bandwidth through a bus that all devices of a node share"),
    "network": Parameter(0.5, 0.01, 1.0, "share of the network's bandwidth between nodes"),
    "ramp_bytes": Parameter(1e6, 1e3, 1e9, "message at which half of the bandwidth is reached"),
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
        has_switch_reduction: 1 where switches add up.
    """

    op: Column
    world: Column
    nodes: Column
    size_bytes: Column
    link_bytes_per_s: Column
    network_bytes_per_s: Column
    is_bus: Column
    has_switch_reduction: Column


def collective(work: CollectiveWork, constants: Constants) -> Terms:
    """The fastest of ring, tree, one shot to all, and reduction in the switch.

    A ring of n takes n - 1 steps (twice that for an all-reduce) and moves (n - 1) / n of the buffer each way; a tree
    takes log2 n steps and moves all of it; one shot takes one step and sends the buffer to each; a switch that adds up
    takes each device's buffer once. Between nodes the slower of links and network sets the pace.

    Source: Thakur et al., "Optimization of Collective Communication Operations in MPICH", IJHPCA 2005; NVIDIA,
    nccl-tests PERFORMANCE.md (bus bandwidth).
    """
    n, nodes = np.asarray(work.world, float), np.asarray(work.nodes, float)
    size = np.asarray(work.size_bytes, float)
    is_reduce, is_pair = work.op == 0, np.isin(work.op, (4, 5))
    per_node = n / nodes
    near = np.where(
        np.asarray(work.is_bus) > 0,
        work.link_bytes_per_s * constants["bus"] / np.maximum(per_node / 2, 1),
        work.link_bytes_per_s * constants["link"],
    )
    far = np.asarray(work.network_bytes_per_s) * constants["network"] * np.where(nodes > 1, 1, np.inf)
    rate = np.where(nodes > 1, np.minimum(near, far), near)
    hop = np.where(nodes > 1, constants["far_hop_s"], constants["hop_s"])
    twice = np.where(is_reduce, 2.0, 1.0)
    share = np.where(is_pair, 1.0, (n - 1) / n)

    def moved_s(bytes_moved: Column, steps: Column) -> Column:
        message = bytes_moved / np.maximum(steps, 1)
        return (bytes_moved + constants["ramp_bytes"] * (1 - np.exp(-message / constants["ramp_bytes"]))) / rate

    steps = np.where(is_pair, 1.0, twice * (n - 1))
    ring = steps * hop + moved_s(twice * share * size, steps)
    depth = np.where(is_pair, 1.0, twice * np.ceil(np.log2(n)))
    tree = np.where(is_reduce, depth * hop + moved_s(2.0 * size, depth), np.inf)
    direct = np.where(nodes > 1, np.inf, hop + moved_s(np.where(is_reduce, n - 1, share) * size, np.ones_like(n)))
    switch = np.where(
        is_reduce & (np.asarray(work.has_switch_reduction) > 0) & (nodes == 1), 2 * hop + moved_s(size, n / n), np.inf
    )
    times = np.column_stack([ring, tree, direct, switch])
    best = times.argmin(axis=1)
    launch_s = np.full_like(size, constants["launch_s"])
    busy_s = times[np.arange(len(size)), best]
    return Terms(busy_s + launch_s, {"link": busy_s}, {"launch": launch_s}, best, ALGORITHMS)
