"""Microcontrollers: whole networks were measured there, and what their kernels have in common was fitted to them."""

from __future__ import annotations

import numpy as np

from ircost.backends import RUNTIMES, Target, TargetError
from ircost.cost_models.energy import kernel_energy_j
from ircost.cost_models.interface import COST_MODELS, CostModel, Estimates
from ircost.cost_models.kernel_table import KernelTable
from ircost.cost_models.main_memory import main_memory_floor_s
from ircost.cost_models.microcontroller_constants import (
    MicrocontrollerConstants,
    bundled_microcontroller_constants,
)
from ircost.cost_models.microcontroller_work import PRODUCTS, TERMS, seconds_at_best
from ircost.cost_models.roofline import shortest_arithmetic_s
from ircost.ir.counts import work_of

MEASURED_FORMAT = "i8"


class Microcontroller(CostModel):
    """Products at so many times what the data sheet has them take, and clocks for each element.

    How many depends on the kind of product, on the core and on the runtime: constants fitted to published runs of whole
    networks in 8-bit integers, docs/microcontrollers.md. Weights that are read from flash, and its wait states, are in
    them. No estimate is below the physical limit.

    Args:
        constants: the fit; that which comes with the package where left out.
    """

    name = "microcontroller"

    def __init__(self, constants: MicrocontrollerConstants | None = None) -> None:
        self._constants = constants

    @property
    def constants(self) -> MicrocontrollerConstants:
        return self._constants or bundled_microcontroller_constants()

    def estimate(self, kernels: KernelTable, target: Target) -> Estimates:
        """As of every cost model.

        Raises:
            TargetError: the target is no microcontroller, or cannot compute in a format that a kernel needs.
        """
        if target.kind != "microcontroller":
            raise TargetError(
                f"the cost model 'microcontroller' is for microcontrollers; {target.name} is a {target.kind}",
                help="without --model, the one that suits the machine is used",
            )
        constants = self.constants
        factors = np.array([constants.terms[name] for name in TERMS])
        factors *= constants.core(target.architecture) * constants.runtimes.get(target.runtime, 1.0)
        each_s = seconds_at_best(kernels, target) * np.maximum(factors, 1.0)
        products = [name in PRODUCTS for name in TERMS]
        terms_s = np.column_stack([each_s[:, products].sum(axis=1), each_s[:, np.logical_not(products)].sum(axis=1)])
        floor_s = main_memory_floor_s(kernels.traffic_bytes, target)
        limits_s = np.column_stack([shortest_arithmetic_s(kernels, target).max(axis=1), floor_s])
        limits_s = np.where(kernels.is_unknown[:, None], 0.0, limits_s)
        latency_s = np.maximum(terms_s.sum(axis=1), limits_s.max(axis=1))
        rows = np.arange(len(kernels))
        terms_s[rows, limits_s.argmax(axis=1)] += latency_s - terms_s.sum(axis=1)  # of those that the limit lifts
        width = constants.half_width[self._known(target)]
        return Estimates(
            latency_s=latency_s,
            energy_j=kernel_energy_j(kernels, target, latency_s),
            lower_bound_s=limits_s.max(axis=1),
            bound=terms_s.argmax(axis=1),
            bound_names=("vector", target.main_memory.name),
            terms_s=terms_s,
            model=self.name,
            adds_up=True,
            notes=self._notes(kernels, target),
            low_s=np.maximum(latency_s * np.exp(-width), limits_s.max(axis=1)),
            high_s=latency_s * np.exp(width),
            shared=np.ones(len(kernels)),  # they are one network's errors that the width is of
        )

    def _known(self, target: Target) -> str:
        if target.architecture not in self.constants.cores:
            return "new core"
        return "known" if target.runtime in self.constants.runtimes else "no runtime"

    def _notes(self, kernels: KernelTable, target: Target) -> tuple[str, ...]:
        constants = self.constants
        notes = [
            f"microcontroller: fitted to {constants.rows} published runs of {constants.networks} whole networks on "
            f"{len(constants.devices)} machines; no kernel was measured by itself"
        ]
        machine = target.name.partition("+")[0]
        if target.architecture not in constants.cores:
            core = target.architecture or "core like this"
            notes.append(f"no run on a {core} was published: the mean of others stands in")
        elif machine not in constants.devices:
            notes.append(f"no run on {machine} was published: those of other {target.architecture} stand in")
        if target.runtime not in constants.runtimes:
            ends = sorted(constants.runtimes, key=lambda name: constants.runtimes[name])
            low, high = (f"{constants.runtimes[end]:.2f} of {RUNTIMES[end].key}" for end in (ends[0], ends[-1]))
            notes.append(f"no runtime is named: the mean of {len(ends)}, from {low} to {high} (--target {machine}+...)")
        if machine not in constants.powered:
            notes.append(
                "energy: the data sheet's run current for as long as it takes; measured boards drew about twice theirs"
            )
        return (*notes, *_of_other_kernels(kernels))


def _of_other_kernels(kernels: KernelTable) -> list[str]:
    """What the runs that were fitted to had none of."""
    formats = {dtype.name: None for engine, dtype in kernels.work_columns if engine == "matrix"}
    others = [name for name in formats if name != MEASURED_FORMAT]
    notes = []
    if others:
        notes.append(f"no network in {', '.join(others)} was measured: taken as far from the data sheet's rate as i8")
    special = sum(counts.transcendental * times for op in kernels.ops for _, times, counts in work_of(op))
    if special:
        notes.append("special functions (exp and its kin) count as any element: networks with many take longer")
    return notes


COST_MODELS.add(Microcontroller.name, Microcontroller())
