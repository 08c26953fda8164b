"""How large the learned models of each family are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ircost.cost_models.learned.estimator import BoostedResidual

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


def residual_model(recipe: Recipe) -> BoostedResidual:
    return BoostedResidual(recipe.trees, recipe.leaves, recipe.learning_rate, bins=recipe.bins)


def unseen_model(recipe: Recipe) -> BoostedResidual:
    """Leaves refined know the machines that were met better, and others no better."""
    return BoostedResidual(trees=recipe.unseen_trees, leaves=recipe.unseen_leaves, refinements=0)


def kin_model(recipe: Recipe) -> BoostedResidual:
    return BoostedResidual(trees=recipe.kin_trees, leaves=recipe.kin_leaves)
