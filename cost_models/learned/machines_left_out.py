"""Corrections on machines that were left out: asked about through their kin or as strangers, as new ones would be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ircost.cost_models.gpu.constants import ConstantsFile
from ircost.cost_models.learned.calibration import DOUBT_OF_KIN, Calibration, Held, calibrated
from ircost.cost_models.learned.columns import WORDS
from ircost.cost_models.learned.combinations import COLUMNS, combinations, is_combined_anew
from ircost.cost_models.learned.features import Vocabulary, without_machine
from ircost.cost_models.learned.held_out import Judged, OnProgress, cells_of, levels_of
from ircost.cost_models.learned.kinship import MetMachine, breed, may_have_kin, nearest_kin
from ircost.cost_models.learned.novelty import LEVELS
from ircost.cost_models.learned.recipes import Recipe, fitted, kin_model, unseen_model
from ircost.cost_models.learned.rows import Readable, Rows, always, rows_of, thinned

REPLAYS = 0.3  # share of rows that also stand for kernels whose runtime nobody named, on a machine left out
FEWEST_KIN = 50  # rows of a machine that has kin; fewer say nothing of what kin are worth
Targets = frozenset[str]
ConstantsWithout = Mapping[Targets, ConstantsFile]  # by the targets that they never saw


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Args:
    breeds: of each device.
    kin: rows of devices that have kin among the others, which stand for them in the features; groups are devices.
    others: all other rows, by models and constants that never saw their device; groups are devices.
    strangers: what machines of new architectures may expect: rows by models and constants that saw no device of their
        breed; groups are breeds. None where there is one breed only.
    """

    breeds: Mapping[str, str]
    kin: Judged | None
    others: Judged | None
    strangers: Held | None

    def kin_calibration(self, without: str | None = None) -> Calibration | None:
        """Of machines that have kin, as all of them ask for, or all but one; None where there are none.

        Args:
            without: a device.
        """
        if self.kin is None:
            return None
        rows = self.kin.held.group != without
        return calibrated(self.kin.held.at(rows), by_group=True, doubt=DOUBT_OF_KIN) if rows.any() else None

    def stranger_calibration(self, without: str | None = None) -> Calibration | None:
        """The same of strangers.

        Args:
            without: a breed.
        """
        if self.strangers is None:
            return None
        return calibrated(self.strangers.at(self.strangers.group != without), by_group=True)


def breeds_of(table: Readable) -> dict[str, str]:
    """Of each device of a table."""
    return {name: breed(name, machine) for name, machine in machines_of(table).items()}


def machines_of(table: Readable) -> dict[str, MetMachine]:
    """The devices of a table, in order."""
    found = {group.labels["device"]: group.setting.machine for group in table.groups if group.setting is not None}
    return {name: MetMachine.of(found[name]) for name in sorted(found)}


def targets_to_leave_out(breeds: Mapping[str, str]) -> list[Targets]:
    """Each device alone, and each breed; none where there is one device only."""
    if len(breeds) < 2:
        return []
    whole = [targets for targets in by_breed(breeds) if len(targets) < len(breeds)]
    return list(dict.fromkeys([*(frozenset((device,)) for device in breeds), *whole]))


def by_breed(breeds: Mapping[str, str]) -> list[Targets]:
    """The devices of each."""
    return [frozenset(d for d, own in breeds.items() if own == name) for name in sorted(set(breeds.values()))]


def views_without(
    table: Readable, without: ConstantsWithout, vocabulary: Vocabulary, recipe: Recipe
) -> dict[Targets, Rows]:
    """Some rows of a table, as the analytical model sees them without having seen some targets."""
    few = thinned(table, recipe.unseen_rows)
    wanted = targets_to_leave_out(breeds_of(few))
    return {targets: rows_of(few, always(without[targets]), vocabulary, REPLAYS) for targets in wanted}


