"""The hybrid on rows of measured tables: the models that come with the package, as they estimate networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ircost.cost_models.gpu.constants import ConstantsFile
from ircost.cost_models.gpu.families import Family
from ircost.cost_models.gpu.rows import (
    CHUNK,
    RowGroup,
    at_rows,
    on_all_processors,
    parts_of,
    physical_limit_s,
    roofline_of,
)
from ircost.cost_models.gpu.table_work import Columns
from ircost.cost_models.learned.features import octaves
from ircost.cost_models.learned.grades import UNCORRECTED, UNKNOWN_HALF_WIDTH
from ircost.cost_models.learned.rows import expressed

if TYPE_CHECKING:
    from ircost.cost_models.learned.family_model import Asked, FamilyModel, Key

Batch: TypeAlias = list[tuple[RowGroup, np.ndarray]]  # groups, and the places of some of their rows

AT_ONCE = 5 * CHUNK  # rows that trees are asked about: the more, the more of them are alike


def hybrid_rows(family: Family, columns: Columns, groups: Sequence[RowGroup], constants: ConstantsFile) -> np.ndarray:
    """The hybrid's latency of every row, in seconds, never below the physical limit; NaN where it cannot tell."""
    from ircost.cost_models.learned.storage import bundled_models

    return corrected_rows(bundled_models(), family, columns, groups, constants)


def corrected_rows(
    models: Mapping[str, FamilyModel],
    family: Family,
    columns: Columns,
    groups: Sequence[RowGroup],
    constants: ConstantsFile,
) -> np.ndarray:
    """The same with other models, by family."""
    return _rows_by_head(models, family, columns, groups, constants, _corrected_s)


def known_rows(
    models: Mapping[str, FamilyModel],
    family: Family,
    columns: Columns,
    groups: Sequence[RowGroup],
    constants: ConstantsFile,
) -> np.ndarray:
    """[rows, 4] the same; half the width of the interval around its logarithm and the grade's place in ``GRADES``, both
    NaN where the roofline answers; and the physical limit, in seconds.
    """

    def known(batch: Batch, pieces: Sequence[Piece], constants: ConstantsFile, model: FamilyModel | None) -> np.ndarray:
        latency_s = _corrected_s(batch, pieces, constants, model)
        limit_s = np.concatenate([piece.limit_s for piece in pieces])
        return np.column_stack([latency_s, *_certainty(batch, pieces, constants, model), limit_s])

    return _rows_by_head(models, family, columns, groups, constants, known, figures=(4,))


# What is said of a batch, which one head answers for.
Said: TypeAlias = "Callable[[Batch, Sequence[Piece], ConstantsFile, FamilyModel | None], np.ndarray]"


def _rows_by_head(
    models: Mapping[str, FamilyModel],
    family: Family,
    columns: Columns,
    groups: Sequence[RowGroup],
    constants: ConstantsFile,
    said: Said,
    figures: tuple[int, ...] = (),
) -> np.ndarray:
    """[rows, *figures] what is said of each batch, in the order of the rows; NaN where nothing is."""
    model = models.get(family.name)

    def found_of(batch: Batch) -> np.ndarray:
        pieces = [piece_of(family, columns, group, rows, constants, model) for group, rows in batch]
        return said(batch, pieces, constants, model)

    tasks = [
        (np.concatenate([rows for _, rows in batch]), partial(found_of, batch))
        for batch in batches(groups, AT_ONCE, model, constants)
    ]
    return on_all_processors(len(columns["device"]), tasks, figures)


def _corrected_s(
    batch: Batch, pieces: Sequence[Piece], constants: ConstantsFile, model: FamilyModel | None
) -> np.ndarray:
    """[rows] seconds."""
    latency_s = np.concatenate([piece.analytical_s for piece in pieces])
    if model is not None and (asked := asked_of(batch[0][0], constants, model)) is not None:
        features = np.concatenate([piece.features for piece in pieces])
        sizes = np.concatenate([piece.octaves for piece in pieces])
        latency_s = latency_s * np.exp(model.believed(features, sizes, asked))
    at_least: np.ndarray = np.maximum(latency_s, np.concatenate([piece.limit_s for piece in pieces]))
    return at_least


def _certainty(
    batch: Batch, pieces: Sequence[Piece], constants: ConstantsFile, model: FamilyModel | None
) -> tuple[np.ndarray, np.ndarray]:
    """[rows] half the width of the interval of the logarithm, and the grade."""
    asked = asked_of(batch[0][0], constants, model) if model is not None else None
    if model is not None and asked is not None:
        features, sizes = (np.concatenate([getattr(x, name) for x in pieces]) for name in ("features", "octaves"))
        own_width, grade = model.certainty(features, sizes, asked)
        half_width = np.where(np.isnan(own_width), UNKNOWN_HALF_WIDTH, own_width)
    else:
        count = sum(len(rows) for _, rows in batch)
        half_width, grade = np.full(count, UNKNOWN_HALF_WIDTH), np.full(count, UNCORRECTED)
    measured = [
        np.full(len(rows), group.setting is not None and group.setting.machine.is_of_measured_kind)
        for group, rows in batch
    ]
    is_of_measured_kind = np.concatenate(measured)
    return np.where(is_of_measured_kind, half_width, np.nan), np.where(is_of_measured_kind, grade, np.nan)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of one group; all arrays are [rows, ...], features and octaves empty where nothing was learned.

    Features name the machine that stands for the group's own.
    """

    analytical_s: np.ndarray
    limit_s: np.ndarray
    features: np.ndarray
    octaves: np.ndarray


def piece_of(
    family: Family,
    columns: Columns,
    group: RowGroup,
    rows: np.ndarray,
    constants: ConstantsFile,
    model: FamilyModel | None,
) -> Piece:
    assert group.setting is not None, "its machine is known"
    own = at_rows(columns, rows)
    fitted = constants.of(family.name, group.labels)
    parts = [
        expressed(family, at_rows(own, some), group.setting, group.labels, fitted)
        for some in parts_of(np.arange(len(rows)))
    ]
    nothing = [np.empty((len(rows), 0), dtype=np.float32)]
    asked = None if model is None else asked_of(group, constants, model)
    analytical_s = [x.terms.latency_s for x in parts]
    if not group.setting.machine.is_of_measured_kind:
        analytical_s = [roofline_of(family, own, group.setting)]
    return Piece(
        np.concatenate(analytical_s),
        physical_limit_s(family, own, group.setting),
        np.concatenate(nothing if model is None else [model.features(x, asked) for x in parts]),
        np.concatenate(nothing if model is None else [octaves(x) for x in parts]),
    )


def asked_of(group: RowGroup, constants: ConstantsFile, model: FamilyModel) -> Asked | None:
    """Who answers for the rows of a group; None where nobody does."""
    assert group.setting is not None, "its machine is known"
    return model.asked(group.setting.machine, group.labels, constants)


def batches(
    groups: Sequence[RowGroup], most: int, model: FamilyModel | None, constants: ConstantsFile
) -> Iterator[Batch]:
    """Rows of groups whose machines are known, at most so many together, that one head is asked about, or none."""
    pending: dict[Key | None, Batch] = {}
    for group in groups:
        if group.setting is None:
            continue
        asked = asked_of(group, constants, model) if model is not None else None
        key = asked.key if asked is not None else None
        for rows in parts_of(group.rows, most):
            own = pending.setdefault(key, [])
            if own and sum(len(some) for _, some in own) + len(rows) > most:
                yield pending.pop(key)
                own = pending.setdefault(key, [])
            own.append((group, rows))
    yield from pending.values()
