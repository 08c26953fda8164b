"""Learned power in the estimates of networks: where a machine's power was read, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ircost.backends import Target
from ircost.cost_models.analytical import Evaluated
from ircost.cost_models.gpu.machine import machine_of
from ircost.cost_models.learned.columns import Expressed
from ircost.cost_models.learned.features import feature_matrix, octaves, power_features

if TYPE_CHECKING:
    from ircost.cost_models.learned.family_model import FamilyModel


def corrected_energy_j(
    energy_j: np.ndarray,
    latency_s: np.ndarray,
    parts: Sequence[Evaluated],
    models: Mapping[str, FamilyModel],
    target: Target,
) -> np.ndarray:
    """Energies of kernels with what was learned of the power of their parts, each by its time.

    Never below idle power nor above the limit.

    Args:
        energy_j, latency_s: [rows] by the fitted factors, in the latency that is reported.
        models: of power, by family.
    """
    machine, chip = machine_of(target), target.measured_as
    known = [
        part for part in parts if part.group.family in models and models[part.group.family].is_measured(machine, chip)
    ]
    if not known:
        return energy_j
    whole_s, added_s = np.zeros(len(energy_j)), np.zeros(len(energy_j))
    for part in parts:
        np.add.at(whole_s, part.rows, part.terms.latency_s * part.launches)
    for part in known:
        power_w = energy_j[part.rows] / latency_s[part.rows]
        believed = _believed(part, power_w, models[part.group.family], target)
        np.add.at(added_s, part.rows, part.terms.latency_s * part.launches * np.expm1(believed))
    ratio = 1.0 + added_s / np.where(whole_s > 0, whole_s, 1.0)
    limits_w = (float(target.power.idle_w), float(target.power.peak_w))
    found: np.ndarray = np.clip(energy_j * ratio, *(watts * latency_s for watts in limits_w))
    return np.where(energy_j > 0, found, energy_j)


def _believed(part: Evaluated, power_w: np.ndarray, model: FamilyModel, target: Target) -> np.ndarray:
    """[parts] of the correction of ln of power."""
    x = Expressed(part.group.family, part.work, part.terms, machine_of(target), part.labels)
    features = power_features(x.family, feature_matrix(x, model.vocabulary), power_w)
    return model.correct(features, octaves(x), model.asked_as_measured(part.labels["runtime"])).believed