def left_out(
    table: Readable,
    views: Mapping[Targets, Rows],
    vocabulary: Vocabulary,
    recipe: Recipe,
    on_progress: OnProgress | None = None,
) -> LeftOut:
    """Every row corrected by models that saw nothing of its device: neither its rows nor constants fitted to them.

    Args:
        views: as of ``views_without``, of the same table.
    """
    machines, breeds = machines_of(table), breeds_of(table)
    whole_breeds = by_breed(breeds)
    kin, others, strangers = [], [], []
    for done, (targets, rows) in enumerate(views.items(), start=1):
        is_own = np.isin(rows.device, list(targets))
        inside, rest = rows.at(~is_own), rows.at(is_own)
        first, *more = targets
        if not more:
            stand_in = stand_ins(inside, rest, machines, first, vocabulary)
            has_kin = ~np.isnan(stand_in)
            if has_kin.sum() >= FEWEST_KIN:
                kin.append(_as_kin(inside, rest.at(has_kin), stand_in[has_kin], recipe))
                rest = rest.at(~has_kin)
        if len(rest):
            judged = _as_strangers(inside, rest, recipe)
            if not more:
                others.append(judged)
            if targets in whole_breeds:
                strangers.append(replace(judged.held, group=np.full(len(rest), breeds[first], dtype=object)))
        if on_progress is not None:
            on_progress(done, len(views))
    return LeftOut(breeds, joined(kin), joined(others), joined_held(strangers) if strangers else None)


def stand_ins(
    inside: Rows, own: Rows, machines: Mapping[str, MetMachine], device: str, vocabulary: Vocabulary
) -> np.ndarray:
    """[own rows] the word of the kin that stands for their device and ran their runtime; NaN where there is none."""
    runtimes, words = (rows.features[:, -COLUMNS] for rows in (own, inside))
    found = np.full(len(own), np.nan)
    for runtime in np.unique(runtimes):
        name = nearest_kin(machines[device], machines, set(inside.device[words == runtime]), own.family)
        if name is not None:
            found[runtimes == runtime] = vocabulary["device"].index(name)
    kinds = own.features[:, list(WORDS).index("kind") - COLUMNS]
    alone = [place for place, kind in enumerate(vocabulary["kind"]) if not may_have_kin(own.family, kind)]
    return np.where(np.isin(kinds, alone), np.nan, found)


def _as_strangers(inside: Rows, own: Rows, recipe: Recipe) -> Judged:
    """By a model that cannot tell machines apart."""
    features = without_machine(own.family, own.features)
    model = unseen_model(recipe, own.family)
    fitted(model, without_machine(own.family, inside.features), inside.residual, inside.device)
    level = levels_of(inside, own)
    return Judged(own, Held(features, own.residual, model.predict(features), level, own.device, cells_of(own)))


def _as_kin(inside: Rows, own: Rows, stand_in: np.ndarray, recipe: Recipe) -> Judged:
    """By a model that takes them for kernels of their device's kin; smaller than that which is asked later."""
    model = fitted(kin_model(recipe, own.family), inside.features, inside.residual, inside.shape)
    features = own.features.copy()
    features[:, -1] = stand_in
    is_new = is_combined_anew(features, combinations(inside.features))
    level = np.where(is_new, LEVELS - 1, levels_of(inside, own))
    return Judged(own, Held(features, own.residual, model.predict(features), level, own.device, cells_of(own)))


def joined(parts: Sequence[Judged]) -> Judged | None:
    """All in one; None of none."""
    if not parts:
        return None
    return Judged(joined_rows([part.rows for part in parts]), joined_held([part.held for part in parts]))


def joined_rows(parts: Sequence[Rows]) -> Rows:
    first = parts[0]
    names = [name for name in first.__slots__ if name != "family"]
    return Rows(first.family, **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def joined_held(parts: Sequence[Held]) -> Held:
    return Held(*(np.concatenate([getattr(part, name) for part in parts]) for name in Held.__slots__))
