"""The learned model of one family: corrections of the analytical model, how far to believe them, and intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ircost.cost_models.gpu.labels import GRAPH_REPLAY
from ircost.cost_models.learned.calibration import Calibration
from ircost.cost_models.learned.columns import WORDS
from ircost.cost_models.learned.combinations import is_combined_anew
from ircost.cost_models.learned.features import without_machine
from ircost.cost_models.learned.grades import GRADES, UNCORRECTED, Corrected
from ircost.cost_models.learned.novelty import LEVELS, Novelty
from ircost.cost_models.learned.stored_trees import Trees


@dataclass(frozen=True, slots=True)
class Head:
    """One way to correct: with the machine known, or without.

    Args:
        residual: None where there is nothing to learn from, or nothing of it would be believed.
    """

    residual: Trees | None
    calibration: Calibration

    def correction(self, features: np.ndarray) -> np.ndarray:
        """[rows] ln of measured over analytical, as predicted."""
        if self.residual is None or not len(features):
            return np.zeros(len(features))
        return self.residual.predict(features)


@dataclass(frozen=True, slots=True)
class FamilyModel:
    """Args:
    vocabulary: the words that were met, by kind.
    devices: targets that were measured.
    met: [combinations, words] which words were met together on which of them (see ``combinations``); None where that
        is of no account, as it is of power, which hangs little on whose kernels they are.
    seen: for those. unseen: for all others; None where there was one device only.
    unnamed: for those, where nobody said whose kernels they are; None where no runtime that replays graphs was met.
    about: rows, sources and errors, for the card.
    extra: columns of features in front of the family's own: a model of power sees the analytical power.
    """

    family: str
    vocabulary: Mapping[str, Sequence[str]]
    devices: tuple[str, ...]
    met: np.ndarray | None
    novelty: Novelty
    seen: Head
    unseen: Head | None
    about: Mapping[str, object] = field(default_factory=dict)
    extra: tuple[str, ...] = ()
    unnamed: Head | None = None

    def knows(self, device: str) -> bool:
        return device in self.devices

    def level(self, features: np.ndarray, octaves: np.ndarray) -> np.ndarray:
        """[rows] of novelty: of the sizes, or the last where words were never met, or never together."""
        level = self.novelty.level(octaves)
        words = features[:, -len(WORDS) - 1 : -1]
        is_new = np.isnan(words).any(axis=1)
        if self.met is not None:
            is_new |= is_combined_anew(features, self.met)
        return np.where(is_new, LEVELS - 1, level)

    def believed(self, features: np.ndarray, octaves: np.ndarray, device: str, runtime: str) -> np.ndarray:
        """[rows] how much ``correct`` takes of corrections; without its intervals that costs less."""
        head = self.head(device, runtime)
        if head is None:
            return np.zeros(len(features))
        return head.calibration.believed(head.correction(self._seen_by(head, features)), self.level(features, octaves))

    def head(self, device: str, runtime: str) -> Head | None:
        """Which one is asked about kernels on a target.

        Args:
            runtime: of their labels; only whether anybody's is named counts.
        """
        if not self.knows(device):
            return self.unseen
        return self.unnamed if runtime == GRAPH_REPLAY and self.unnamed is not None else self.seen

    def _seen_by(self, head: Head, features: np.ndarray) -> np.ndarray:
        return without_machine(self.family, features) if head is self.unseen else features

    def correct(self, features: np.ndarray, octaves: np.ndarray, device: str, runtime: str) -> Corrected:
        """Corrections of kernels on one target.

        Args:
            features: [rows, features] with the machine, behind the extra ones. octaves: [rows, sizes].
            runtime: of the labels of all of them; see ``head``.
        """
        head = self.head(device, runtime)
        if head is None:
            return Corrected.none(len(features))
        correction = head.correction(self._seen_by(head, features))
        believed = head.calibration.believed(correction, self.level(features, octaves))
        half_width, grade = self.certainty(features, octaves, device, runtime)
        return Corrected(correction, believed, half_width, grade, head.calibration.shared)

    def certainty(
        self, features: np.ndarray, octaves: np.ndarray, device: str, runtime: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """[rows] half the width of the interval around ln of the latency, and the grade, as of ``correct``."""
        head = self.head(device, runtime)
        if head is None:
            nothing = Corrected.none(len(features))
            return nothing.half_width, nothing.grade
        level, calibration = self.level(features, octaves), head.calibration
        grade = np.where(self.knows(device) & (level == 0), GRADES.index("A"), GRADES.index("B"))
        is_corrected = np.asarray(calibration.trust)[level] > 0
        return (
            calibration.half_width(self._seen_by(head, features), level),
            np.where(is_corrected, grade, UNCORRECTED),
        )
