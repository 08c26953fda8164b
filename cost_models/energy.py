"""Energy: operations, bytes, and the power that is drawn for as long as it takes."""

from __future__ import annotations

import numpy as np

from ircost.backends import Target
from ircost.cost_models.engines import energy_j_per_flop
from ircost.cost_models.kernel_table import KernelTable


def kernel_energy_j(kernels: KernelTable, target: Target, latency_s: np.ndarray) -> np.ndarray:
    """Energy of one run of each kernel.

    Operations times energy per operation, main-memory bytes times energy per byte, idle power times latency; capped at
    the power limit times latency, since the device throttles there.

    Args:
        latency_s: [rows] how long each run takes.

    Returns:
        [rows] joules.
    """
    dynamic_j = kernels.traffic_bytes * main_memory_j_per_byte(target)
    for column, (engine, dtype) in enumerate(kernels.work_columns):
        if engine != "special":  # counted as vector work already
            dynamic_j = dynamic_j + kernels.work[:, column] * energy_j_per_flop(target, engine, dtype)
    energy_j = dynamic_j + target.power.idle_w * latency_s
    return np.where(kernels.is_unknown, 0.0, np.minimum(energy_j, target.power.peak_w * latency_s))


def main_memory_j_per_byte(target: Target) -> float:
    energy = target.main_memory.energy_j_per_byte
    assert energy is not None, "every target gives its main memory's energy"
    return energy
