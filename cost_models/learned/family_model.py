"""The learned model of one family: corrections of the analytical model, how far to believe them, and intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from ircost.cost_models.gpu.constants import ConstantsFile
from ircost.cost_models.gpu.labels import GRAPH_REPLAY, ON_A_BUS
from ircost.cost_models.gpu.machine import GpuMachine
from ircost.cost_models.learned.calibration import Calibration
from ircost.cost_models.learned.columns import DEVICE, WORDS, Expressed
from ircost.cost_models.learned.combinations import is_combined_anew
from ircost.cost_models.learned.features import feature_matrix, without_machine
from ircost.cost_models.learned.grades import GRADES, UNCORRECTED, Corrected, half_width_of_stand_ins
from ircost.cost_models.learned.kinship import MetMachine, may_have_kin, nearest_kin
from ircost.cost_models.learned.novelty import LEVELS, Novelty
from ircost.cost_models.learned.stored_estimator import TREES
from ircost.cost_models.learned.stored_trees import Correcting

Key: TypeAlias = tuple[int, int, float | None, float | None, bool]


@dataclass(frozen=True, slots=True)
class Head:
    """One way to correct: with the machine known, or without.

    Args:
        residual: None where there is nothing to learn from, or nothing of it would be believed.
        estimator: what it is, by the name that it is registered by.
    """

    residual: Correcting | None
    calibration: Calibration
    estimator: str = TREES

    def correction(self, features: np.ndarray) -> np.ndarray:
        """[rows] ln of measured over analytical, as predicted."""
        if self.residual is None or not len(features):
            return np.zeros(len(features))
        return self.residual.predict(features)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which head answers for kernels of one machine and runtime, and what it takes them for.

    Args:
        head: whose answers are believed as far as its calibration says.
        is_measured: whether the machine itself was; else no answer has grade A.
        sees_machine: whether the head has columns that tell machines apart.
        stand_in: the measured machine that stands for theirs; None where theirs stands for itself.
        widest: half of the widest interval, where constants were fitted to other rows of their machine or its
            architecture.
        narrowest: half of the narrowest one, where that is what such machines needed, and no head learned of any.
        is_runtime_met: whether a runtime that was named was measured; else those of others stand in, no answer has
            grade A, and intervals are as wide as runtimes are apart.
    """

    head: Head
    is_measured: bool = True
    sees_machine: bool = True
    stand_in: str | None = None
    widest: float | None = None
    narrowest: float | None = None
    is_runtime_met: bool = True

    @property
    def key(self) -> Key:
        """Equal for all that one head answers alike."""
        return id(self.head.residual), id(self.head.calibration), self.widest, self.narrowest, self.is_runtime_met


