"""Roofline with a launch floor: the lowest rung. Each kernel is as slow as its busiest resource at data-sheet speed."""

from __future__ import annotations

import numpy as np

from ircost.backends import Target
from ircost.cost_models.energy import kernel_energy_j
from ircost.cost_models.interface import COST_MODELS, CostModel, Estimates
from ircost.cost_models.kernel_table import KernelTable
from ircost.ir.types import DType, f32


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
        launch_s = kernels.launches * target.launch_overhead_s
        terms_s = np.where(kernels.is_unknown[:, None], 0.0, np.column_stack([physical_s, launch_s]))
        latency_s = terms_s.max(axis=1)
        return Estimates(
            latency_s=latency_s,
            energy_j=kernel_energy_j(kernels, target, latency_s),
            lower_bound_s=terms_s[:, :-1].max(axis=1),
            bound=terms_s.argmax(axis=1),
            bound_names=(*ENGINES, target.main_memory.name, "launch"),
            terms_s=terms_s,
            model=self.name,
        )


ENGINES = ("matrix", "vector", "special")


def engine_times_s(kernels: KernelTable, target: Target) -> np.ndarray:
    """[rows, engines] seconds that each kind of unit needs at its peak.

    Raises:
        TargetError: the target cannot compute in a format that a kernel needs.
    """
    times = np.zeros((len(kernels), len(ENGINES)))
    for column, (engine, dtype) in enumerate(kernels.work_columns):
        times[:, ENGINES.index(engine)] += kernels.work[:, column] / peak_per_s(target, engine, dtype)
    return times


def peak_per_s(target: Target, engine: str, dtype: DType) -> float:
    """Operations a second; without bound where a target says nothing about its special-function units."""
    if engine == "special":
        return target.special_per_s if target.special_per_s is not None else np.inf
    # No data sheet gives a rate for index arithmetic and masks: they run on the vector lanes, at f32's rate at best.
    if engine == "vector" and not dtype.is_float:
        dtype = f32
    return target.peak_flops_per_s(dtype, "matrix" if engine == "matrix" else "vector")


COST_MODELS.add(Roofline.name, Roofline())
