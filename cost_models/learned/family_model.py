"""The learned model of one family: corrections of the analytical model, how far to believe them, and intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ircost.cost_models.learned.calibration import Calibration
from ircost.cost_models.learned.columns import WORDS
from ircost.cost_models.learned.estimator import BoostedResidual
from ircost.cost_models.learned.features import without_machine
from ircost.cost_models.learned.novelty import LEVELS, Novelty

GRADES = ("A", "B", "C")
GRADE_MEANINGS = {
    "A": "learned on this machine, kernels like it measured",
    "B": "learned, but the machine or the neighbourhood is new",
    "C": "the analytical model alone",
}


@dataclass(frozen=True, slots=True)
class Head:
    """One way to correct: with the machine known, or without.

    Args:
        residual: None where there is nothing to learn from.
    """

    residual: BoostedResidual | None
    calibration: Calibration

    def correction(self, features: np.ndarray) -> np.ndarray:
        """[rows] ln of measured over analytical, as predicted."""
        if self.residual is None or not len(features):
            return np.zeros(len(features))
        return self.residual.predict(features)


@dataclass(frozen=True, slots=True)
class Corrected:
    """What the learned model says of kernels; all arrays are [rows].

    Args:
        correction: ln of measured over analytical, as predicted; believed: how much of it the hybrid takes.
        half_width: of the interval of 90 % around the hybrid's ln of the latency.
        grade: place in ``GRADES``.
    """

    correction: np.ndarray
    believed: np.ndarray
    half_width: np.ndarray
    grade: np.ndarray


@dataclass(frozen=True, slots=True)
class FamilyModel:
    """Args:
    vocabulary: the words that were met, by kind.
    devices: targets that were measured.
    seen: for those. unseen: for all others; None where there was one device only.
    about: rows, sources and errors, for the card.
    """

    family: str
    vocabulary: Mapping[str, Sequence[str]]
    devices: tuple[str, ...]
    novelty: Novelty
    seen: Head
    unseen: Head | None
    about: Mapping[str, object] = field(default_factory=dict)

    def knows(self, device: str) -> bool:
        return device in self.devices

    def level(self, features: np.ndarray, octaves: np.ndarray) -> np.ndarray:
        """[rows] of novelty: of the sizes, or the last where a word was never met."""
        level = self.novelty.level(octaves)
        words = features[:, -len(WORDS) - 1 : -1]
        return np.where(np.isnan(words).any(axis=1), LEVELS - 1, level)

    def correct(self, features: np.ndarray, octaves: np.ndarray, device: str) -> Corrected:
        """Corrections of kernels on one target.

        Args:
            features: [rows, features] with the machine. octaves: [rows, sizes].
        """
        level = self.level(features, octaves)
        is_seen = self.knows(device)
        head = self.seen if is_seen else self.unseen
        if head is None:
            nothing = np.zeros(len(features))
            return Corrected(nothing, nothing, np.full(len(features), np.nan), np.full(len(features), 2))
        own = features if is_seen else without_machine(self.family, features)
        correction = head.correction(own)
        believed = head.calibration.believed(correction, level)
        grade = np.where(is_seen & (level == 0), 0, 1)
        trust = np.asarray(head.calibration.trust)[level]
        return Corrected(correction, believed, head.calibration.half_width(own, level), np.where(trust > 0, grade, 2))
