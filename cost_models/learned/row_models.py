"""The hybrid on rows of measured tables: the models that come with the package, as they estimate networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ircost.cost_models.gpu.constants import ConstantsFile
from ircost.cost_models.gpu.families import Family
from ircost.cost_models.gpu.rows import RowGroup, by_group, physical_limit_s
from ircost.cost_models.gpu.table_work import Columns, Setting
from ircost.cost_models.learned.features import feature_matrix, octaves
from ircost.cost_models.learned.rows import expressed

if TYPE_CHECKING:
    from ircost.cost_models.learned.family_model import FamilyModel


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

    def of_group(own: Columns, group: RowGroup, setting: Setting) -> np.ndarray:
        x = expressed(family, own, setting, group.labels, constants.of(family.name, group.labels))
        latency_s = x.terms.latency_s
        if model is not None and setting.target.kind == "gpu":
            found = model.correct(feature_matrix(x, model.vocabulary), octaves(x), setting.target.name)
            latency_s = latency_s * np.exp(found.believed)
        at_least: np.ndarray = np.maximum(latency_s, physical_limit_s(family, own, setting))
        return at_least

    return by_group(columns, groups, of_group)
