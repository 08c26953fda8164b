"""What launches keep busy, as far as energy goes: processors, their ports from L2, main memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ircost.cost_models.gpu.demand import Column, Constants, Terms
from ircost.cost_models.gpu.machine import GpuMachine


@dataclass(frozen=True, slots=True)
class Activity:
    """Of one run of each kernel; every column is [rows].

    Args:
        active_share: of the processors, in the mean over the run: those without a tile, and those that wait for a
            launch, are not active.
        port_bytes: from L2 into processors, each as often as a tile loads it.
        main_bytes: across main memory.
    """

    active_share: Column
    port_bytes: Column
    main_bytes: Column


def activity_of(terms: Terms, constants: Constants, machine: GpuMachine) -> Activity:
    """What one launch of each kernel keeps busy.

    Args:
        constants: those that the terms were made with.
    """
    demand = terms.demand
    waiting_s = np.maximum(terms.latency_s - terms.device_s, 0.0) + terms.fixed.get("launch", 0.0)
    at_work = np.clip(1.0 - waiting_s / terms.latency_s, 0.0, 1.0)
    ports = machine.l2_bytes_per_s(np.minimum(demand.active, 1.0) * machine.processors)
    none = np.zeros_like(terms.latency_s)
    port_s = _repeated("l2", demand.busy.get("l2", none), terms, constants)
    # Busy seconds are those at the fitted share of the bandwidth: what is left of that are bytes.
    main_s = terms.busy["main"] * constants["main"] if "main" in terms.busy else none
    return Activity(
        np.minimum(demand.active, 1.0) * at_work, _finite(port_s * ports), main_s * machine.main_bytes_per_s
    )


def _repeated(name: str, seconds: Column, terms: Terms, constants: Constants) -> Column:
    factor = terms.demand.repeats.get(name)
    return seconds if factor is None else seconds * constants[factor]


def _finite(moved_bytes: Column) -> Column:
    """Where the target knows of no L2 its ports have no limit, and nothing is counted."""
    return np.where(np.isfinite(moved_bytes), moved_bytes, 0.0)
