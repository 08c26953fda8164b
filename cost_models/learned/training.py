"""From the rows of a measured table to the learned model of its family, with every judgement on rows held out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ircost.cost_models.gpu.constants import ConstantsFile
from ircost.cost_models.learned.calibration import Held, calibrated
from ircost.cost_models.learned.columns import DEVICE, WORDS
from ircost.cost_models.learned.combinations import COLUMNS, combinations
from ircost.cost_models.learned.estimator import BoostedResidual
from ircost.cost_models.learned.family_model import FamilyModel, Head
from ircost.cost_models.learned.features import without_machine
from ircost.cost_models.learned.novelty import LEVELS, Novelty
from ircost.cost_models.learned.rows import Readable, Rows, rows_of, thinned
from ircost.cost_models.learned.splits import folds_of

OnProgress = Callable[[int, int], object]  # how many models are trained, of how many
REPLAYS = 0.3  # share of rows that also stand for kernels whose runtime nobody named, on a machine left out
FEWEST_ROWS = 200  # of a table; fewer are no ground to learn on
ALL_ROWS = 1_000_000  # of any table that there is; of a larger one as many of each large group


@dataclass(frozen=True, slots=True)
class Recipe:
    """How large the models of a family are.

    Args:
        trees, leaves, learning_rate: of the corrections where the machine is known. unnamed_leaves: where no runtime
            is named.
        bins: of each column.
        most_rows: to learn from; small groups whole, as many of each large one. unnamed_rows: likewise.
    """

    trees: int
    leaves: int
    unnamed_leaves: int
    most_rows: int = 60_000
    unnamed_rows: int = 300_000
    unseen_trees: int = 150
    unseen_leaves: int = 31
    unseen_rows: int = 20_000
    learning_rate: float = 0.1
    bins: int = 255


# Sized such that all bundled models together stay below 3 MB: the more rows, the more leaves.
RECIPES: Mapping[str, Recipe] = {
    "gemm": Recipe(180, 511, 255, ALL_ROWS, unseen_trees=100, unseen_leaves=15, learning_rate=0.08, bins=63),
    "attention": Recipe(170, 319, 319, ALL_ROWS, unseen_leaves=63),
    "moe": Recipe(300, 319, 159, ALL_ROWS, unseen_leaves=63, learning_rate=0.07),
    "mla": Recipe(170, 255, 255, learning_rate=0.06),
    "recurrent": Recipe(200, 79, 79, unseen_leaves=63, learning_rate=0.06),
    "vector": Recipe(200, 159, 79, ALL_ROWS, learning_rate=0.05),
    "conv": Recipe(400, 63, 31, unseen_leaves=63, learning_rate=0.05),
    "quantize": Recipe(200, 31, 31),
    "collective": Recipe(300, 47, 31, learning_rate=0.05),
}


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows, and corrections by models that never saw their group.

    Args:
        held: what calibrations are made of; without the rows that no fold could be judged on.
        rows: the same rows.
    """

    rows: Rows
    held: Held


@dataclass(frozen=True, slots=True)
class Trained:
    """Args:
    model: without what it says about itself.
    rows: that it was trained on.
    by_shape, by_device: what held-out rows say; of devices None where there was one only.
    unnamed: the same of shapes, where no runtime is named; None where none that replays graphs was met.
    """

    model: FamilyModel
    rows: int
    by_shape: Judged
    by_device: Judged | None
    unnamed: Judged | None


def train(
    table: Readable,
    constants: ConstantsFile,
    without: Mapping[str, ConstantsFile],
    recipe: Recipe | None = None,
    on_progress: OnProgress | None = None,
) -> Trained:
    """The learned model of a family.

    Raises:
        ValueError: there are too few rows, or one shape only.

    Args:
        table: measured rows.
        constants: of the analytical model, which the corrections are of.
        without: for each target of the table, constants that were fitted without it.
        on_progress: called after each of the models that are trained on the way.
    """
    recipe = recipe or RECIPES[table.family.name]
    vocabulary = table.vocabulary()
    rows = rows_of(thinned(table, recipe.most_rows), lambda target: constants, vocabulary)
    if len(rows) < FEWEST_ROWS or not folds_of(rows, "shape"):
        raise ValueError(f"{len(rows)} rows of {len(np.unique(rows.shape))} shapes, {FEWEST_ROWS} of several needed")
    replays = unnamed_rows(table, constants, vocabulary, recipe)
    by_device = list(rows_without(table, without, vocabulary, recipe))
    has_unnamed = len(replays) >= FEWEST_ROWS and len(folds_of(replays, "shape")) > 0
    models = [len(folds_of(own, "shape")) + 1 for own in ([rows, replays] if has_unnamed else [rows])]
    total = sum(models) + len(by_device) + 1

    def after(ended: int) -> OnProgress:
        return lambda done, of: on_progress(ended + done, total) if on_progress is not None else None

    seen, head = _machine_head(rows, recipe, after(0))
    unnamed, unnamed_head = None, None
    if has_unnamed:
        own = replace(recipe, leaves=recipe.unnamed_leaves)
        unnamed, unnamed_head = _machine_head(replays, own, after(models[0]))
    unseen = held_out_devices(by_device, recipe, after(sum(models))) if by_device else None
    model = FamilyModel(
        table.family.name,
        vocabulary,
        tuple(sorted(set(rows.device))),
        combinations(np.concatenate([own.features[:, -COLUMNS:] for own in (rows, replays)])),
        Novelty.of(rows.octaves),
        head,
        None if unseen is None else _unseen_head(unseen, by_device, recipe),
        unnamed=unnamed_head,
    )
    after(0)(total, total)
    return Trained(model, len(rows), seen, unseen, unnamed)


