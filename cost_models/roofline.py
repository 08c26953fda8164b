"""Roofline with a launch floor: the lowest rung. Each kernel is as slow as its busiest resource at data-sheet speed."""

from __future__ import annotations

import numpy as np

from ircost.backends import Target, TargetError
from ircost.cost_models.energy import kernel_energy_j
from ircost.cost_models.engines import BOUNDING_ENGINES, ENGINES, unit_and_peak
from ircost.cost_models.interface import COST_MODELS, CostModel, Estimates
from ircost.cost_models.kernel_table import KernelTable
from ircost.cost_models.main_memory import main_memory_floor_s
from ircost.cost_models.unmeasured import at_kernel


class Roofline(CostModel):
    """Time is the largest of arithmetic at peak, main-memory traffic at full bandwidth, and the launch floor.

    The units (matrix, vector, special) work side by side. Traffic is compulsory: each operand and result of a kernel
    crosses main memory once. Real kernels are slower: this model has no tiles, waves or efficiencies.

    Source: Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009.
    """

    name = "roofline"

    def estimate(self, kernels: KernelTable, target: Target) -> Estimates:
        arithmetic_s = engine_times_s(kernels, target)
        memory_s = kernels.traffic_bytes / target.main_memory.bandwidth_bytes_per_s
        physical_s = np.column_stack([arithmetic_s, memory_s])
        floor_s = main_memory_floor_s(kernels.traffic_bytes, target)
        shortest_s = shortest_arithmetic_s(kernels, target)
        bound_s = np.maximum(shortest_s.max(axis=1), floor_s)
        launch_s = kernels.launches * target.launch_overhead_s
        terms_s = np.where(kernels.is_unknown[:, None], 0.0, np.column_stack([physical_s, launch_s]))
        latency_s = terms_s.max(axis=1)
        return Estimates(
            latency_s=latency_s,
            energy_j=kernel_energy_j(kernels, target, latency_s),
            lower_bound_s=np.where(kernels.is_unknown, 0.0, bound_s),
            bound=terms_s.argmax(axis=1),
            bound_names=(*ENGINES, target.main_memory.name, "launch"),
            terms_s=terms_s,
            model=self.name,
        )


def data_sheet_s(kernels: KernelTable, target: Target) -> np.ndarray:
    """[rows] seconds at data-sheet speed: the busier of arithmetic and of main memory, no launch."""
    memory_s = kernels.traffic_bytes / target.main_memory.bandwidth_bytes_per_s
    busiest_s: np.ndarray = np.maximum(engine_times_s(kernels, target)[:, BOUNDING_ENGINES].max(axis=1), memory_s)
    return busiest_s


def engine_times_s(kernels: KernelTable, target: Target, is_block_scaled: bool = False) -> np.ndarray:
    """[rows, engines] seconds that each kind of unit needs at its peak.

    Args:
        is_block_scaled: as of ``Target.peak_flops_per_s``.

    Raises:
        TargetError: the target cannot compute in a format that a kernel needs.
    """
    times = np.zeros((len(kernels), len(ENGINES)))
    for column, (engine, dtype) in enumerate(kernels.work_columns):
        try:
            unit, peak_per_s = unit_and_peak(target, engine, dtype, is_block_scaled)
        except TargetError as error:
            raise at_kernel(error, kernels.ops[int(np.flatnonzero(kernels.work[:, column])[0])]) from error
        times[:, ENGINES.index(unit)] += kernels.work[:, column] / peak_per_s
    return times


def shortest_arithmetic_s(kernels: KernelTable, target: Target) -> np.ndarray:
    """[rows, 2] seconds that matrix and vector units need at least.

    By the algorithms with the fewest operations, at the highest clock and, of 8-bit floats, as if their blocks shared
    scales.

    Raises:
        TargetError: as of ``engine_times_s``.
    """
    rated_s = engine_times_s(kernels.by_shortest_algorithms(), target, is_block_scaled=True)[:, BOUNDING_ENGINES]
    return rated_s / target.processors.boost


COST_MODELS.add(Roofline.name, Roofline())
