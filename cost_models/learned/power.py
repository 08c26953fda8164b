"""Learned power: what readings of power say beyond the fitted factors, trained and judged like latencies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ircost.cost_models.gpu.constants import ConstantsFile
from ircost.cost_models.gpu.power_constants import PowerConstants
from ircost.cost_models.gpu.power_rows import PowerRows, power_rows
from ircost.cost_models.gpu.rows import TargetOf
from ircost.cost_models.gpu.table_work import Columns
from ircost.cost_models.learned.calibration import Held, calibrated
from ircost.cost_models.learned.estimators.boosted import BoostedResidual
from ircost.cost_models.learned.family_model import FamilyModel, Head
from ircost.cost_models.learned.features import LOG_POWER, power_features
from ircost.cost_models.learned.held_out import OnProgress, cells_of, levels_of
from ircost.cost_models.learned.kinship import MetMachine
from ircost.cost_models.learned.machines_left_out import machines_of
from ircost.cost_models.learned.novelty import Novelty
from ircost.cost_models.learned.recipes import FEWEST_ROWS
from ircost.cost_models.learned.rows import Rows, always, readable, rows_of
from ircost.cost_models.learned.splits import folds_of
from ircost.cost_models.learned.trained import CONSTANTS, POWER_CONSTANTS, digest_of, digest_of_power

# Small ones: readings scatter by some percent, and there is one machine to learn of.
TREES, LEAVES, LEAST_ROWS = 150, 31, 40


class TooFewReadingsError(ValueError):
    """A table has too few readings of power to learn from."""


@dataclass(frozen=True, slots=True)
class PowerTable:
    """Measured rows with power, their features first.

    Args:
        rows: as latencies are learned from. features: [rows, features] those, behind ln of the analytical power.
        analytical_w, power_w: by the fitted factors in the measured time; as read.
        is_steady: whether the reading is of the kernel alone.
    """

    rows: Rows
    features: np.ndarray
    analytical_w: np.ndarray
    power_w: np.ndarray
    is_steady: np.ndarray
    vocabulary: Mapping[str, list[str]]
    machines: Mapping[str, MetMachine]

    def __len__(self) -> int:
        return len(self.power_w)

    @property
    def residual(self) -> np.ndarray:
        """ln of read over analytical: what there is to learn."""
        found: np.ndarray = np.log(self.power_w / self.analytical_w)
        return found

    def at(self, kept: np.ndarray) -> PowerTable:
        own = {name: getattr(self, name)[kept] for name in ("features", "analytical_w", "power_w", "is_steady")}
        return replace(self, rows=self.rows.at(kept), **own)


def power_table(
    columns: Columns, at: str, target_of: TargetOf, constants: ConstantsFile, power: PowerConstants
) -> PowerTable | None:
    """The rows of a table that have power, None where there are none.

    Raises:
        TargetError: the columns tell of no family of kernels.
    """
    drawn = power_rows(columns, at, target_of, constants)
    if drawn is None:
        return None
    own = {name: column[np.sort(drawn.place)] for name, column in columns.items()}
    table = readable(own, at, target_of)
    vocabulary = table.vocabulary()
    rows = rows_of(table, always(constants), vocabulary)
    order = np.argsort(drawn.place)[rows.place]
    analytical_w = analytical_power_w(drawn, power)[order]
    features = power_features(rows.family, rows.features, analytical_w)
    return PowerTable(
        rows, features, analytical_w, drawn.power_w[order], drawn.is_steady[order], vocabulary, machines_of(table)
    )


def analytical_power_w(rows: PowerRows, constants: PowerConstants) -> np.ndarray:
    """[rows] in the time that was measured."""
    found: np.ndarray = np.minimum(rows.drawn.energy_j(constants.factors) / rows.latency_s, rows.limit_w)
    return found


def trained_power(table: PowerTable, on_progress: OnProgress | None = None) -> tuple[FamilyModel, Held]:
    """The model of a family's power, and what held-out shapes say.

    Raises:
        TooFewReadingsError: there are too few steady rows, or one shape only.
    """
    steady = table.at(np.flatnonzero(table.is_steady))
    if len(steady) < FEWEST_ROWS or not folds_of(steady.rows, "shape"):
        shapes = len(np.unique(steady.rows.shape))
        told = f"{len(steady):,} of {len(table):,} rows with power_w have a steady reading, of {shapes:,} shapes"
        raise TooFewReadingsError(f"{told}; {FEWEST_ROWS} of several are needed")
    held = held_out(steady, on_progress)
    head = Head(power_model().fit(steady.features, steady.residual), calibrated(held, by_group=False))
    machines = {name: machine for name, machine in steady.machines.items() if name in set(steady.rows.device)}
    novelty = Novelty.of(steady.rows.octaves)
    family = steady.rows.family
    return FamilyModel(family, steady.vocabulary, machines, None, novelty, head, None, extra=(LOG_POWER,)), held


def held_out(table: PowerTable, on_progress: OnProgress | None = None) -> Held:
    """Every row corrected by a model that saw no row of its shape."""
    rows, folds = table.rows, folds_of(table.rows, "shape")
    correction, level = np.zeros(len(table)), np.zeros(len(table), dtype=int)
    fold = np.full(len(table), -1)
    for number, out in enumerate(folds):
        correction[out] = power_model().fit(table.features[~out], table.residual[~out]).predict(table.features[out])
        level[out] = levels_of(rows.at(~out), rows.at(out))
        fold[out] = number
        if on_progress is not None:
            on_progress(number + 1, len(folds))
    return Held(table.features, table.residual, correction, level, fold, cells_of(rows))


def power_model() -> BoostedResidual:
    return BoostedResidual(trees=TREES, leaves=LEAVES, least_rows=LEAST_ROWS)


def made_power(
    table: PowerTable,
    at: str,
    sha256: str,
    constants: ConstantsFile,
    power: PowerConstants,
    on_progress: OnProgress | None = None,
) -> FamilyModel:
    """The model with its card.

    Args:
        at: the table's name. sha256: of its file.

    Raises:
        TooFewReadingsError: there is too little to learn from.
    """
    model, held = trained_power(table, on_progress)
    about: dict[str, object] = {
        **{"rows": len(held.residual), "tables": {Path(at).name: sha256}, "errors": [_errors(held)]},
        **{CONSTANTS: digest_of(constants, model.family), POWER_CONSTANTS: digest_of_power(power)},
    }
    return replace(model, about=about)


def _errors(held: Held) -> dict[str, object]:
    """Of power, trust and intervals of each fold those that the others ask for; in percent."""
    believed, half_width = np.zeros(len(held.residual)), np.zeros(len(held.residual))
    for group in np.unique(held.group):
        own = np.flatnonzero(held.group == group)
        calibration = calibrated(held.at(held.group != group), by_group=False)
        believed[own] = calibration.believed(held.correction[own], held.level[own])
        half_width[own] = calibration.half_width(held.features[own], held.level[own])
    found: dict[str, object] = {"held_out": "shapes", "rows": len(held.residual)}
    for name, correction in (("analytical", np.zeros(len(believed))), ("hybrid", believed)):
        size = 100 * np.abs(np.exp(correction - held.residual) - 1)
        found |= {f"{name}_mape": round(float(size.mean()), 2), f"{name}_median": round(float(np.median(size)), 2)}
    inside = np.abs(held.residual - believed) <= half_width
    width = 2 * np.sinh(half_width)
    return {**found, "coverage": round(100 * float(inside.mean()), 1), "width": round(100 * float(width.mean()), 1)}
