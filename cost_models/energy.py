"""Energy: operations, bytes, and the power that is drawn for as long as it takes."""

from __future__ import annotations

import numpy as np

from ircost.backends import Target
from ircost.cost_models.engines import arithmetic_format, energy_j_per_flop
from ircost.cost_models.gpu.activity import Activity
from ircost.cost_models.gpu.power_constants import PowerFactors, bundled_power_constants
from ircost.cost_models.gpu.power_draw import drawn, main_memory_j_per_byte, operation_j
from ircost.cost_models.kernel_table import KernelTable


def kernel_energy_j(
    kernels: KernelTable, target: Target, latency_s: np.ndarray, activity: Activity | None = None
) -> np.ndarray:
    """Energy of one run of each kernel, never more than the power limit times latency: the device throttles there.

    GPUs: what ``gpu.power_draw`` says. Microcontrollers: the power of the running chip times latency. All others:
    operations and main-memory bytes at the target's energy for each, and idle power times latency.

    Args:
        latency_s: [rows] how long each run takes.
        activity: of a GPU in each run; where left out, all processors work throughout, and each operand and result
            crosses main memory and the ports once.

    Returns:
        [rows] joules.
    """
    if target.kind == "gpu":
        activity = activity or _whole(kernels, latency_s)
        operations_j = sum_of_operations_j(kernels, target)
        energy_j = drawn(activity, operations_j, latency_s, target).energy_j(gpu_factors())
    elif target.kind == "microcontroller":
        # It varies by a tenth from network to network: docs/microcontrollers.md.
        energy_j = target.power.peak_w * latency_s
    else:
        energy_j = _published_j(kernels, target) + target.power.idle_w * latency_s
    return np.where(kernels.is_unknown, 0.0, np.minimum(energy_j, target.power.peak_w * latency_s))


def notes_on_energy(kernels: KernelTable, target: Target, latency_s: np.ndarray) -> list[str]:
    """What a machine's own energies of operations leave out, and where its figures contradict each other.

    Energies that are derived from power hold what memories on chip take, and keep to the power by how they are made.
    """
    if target.arithmetic_w <= 0 and not sum_of_operations_j(kernels, target).any():
        main = target.main_memory.name
        return [
            f"energy: that of operations counts as nothing, since idle power and {main} at full bandwidth take all of "
            f"{target.name}'s power; mend these, give 'energy' of operations, or in 'power' the 'design' of the board"
        ]
    if target.kind == "gpu" or not (target.energy.matrix or target.energy.vector):
        return []
    notes = []
    inner = " and ".join(level.name for level in target.memory[1:] if level.energy_j_per_byte)
    if inner:
        main = target.main_memory.name
        notes.append(f"energy: operations, {main} and idle power; what moves through {inner} is not included")
    above_j = _published_j(kernels, target) + (target.power.idle_w - target.power.peak_w) * latency_s
    cut = int((above_j > 1e-9 * target.power.peak_w * latency_s)[~kernels.is_unknown].sum())
    if cut:
        notes.append(
            f"energy: {cut} of {len(kernels)} distinct kernels come to more than the power limit, "
            f"{target.power.peak_w:g} W, for as long as they take, and are cut to it: figures of {target.name} "
            "contradict each other, or it would slow down"
        )
    return notes


def gpu_factors() -> PowerFactors:
    return bundled_power_constants().factors


def static_w(target: Target) -> float:
    """What a device draws that is up, but runs nothing to speak of: it waits for others, or for its host."""
    return float(target.power.idle_w) * (gpu_factors().static if target.kind == "gpu" else 1.0)


def sum_of_operations_j(kernels: KernelTable, target: Target) -> np.ndarray:
    """[rows] all operations of one run at published energies; special functions are counted as vector work already."""
    total_j = np.zeros(len(kernels))
    for column, (engine, dtype) in enumerate(kernels.work_columns):
        if engine != "special" and kernels.work[:, column].any():
            each_j = operation_j(target, arithmetic_format(engine, dtype).name, engine)
            total_j = total_j + kernels.work[:, column] * each_j
    return total_j


def _published_j(kernels: KernelTable, target: Target) -> np.ndarray:
    total_j = kernels.traffic_bytes * main_memory_j_per_byte(target)
    for column, (engine, dtype) in enumerate(kernels.work_columns):
        if engine != "special":
            total_j = total_j + kernels.work[:, column] * energy_j_per_flop(target, engine, dtype)
    return np.asarray(total_j)


def _whole(kernels: KernelTable, latency_s: np.ndarray) -> Activity:
    moved_bytes = np.asarray(kernels.traffic_bytes, dtype=float)
    return Activity(np.ones_like(latency_s), moved_bytes, moved_bytes)
