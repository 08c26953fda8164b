"""The hybrid: learned where kernels like it were measured, analytical where none were, and in between by novelty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ircost.backends import Target
from ircost.cost_models.analytical import Analytical, Evaluated, activity_of_parts
from ircost.cost_models.collectives import FAMILY as COLLECTIVE
from ircost.cost_models.collectives import CollectiveTimes, asked_collectives
from ircost.cost_models.energy import kernel_energy_j
from ircost.cost_models.gpu.machine import machine_of
from ircost.cost_models.interface import COST_MODELS, CostModel, Estimates
from ircost.cost_models.kernel_table import KernelTable
from ircost.cost_models.learned.columns import Expressed
from ircost.cost_models.learned.features import octaves
from ircost.cost_models.learned.grades import GRADES, UNKNOWN_HALF_WIDTH, Corrected
from ircost.cost_models.learned.power_correction import corrected_energy_j
from ircost.cost_models.unmeasured import is_unmeasured

if TYPE_CHECKING:
    from ircost.cost_models.learned.family_model import FamilyModel


class Hybrid(CostModel):
    """The analytical model, corrected by what was learned of kernels near by, with an interval for each figure.

    A kernel on a machine that was measured gets all that a model which knows the machine has learned; on any other
    machine the share of it that proved right when machines were left out in turn; far from all measured kernels,
    nothing.

    Args:
        models: by family; those that come with the package where left out.
        analytical: what is corrected.
        power_models: of power, by family; likewise.
        name: what reports say.
    """

    name = "hybrid"

    def __init__(
        self,
        models: Mapping[str, FamilyModel] | None = None,
        analytical: Analytical | None = None,
        power_models: Mapping[str, FamilyModel] | None = None,
        name: str = "hybrid",
    ) -> None:
        self.name = name
        self._models = models
        self._power_models = power_models
        self.analytical = analytical or Analytical()

    @property
    def models(self) -> Mapping[str, FamilyModel]:
        if self._models is not None:
            return self._models
        from ircost.cost_models.learned.storage import bundled_models

        return bundled_models()

    @property
    def power_models(self) -> Mapping[str, FamilyModel]:
        if self._power_models is not None:
            return self._power_models
        from ircost.cost_models.learned.storage import bundled_power_models

        return bundled_power_models()

    @property
    def runtimes(self) -> frozenset[str]:
        return self.analytical.runtimes

    @property
    def for_search(self) -> CostModel:
        return self.analytical

    def estimate(self, kernels: KernelTable, target: Target) -> Estimates:
        parts = list(self.analytical.evaluated(kernels, target))
        plain = self.analytical.estimate_of(parts, kernels, target)
        rows = _Rows.of(len(kernels))
        for part in parts:
            rows.add(part, self.corrected(part, target))
        rows.widen(is_unmeasured(kernels))
        limit_s = plain.lower_bound_s
        latency_s = np.maximum(rows.corrected_s, limit_s)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(plain.latency_s > 0, latency_s / plain.latency_s, 1.0)
            # What is raised to its limit is known no better for that: the upper end rises with it.
            above = np.where(rows.corrected_s > 0, latency_s / rows.corrected_s, 1.0)
        return replace(
            plain,
            latency_s=latency_s,
            energy_j=self.energy_j(kernels, parts, target, latency_s),
            terms_s=plain.terms_s * ratio[:, None],
            model=self.name,
            learned_s=rows.corrected_s - rows.analytical_s,
            low_s=np.maximum(rows.low_s, limit_s),
            high_s=rows.high_s * above,
            shared=rows.shared,
            grades=tuple(GRADES[grade] for grade in rows.grade),
            host_s=None if plain.host_s is None else plain.host_s * ratio,
            device_s=None if plain.device_s is None else plain.device_s * ratio,
            notes=(*plain.notes, *_notes(kernels, rows, latency_s, target)),
        )

    def collectives(
        self, kind: str, sizes_bytes: Sequence[float], ranks: int, target: Target, node: int | None = None
    ) -> CollectiveTimes:
        """What ranks send each other, corrected like kernels."""
        asked = asked_collectives(kind, sizes_bytes, ranks, target, self.analytical.constants, node)
        plain = asked.times
        x = Expressed(COLLECTIVE, asked.work, asked.terms, asked.machine, asked.labels)
        corrected = self._corrected(x)
        width = np.where(np.isnan(corrected.half_width), UNKNOWN_HALF_WIDTH, corrected.half_width)
        latency_s = np.maximum(plain.latency_s * np.exp(corrected.believed), plain.at_best_s)
        return replace(
            plain,
            latency_s=latency_s,
            low_s=np.maximum(latency_s * np.exp(-width), plain.at_best_s),
            high_s=latency_s * np.exp(width),
            grades=tuple(GRADES[grade] for grade in corrected.grade),
        )

    def energy_j(
        self, kernels: KernelTable, parts: list[Evaluated], target: Target, latency_s: np.ndarray
    ) -> np.ndarray:
        """[rows] with what was learned of power, on machines whose power was read."""
        activity = activity_of_parts(parts, len(kernels), target)
        plain_j = kernel_energy_j(kernels, target, latency_s, activity)
        if target.kind != "gpu":
            return plain_j
        return corrected_energy_j(plain_j, latency_s, parts, self.power_models, target)

    def corrected(self, part: Evaluated, target: Target) -> Corrected:
        """What was learned of some parts."""
        return self._corrected(Expressed(part.group.family, part.work, part.terms, machine_of(target), part.labels))

    def _corrected(self, x: Expressed) -> Corrected:
        model = self.models.get(x.family)
        if model is None:
            return Corrected.none(len(x.terms.latency_s))
        asked = model.asked(x.machine, x.labels, self.analytical.constants)
        return model.correct(model.features(x, asked), octaves(x), asked)


@dataclass(slots=True)
class _Rows:
    """Sums over the parts of each kernel; errors of the parts of one kernel go together."""

    analytical_s: np.ndarray
    corrected_s: np.ndarray
    low_s: np.ndarray
    high_s: np.ndarray
    grade: np.ndarray
    shared: np.ndarray
    stand_ins: set[str]

    @staticmethod
    def of(count: int) -> _Rows:
        seconds = [np.zeros(count) for _ in range(4)]
        return _Rows(seconds[0], seconds[1], seconds[2], seconds[3], np.zeros(count, dtype=int), np.zeros(count), set())

    def add(self, part: Evaluated, corrected: Corrected) -> None:
        seconds = part.terms.latency_s * part.launches
        own = seconds * np.exp(corrected.believed)
        width = np.where(np.isnan(corrected.half_width), UNKNOWN_HALF_WIDTH, corrected.half_width)
        np.add.at(self.analytical_s, part.rows, seconds)
        np.add.at(self.corrected_s, part.rows, own)
        np.add.at(self.low_s, part.rows, own * np.exp(-width))
        np.add.at(self.high_s, part.rows, own * np.exp(width))
        np.maximum.at(self.grade, part.rows, corrected.grade)
        np.maximum.at(self.shared, part.rows, corrected.shared)
        if corrected.stand_in is not None and corrected.believed.any():
            self.stand_ins.add(corrected.stand_in)

    def widen(self, which: np.ndarray) -> None:
        """Kernels that others stand in for are known no better than those of which nothing was learned."""
        factor = np.where(which, np.exp(UNKNOWN_HALF_WIDTH), 1.0)
        self.low_s = np.where(which, np.minimum(self.low_s, self.corrected_s / factor), self.low_s)
        self.high_s = np.where(which, np.maximum(self.high_s, self.corrected_s * factor), self.high_s)
        self.grade = np.where(which, np.maximum(self.grade, GRADES.index("B")), self.grade)


def _notes(kernels: KernelTable, rows: _Rows, latency_s: np.ndarray, target: Target) -> Sequence[str]:
    """How far the figures are known, where it is known how often each kernel runs."""
    counts = np.zeros(len(kernels))
    for run in kernels.runs:
        counts[run.row] += run.count
    total_s = float((counts * latency_s).sum())
    if total_s <= 0:
        return ()
    shares = dict.fromkeys(GRADES, 0.0)
    for grade, seconds in zip(rows.grade, counts * latency_s, strict=True):
        shares[GRADES[grade]] += float(seconds) / total_s
    told = ", ".join(f"{grade} {share:.0%}" for grade, share in sorted(shares.items()) if share >= 0.005)
    meanings = "A: learned on this machine; B: machine, runtime or sizes are new; C: analytical alone"
    grades = f"grades by time: {told} ({meanings})"
    if not rows.stand_ins:
        return (grades,)
    kin = f"{target.name} was not measured: corrected as {' and '.join(sorted(rows.stand_ins))}, its kin"
    return (grades, f"{kin} (one architecture, about as many processors)")


COST_MODELS.add(Hybrid.name, Hybrid())
