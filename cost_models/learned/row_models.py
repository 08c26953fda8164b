"""The hybrid on rows of measured tables: the models that come with the package, as they estimate networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ircost.cost_models.gpu.constants import ConstantsFile
from ircost.cost_models.gpu.families import Family
from ircost.cost_models.gpu.rows import CHUNK, RowGroup, at_rows, by_group, parts_of, physical_limit_s
from ircost.cost_models.gpu.table_work import Columns, Setting
from ircost.cost_models.learned.features import feature_matrix, octaves
from ircost.cost_models.learned.rows import expressed

if TYPE_CHECKING:
    from ircost.cost_models.learned.family_model import FamilyModel

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
    model = models.get(family.name)

    def of_group(group: RowGroup, setting: Setting) -> Callable[[Columns], np.ndarray]:
        fitted = constants.of(family.name, group.labels)
        known = model if setting.target.kind == "gpu" else None

        def of_rows(own: Columns) -> np.ndarray:
            parts = [
                expressed(family, at_rows(own, rows), setting, group.labels, fitted)
                for rows in parts_of(np.arange(len(own["device"])))
            ]
            latency_s = np.concatenate([x.terms.latency_s for x in parts])
            if known is not None:
                features = np.concatenate([feature_matrix(x, known.vocabulary) for x in parts])
                sizes = np.concatenate([octaves(x) for x in parts])
                latency_s = latency_s * np.exp(known.believed(features, sizes, setting.target.name))
            at_least: np.ndarray = np.maximum(latency_s, physical_limit_s(family, own, setting))
            return at_least

        return of_rows

    return by_group(columns, groups, of_group, AT_ONCE)