@dataclass(frozen=True, slots=True)
class FamilyModel:
    """Args:
    vocabulary: the words that were met, by kind.
    machines: that were measured, by their targets' names; those of few rows are strangers.
    met: [combinations, words] which words were met together on which of them (see ``combinations``); None where that
        is of no account, as it is of power, which hangs little on whose kernels they are.
    seen: for those. unseen: for strangers; None where machines of one architecture only were met.
    unnamed: for those, where nobody said whose kernels they are; None where no runtime that replays graphs was met.
    kin: how far answers for those are believed of machines that they stand for; None where none was left out that has
        kin.
    about: rows, sources and errors, for the card.
    extra: columns of features in front of the family's own: a model of power sees the analytical power.
    """

    family: str
    vocabulary: Mapping[str, Sequence[str]]
    machines: Mapping[str, MetMachine]
    met: np.ndarray | None
    novelty: Novelty
    seen: Head
    unseen: Head | None
    about: Mapping[str, object] = field(default_factory=dict)
    extra: tuple[str, ...] = ()
    unnamed: Head | None = None
    kin: Calibration | None = None

    def knows(self, device: str) -> bool:
        return device in self.machines

    def is_measured(self, machine: GpuMachine, device: str) -> bool:
        """Whether it is a machine that was measured, or another target of its chip with the same figures."""
        if not self.knows(device):
            return False
        is_itself = device == machine.name.partition("+")[0]
        return is_itself or self.machines[device].is_same(MetMachine.of(machine), self.family)

    def asked(self, machine: GpuMachine, labels: Mapping[str, str], constants: ConstantsFile) -> Asked | None:
        """Who answers for kernels; None where nobody knows their machine, nor any like it: all others were GPUs.

        Another target of a measured chip is that chip if its figures are the same, and else its nearest kin.

        What kin or strangers have in common was learned beside constants that never met their machine, or its
        architecture: where the constants were fitted to it, nothing is added, and intervals are no wider than what
        such machines need.

        Args:
            labels: the kernels': the device, and whose kernels they are.
            constants: of the analytical model. Where those of another family stand in for this one's, no other machine
                is like theirs.
        """
        found = self._asked(machine, labels, constants)
        is_met = not machine.runtime or labels["runtime"] != GRAPH_REPLAY
        return found if found is None or is_met else replace(found, is_runtime_met=False)

    def _asked(self, machine: GpuMachine, labels: Mapping[str, str], constants: ConstantsFile) -> Asked | None:
        if self.is_measured(machine, labels[DEVICE]):
            return self.asked_as_measured(labels["runtime"])
        if machine.kind != "gpu" or not constants.has_own(self.family, labels):
            return None
        widest = constants.half_width_of_added(self.family, labels)
        stand_in = self._stand_in(machine, labels)
        if stand_in is not None and self.kin is not None:
            # Beside a chip's own constants nothing but what was learned beside these holds.
            is_beside = stand_in == labels[DEVICE] or not constants.has_met(self.family, "device", labels[DEVICE])
            is_corrected = any(self.kin.trust) and is_beside
            residual = self.asked_as_measured(labels["runtime"]).head.residual if is_corrected else None
            return Asked(Head(residual, self.kin), is_measured=False, stand_in=stand_in, widest=widest)
        if self.unseen is None:
            return None
        is_fitted = constants.has_met(self.family, "architecture", labels["architecture"])
        head = Head(None, self.unseen.calibration) if is_fitted else self.unseen
        narrowest = widest if labels["architecture"] in ON_A_BUS else None
        return Asked(head, is_measured=False, sees_machine=False, widest=widest, narrowest=narrowest)

    def asked_as_measured(self, runtime: str) -> Asked:
        """Who answers for kernels of a machine that was measured."""
        return Asked(self.unnamed if runtime == GRAPH_REPLAY and self.unnamed is not None else self.seen)

    def _stand_in(self, machine: GpuMachine, labels: Mapping[str, str]) -> str | None:
        """The measured machine that stands for another, among those of its kin that ran the runtime: that of its chip,
        else the nearest.
        """
        words, runtime = self.vocabulary["runtime"], labels["runtime"]
        if self.met is None or runtime not in words or not may_have_kin(self.family, labels.get("kind", "")):
            return None
        ran = self.met[self.met[:, list(WORDS).index("runtime")] == words.index(runtime), -1]
        among = {self.vocabulary[DEVICE][word] for word in ran.tolist()}
        among &= set(self.machines)
        own, chip = MetMachine.of(machine), labels[DEVICE]
        is_of_chip = chip in among and self.machines[chip].is_kin(own, self.family)
        return chip if is_of_chip else nearest_kin(own, self.machines, among, self.family)

    def features(self, x: Expressed, asked: Asked | None) -> np.ndarray:
        """[rows, features] of kernels, as who answers for them sees them."""
        found = feature_matrix(x, self.vocabulary)
        if asked is not None and asked.stand_in is not None:
            found[:, -1] = self.vocabulary[DEVICE].index(asked.stand_in)
        return found

    def level(self, features: np.ndarray, octaves: np.ndarray) -> np.ndarray:
        """[rows] of novelty: of the sizes, or the last where words were never met, or never together."""
        level = self.novelty.level(octaves)
        words = features[:, -len(WORDS) - 1 : -1]
        is_new = np.isnan(words).any(axis=1)
        if self.met is not None:
            is_new |= is_combined_anew(features, self.met)
        return np.where(is_new, LEVELS - 1, level)

    def believed(self, features: np.ndarray, octaves: np.ndarray, asked: Asked) -> np.ndarray:
        """[rows] how much ``correct`` takes of corrections; without its intervals that costs less."""
        correction = asked.head.correction(self._seen_by(asked, features))
        return asked.head.calibration.believed(correction, self.level(features, octaves))

    def _seen_by(self, asked: Asked, features: np.ndarray) -> np.ndarray:
        return features if asked.sees_machine else without_machine(self.family, features)

    def correct(self, features: np.ndarray, octaves: np.ndarray, asked: Asked | None) -> Corrected:
        """Corrections of kernels that one head answers for.

        Args:
            features: [rows, features] with the machine (``features``), behind the extra ones. octaves: [rows, sizes].
        """
        if asked is None:
            return Corrected.none(len(features))
        correction = asked.head.correction(self._seen_by(asked, features))
        calibration = asked.head.calibration
        believed = calibration.believed(correction, self.level(features, octaves))
        half_width, grade = self.certainty(features, octaves, asked)
        return Corrected(correction, believed, half_width, grade, calibration.shared, asked.stand_in)

    def certainty(self, features: np.ndarray, octaves: np.ndarray, asked: Asked) -> tuple[np.ndarray, np.ndarray]:
        """[rows] half the width of the interval around ln of the latency, and the grade, as of ``correct``."""
        level, calibration = self.level(features, octaves), asked.head.calibration
        is_measured = asked.is_measured and asked.is_runtime_met
        grade = np.where(is_measured & (level == 0), GRADES.index("A"), GRADES.index("B"))
        is_corrected = (np.asarray(calibration.trust)[level] > 0) & (asked.head.residual is not None)
        half_width = calibration.half_width(self._seen_by(asked, features), level)
        if asked.widest is not None:
            half_width = np.minimum(half_width, asked.widest)
        if asked.narrowest is not None:
            half_width = np.maximum(half_width, asked.narrowest)
        if not asked.is_runtime_met:
            half_width = np.maximum(half_width, half_width_of_stand_ins(self.family))
        return half_width, np.where(is_corrected, grade, UNCORRECTED)
