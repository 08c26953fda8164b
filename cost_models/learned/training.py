"""From the rows of a measured table to the learned model of its family, with every judgement on rows held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ircost.cost_models.gpu.constants import ConstantsFile
from ircost.cost_models.learned.calibration import calibrated
from ircost.cost_models.learned.combinations import COLUMNS, combinations
from ircost.cost_models.learned.family_model import FamilyModel, Head
from ircost.cost_models.learned.features import Vocabulary, without_machine
from ircost.cost_models.learned.held_out import Judged, OnProgress, trained_and_held_out
from ircost.cost_models.learned.machines_left_out import (
    ConstantsWithout,
    LeftOut,
    Targets,
    by_breed,
    joined_rows,
    left_out,
    machines_of,
    views_without,
)
from ircost.cost_models.learned.novelty import Novelty
from ircost.cost_models.learned.recipes import FEWEST_ROWS, RECIPES, Recipe, fitted, unseen_model
from ircost.cost_models.learned.rows import Readable, Rows, always, rows_of, thinned
from ircost.cost_models.learned.splits import folds_of

FEWEST_KNOWN = 50  # rows of a machine, for what is said of it to be known


@dataclass(frozen=True, slots=True)
class Trained:
    """Args:
    model: without what it says about itself.
    rows: that it was trained on.
    by_shape: what held-out rows say.
    left_out: the same of devices; None where there was one only.
    unnamed: the same of shapes, where no runtime is named; None where none that replays graphs was met.
    """

    model: FamilyModel
    rows: int
    by_shape: Judged
    left_out: LeftOut | None
    unnamed: Judged | None


def train(
    table: Readable,
    constants: ConstantsFile,
    without: ConstantsWithout,
    recipe: Recipe | None = None,
    on_progress: OnProgress | None = None,
) -> Trained:
    """The learned model of a family.

    Raises:
        ValueError: there are too few rows, or one shape only.

    Args:
        table: measured rows.
        constants: of the analytical model, which the corrections are of.
        without: for the ``targets_to_leave_out`` of the table, constants that were fitted without them.
        on_progress: called after each of the models that are trained on the way.
    """
    recipe = recipe or RECIPES[table.family.name]
    vocabulary = table.vocabulary()
    rows = rows_of(thinned(table, recipe.most_rows), always(constants), vocabulary)
    if len(rows) < FEWEST_ROWS or not folds_of(rows, "shape"):
        raise ValueError(f"{len(rows)} rows of {len(np.unique(rows.shape))} shapes, {FEWEST_ROWS} of several needed")
    replays = unnamed_rows(table, constants, vocabulary, recipe)
    views = views_without(table, without, vocabulary, recipe)
    has_unnamed = len(replays) >= FEWEST_ROWS and len(folds_of(replays, "shape")) > 0
    models = [len(folds_of(own, "shape")) + 1 for own in ([rows, replays] if has_unnamed else [rows])]
    total = sum(models) + len(views) + 1

    def after(ended: int) -> OnProgress:
        return lambda done, of: on_progress(ended + done, total) if on_progress is not None else None

    seen, head = _machine_head(rows, recipe, after(0))
    unnamed, unnamed_head = None, None
    if has_unnamed:
        own = replace(recipe, leaves=recipe.unnamed_leaves, estimator=recipe.unnamed_estimator or recipe.estimator)
        unnamed, unnamed_head = _machine_head(replays, own, after(models[0]))
    absent = left_out(table, views, vocabulary, recipe, after(sum(models))) if views else None
    model = FamilyModel(
        table.family.name,
        vocabulary,
        {name: machine for name, machine in machines_of(table).items() if (rows.device == name).sum() >= FEWEST_KNOWN},
        combinations(np.concatenate([own.features[:, -COLUMNS:] for own in (rows, replays)])),
        Novelty.of(rows.octaves),
        head,
        None if absent is None else _unseen_head(absent, views, recipe),
        unnamed=unnamed_head,
        kin=None if absent is None else absent.kin_calibration(),
    )
    after(0)(total, total)
    return Trained(model, len(rows), seen, absent, unnamed)


def _machine_head(rows: Rows, recipe: Recipe, on_progress: OnProgress) -> tuple[Judged, Head]:
    """What knows the machine: judged on shapes that it did not see, and trained on all."""
    model, judged = trained_and_held_out(rows, recipe, "shape", on_progress)
    return judged, Head(model, calibrated(judged.held, by_group=False), recipe.estimator)


def unnamed_rows(table: Readable, constants: ConstantsFile, vocabulary: Vocabulary, recipe: Recipe) -> Rows:
    """Rows of runtimes that replay graphs, as kernels of a runtime that nobody named."""
    rows = rows_of(thinned(table, recipe.unnamed_rows), always(constants), vocabulary, with_replays=1.0)
    return rows.at(rows.is_replay)


def _unseen_head(absent: LeftOut, views: Mapping[Targets, Rows], recipe: Recipe) -> Head | None:
    """Trained on each breed's rows as the analytical model sees one that it never saw, if it is ever believed."""
    calibration = absent.stranger_calibration()
    if calibration is None:
        return None
    if not any(calibration.trust):
        return Head(None, calibration, recipe.estimator)
    rows = joined_rows(
        [views[targets].at(np.isin(views[targets].device, list(targets))) for targets in by_breed(absent.breeds)]
    )
    model = unseen_model(recipe, rows.family)
    fitted(model, without_machine(rows.family, rows.features), rows.residual, rows.device)
    return Head(model, calibration, recipe.estimator)
