"""How large the learned models of each family are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ircost.cost_models.learned.estimators.boosted import BoostedResidual
from ircost.cost_models.learned.estimators.layout import Layout
from ircost.cost_models.learned.estimators.registry import Estimator, estimator_named
from ircost.cost_models.learned.stored_estimator import ROWS, TREES

FEWEST_ROWS = 200  # of a table; fewer are no ground to learn on
ALL_ROWS = 1_000_000  # of any table that there is; of a larger one as many of each large group


@dataclass(frozen=True, slots=True)
class Recipe:
    """How large the models of a family are.

    Args:
        trees, leaves, learning_rate: of the corrections where the machine is known. unnamed_leaves: where no runtime
            is named.
        bins: of each column.
        estimator: what learns the corrections: trees of these sizes, or another one by its name.
        unnamed_estimator: the same where no runtime is named; the same one, if None.
        most_rows: to learn from; small groups whole, as many of each large one. unnamed_rows: likewise.
        unseen_trees, unseen_leaves, unseen_rows: where machines are left out, and for those that have no kin.
        kin_trees, kin_leaves: where machines are left out that have kin; what is asked later knows more rows.
    """

    trees: int
    leaves: int
    unnamed_leaves: int
    most_rows: int = 60_000
    unnamed_rows: int = 300_000
    unseen_trees: int = 150
    unseen_leaves: int = 31
    unseen_rows: int = 20_000
    kin_trees: int = 150
    kin_leaves: int = 127
    learning_rate: float = 0.1
    bins: int = 255
    estimator: str = TREES
    unnamed_estimator: str | None = None


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
    "collective": Recipe(300, 47, 31, learning_rate=0.05, estimator=ROWS, unnamed_estimator=TREES),
}


def residual_model(recipe: Recipe, family: str) -> Estimator:
    """What corrects kernels of machines that are known."""
    trees = BoostedResidual(recipe.trees, recipe.leaves, recipe.learning_rate, bins=recipe.bins)
    return estimator_named(recipe.estimator, Layout.of(family, sees_machine=True), trees)


def unseen_model(recipe: Recipe, family: str) -> Estimator:
    """The same of others. Leaves refined know the machines that were met better, and others no better."""
    trees = BoostedResidual(trees=recipe.unseen_trees, leaves=recipe.unseen_leaves, refinements=0)
    return estimator_named(recipe.estimator, Layout.of(family, sees_machine=False), trees)


def kin_model(recipe: Recipe, family: str) -> Estimator:
    """The first, where a machine is left out that has kin."""
    trees = BoostedResidual(trees=recipe.kin_trees, leaves=recipe.kin_leaves)
    return estimator_named(recipe.estimator, Layout.of(family, sees_machine=True), trees)


def fitted(model: Estimator, features: np.ndarray, target: np.ndarray, groups: np.ndarray) -> Estimator:
    """The model, fitted; where it leaves groups out by itself, these."""
    from sklearn.utils.validation import has_fit_parameter

    known = {"groups": groups} if has_fit_parameter(model, "groups") else {}
    model.fit(features, target, **known)
    return model
