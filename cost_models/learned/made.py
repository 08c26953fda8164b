"""A learned model with its card: trained on a table, and judged on what was held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ircost.cost_models.gpu.calibrate import calibrate_without, measured
from ircost.cost_models.gpu.constants import ConstantsFile
from ircost.cost_models.gpu.rows import TargetOf
from ircost.cost_models.gpu.table_work import Columns
from ircost.cost_models.learned.family_model import FamilyModel
from ircost.cost_models.learned.held_out import OnProgress
from ircost.cost_models.learned.judging import errors_by_group, errors_of, outcome_of, outcome_of_machines
from ircost.cost_models.learned.machines_left_out import ConstantsWithout, breeds_of, targets_to_leave_out
from ircost.cost_models.learned.recipes import RECIPES
from ircost.cost_models.learned.row_text import writer_of
from ircost.cost_models.learned.rows import Readable, readable
from ircost.cost_models.learned.text_training import TextModel, train_text
from ircost.cost_models.learned.trained import CONSTANTS, digest_of
from ircost.cost_models.learned.training import Trained, train

# Rows of a group that constants without each device are fitted to: a seventh of those of the bundled constants, since
# they are fitted once for each device.
SAMPLE_ROWS = 120
UNNAMED = "shapes, no runtime named"  # what is held out there, in words


def made(
    columns: Columns,
    at: str,
    sha256: str,
    target_of: TargetOf,
    constants: ConstantsFile,
    on_progress: OnProgress | None = None,
    estimator: str | None = None,
) -> FamilyModel:
    """The learned model of a table.

    Args:
        columns: of the table. at: its name. sha256: of its file, for the card.
        estimator: what learns the corrections; what suits the family, if None.

    Raises:
        TargetError: the columns tell of no family of kernels.
        ValueError: there is too little to learn from.
        UnknownNameError: nobody registered that estimator.
    """
    table = readable(columns, at, target_of)
    without = constants_without(table, columns, at, target_of)
    recipe = RECIPES[table.family.name]
    own = recipe if estimator is None else replace(recipe, estimator=estimator, unnamed_estimator=None)
    found = train(table, constants, without, own, on_progress)
    return replace(
        found.model,
        about={**about(found, {Path(at).name: sha256}), CONSTANTS: digest_of(constants, found.model.family)},
    )


def made_of_text(
    columns: Columns,
    at: str,
    sha256: str,
    target_of: TargetOf,
    constants: ConstantsFile,
    on_progress: OnProgress | None = None,
) -> TextModel:
    """The text model of a table; arguments and errors as of ``made``."""
    table = readable(columns, at, target_of)
    writer_of(table)
    model = train_text(table, constants, constants_without(table, columns, at, target_of), on_progress=on_progress)
    return replace(model, about={**model.about, "tables": {Path(at).name: sha256}})


def constants_without(table: Readable, columns: Columns, at: str, target_of: TargetOf) -> ConstantsWithout:
    """Constants that were fitted without each device of a table, and without each breed."""
    wanted = targets_to_leave_out(breeds_of(table))
    return calibrate_without([measured(columns, at, target_of, SAMPLE_ROWS)], wanted)


def about(found: Trained, tables: Mapping[str, str]) -> dict[str, object]:
    """What the card says: the errors of all shapes held out, and of each device, the worst first."""
    errors = [errors_of(outcome_of(found.by_shape, by_group=False), "shapes")]
    if found.unnamed is not None:
        errors.append(errors_of(outcome_of(found.unnamed, by_group=False), UNNAMED))
    if found.left_out is not None:
        devices = list(errors_by_group(outcome_of_machines(found.left_out), "{}"))
        errors += sorted(devices, key=lambda line: -float(str(line["hybrid_median"])))
    return {"rows": found.rows, "tables": dict(tables), "errors": errors}
