"""Where things stand in a matrix of features, for estimators that treat sizes, words and times differently."""

from __future__ import annotations

from dataclasses import dataclass

from ircost.cost_models.learned.columns import MACHINE_COLUMNS, SIZES, WORDS, size_column_name
from ircost.cost_models.learned.features import feature_names

# Sizes that say what is done, rather than how much of it.
KINDS_OF_WORK = frozenset(
    (
        *("groups", "direction", "is_winograd", "window", "is_causal", "ranks", "skew", "is_chunked", "op", "nodes"),
        *("is_bus", "has_switch_reduction"),
    )
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Places of columns, counted from 0.

    Args:
        features: how many columns there are.
        predicted: ln of the analytical model's seconds.
        sizes: ln of the sizes of the work (``columns.SIZES``). work: those of which more is more to do.
        machine: ln of figures of the machine; none where it is not to be told apart.
        words: numbers that stand for words (``columns.WORDS``), the machine's name last where it may be known.
    """

    features: int
    predicted: int
    sizes: tuple[int, ...]
    work: tuple[int, ...]
    machine: tuple[int, ...]
    words: tuple[int, ...]

    @classmethod
    def of(cls, family: str, sees_machine: bool) -> Layout:
        """That of the features of a family (``features.feature_names``)."""
        names = feature_names(family, sees_machine)
        count = len(WORDS) + sees_machine
        return cls(
            len(names),
            names.index("log_predicted"),
            tuple(names.index(size_column_name(name)) for name in SIZES[family]),
            tuple(names.index(size_column_name(name)) for name in SIZES[family] if name not in KINDS_OF_WORK),
            tuple(names.index(column.name) for column in MACHINE_COLUMNS) if sees_machine else (),
            tuple(range(len(names) - count, len(names))),
        )