def _machine_head(rows: Rows, recipe: Recipe, on_progress: OnProgress) -> tuple[Judged, Head]:
    """What knows the machine: judged on shapes that it did not see, and trained on all."""
    judged = held_out_folds(rows, recipe, "shape", on_progress)
    model = residual_model(recipe).fit(rows.features, rows.residual)
    folds = len(folds_of(rows, "shape"))
    on_progress(folds + 1, folds + 1)
    return judged, Head(model, calibrated(judged.held, by_group=False))


def unnamed_rows(
    table: Readable, constants: ConstantsFile, vocabulary: Mapping[str, list[str]], recipe: Recipe
) -> Rows:
    """Rows of runtimes that replay graphs, as kernels of a runtime that nobody named."""
    rows = rows_of(thinned(table, recipe.unnamed_rows), lambda target: constants, vocabulary, with_replays=1.0)
    return rows.at(rows.is_replay)


def residual_model(recipe: Recipe) -> BoostedResidual:
    return BoostedResidual(recipe.trees, recipe.leaves, recipe.learning_rate, bins=recipe.bins)


def unseen_model(recipe: Recipe) -> BoostedResidual:
    """Leaves refined know the machines that were met better, and others no better."""
    return BoostedResidual(trees=recipe.unseen_trees, leaves=recipe.unseen_leaves, refinements=0)


def held_out_folds(rows: Rows, recipe: Recipe, split: str, on_progress: OnProgress | None = None) -> Judged:
    """Every row corrected by a model that saw no row of its shape, or framework."""
    folds = folds_of(rows, split)
    correction, level = np.zeros(len(rows)), np.zeros(len(rows), dtype=int)
    fold = np.full(len(rows), -1)
    for number, out in enumerate(folds):
        inside = ~out
        model = residual_model(recipe).fit(rows.features[inside], rows.residual[inside])
        correction[out] = model.predict(rows.features[out])
        level[out] = levels_of(rows.at(inside), rows.at(out))
        fold[out] = number
        if on_progress is not None:
            on_progress(number + 1, len(folds))
    return Judged(rows, Held(rows.features, rows.residual, correction, level, fold, cells_of(rows)))


def rows_without(
    table: Readable, without: Mapping[str, ConstantsFile], vocabulary: Mapping[str, list[str]], recipe: Recipe
) -> Iterator[tuple[str, Rows]]:
    """For each target, all rows as the analytical model sees them without having seen that target."""
    few = thinned(table, recipe.unseen_rows)
    devices = sorted({group.labels["device"] for group in few.groups if group.setting is not None})
    if len(devices) < 2:
        return
    for device in devices:
        own = without[device]
        yield device, rows_of(few, lambda target, own=own: own, vocabulary, REPLAYS)  # type: ignore[misc]


def held_out_devices(
    by_device: list[tuple[str, Rows]], recipe: Recipe, on_progress: OnProgress | None = None
) -> Judged:
    """Every row corrected by a model that saw nothing of its device: neither its rows nor constants fitted to them."""
    judged, held = [], []
    for device, rows in by_device:
        out = rows.device == device
        inside, own = rows.at(~out), rows.at(out)
        family = rows.family
        features = without_machine(family, own.features)
        model = unseen_model(recipe).fit(without_machine(family, inside.features), inside.residual)
        correction = model.predict(features)
        judged.append(own)
        held.append(Held(features, own.residual, correction, levels_of(inside, own), own.device, cells_of(own)))
        if on_progress is not None:
            on_progress(len(held), len(by_device))
    return Judged(_joined_rows(judged), _joined_held(held))


def _unseen_head(judged: Judged, by_device: list[tuple[str, Rows]], recipe: Recipe) -> Head:
    """Trained on each device's rows as the analytical model sees a device that it never saw, if it is ever believed."""
    calibration = calibrated(judged.held, by_group=True)
    if not any(calibration.trust):
        return Head(None, calibration)
    rows = _joined_rows([rows.at(rows.device == device) for device, rows in by_device])
    model = unseen_model(recipe).fit(without_machine(rows.family, rows.features), rows.residual)
    return Head(model, calibration)


def levels_of(inside: Rows, out: Rows) -> np.ndarray:
    """Of novelty: sizes and words that the rows inside do not have."""
    level = Novelty.of(inside.octaves).level(out.octaves)
    for place in range(len(WORDS)):
        column = out.features.shape[1] - len(WORDS) - 1 + place
        level[~np.isin(out.features[:, column], np.unique(inside.features[:, column]))] = LEVELS - 1
    return level


def cells_of(rows: Rows) -> np.ndarray:
    """[rows] a number for each machine, runtime and format."""
    words = np.nan_to_num(rows.features[:, -len(WORDS) - 1 :], nan=-1.0)
    assert tuple(WORDS)[:2] == ("runtime", "dtype") and DEVICE == "device", "the order of the columns of words"
    found: np.ndarray = (words[:, 0] * 100 + words[:, 1]) * 100 + words[:, -1]
    return found


def _joined_rows(parts: list[Rows]) -> Rows:
    first = parts[0]
    names = [name for name in first.__slots__ if name != "family"]
    return Rows(first.family, **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _joined_held(parts: list[Held]) -> Held:
    return Held(*(np.concatenate([getattr(part, name) for part in parts]) for name in Held.__slots__))
