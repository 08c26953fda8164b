"""Kernels as rows of features: one definition for measured rows and for kernels of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ircost.cost_models.learned.columns import DEVICE, SIZES, WORDS, Expressed, columns_of

FOOTPRINT = "footprint"
LOG_POWER = "log_power"  # ln of the analytical power in watts: what models of power see beyond those of latency
Vocabulary = Mapping[str, Sequence[str]]  # for each kind of word, those that were met


def feature_names(family: str, sees_machine: bool) -> tuple[str, ...]:
    """Names of the columns of a matrix.

    Args:
        sees_machine: with what tells machines apart.
    """
    numbers = tuple(column.name for column in columns_of(family) if sees_machine or not column.is_of_machine)
    return (*numbers, *WORDS, *([DEVICE] if sees_machine else []))


def number_matrix(x: Expressed) -> np.ndarray:
    """[rows, columns] all numbers of a family, float32; the rows of a column lie beside each other in memory."""
    return _numbers(x, beside=0).T


def _numbers(x: Expressed, beside: int) -> np.ndarray:
    """[columns, rows], and room for so many columns behind them."""
    columns = columns_of(x.family)
    found = np.empty((len(columns) + beside, len(x.terms.latency_s)), dtype=np.float32)
    for own, column in zip(found, columns, strict=False):
        own[:] = column.of(x)
    return found


def word_codes(labels: Mapping[str, str], vocabulary: Vocabulary) -> list[float]:
    """A number for each kind of word; NaN for a word that was never met."""
    return [_code(labels.get(kind, ""), vocabulary[kind]) for kind in (*WORDS, DEVICE)]


def _code(word: str, known: Sequence[str]) -> float:
    return float(known.index(word)) if word in known else np.nan


def feature_matrix(x: Expressed, vocabulary: Vocabulary) -> np.ndarray:
    """[rows, features] in the order of ``feature_names`` with the machine; in memory as of ``number_matrix``."""
    words = np.array(word_codes(x.labels, vocabulary), dtype=np.float32)
    found = _numbers(x, beside=len(words))
    found[-len(words) :] = words[:, None]
    return found.T


def without_machine(family: str, features: np.ndarray) -> np.ndarray:
    """The columns that do not tell machines apart."""
    kept = [not column.is_of_machine for column in columns_of(family)] + [True] * len(WORDS) + [False]
    return features[:, np.array(kept)]


def power_features(family: str, features: np.ndarray, power_w: np.ndarray) -> np.ndarray:
    """[rows, 1 + features] what models of power see.

    How far apart two uses of an operand lie is blanked: a benchmark that runs one kernel over and over knows of few
    such distances, all of them short, a network of long ones only.

    Args:
        features: [rows, features] with the machine. power_w: [rows] of the analytical model.
    """
    found = np.column_stack([np.log(power_w), features]).astype(np.float32)
    for place, name in enumerate(feature_names(family, sees_machine=True), start=1):
        if name.startswith(FOOTPRINT):
            found[:, place] = np.nan
    return found


def octaves(x: Expressed) -> np.ndarray:
    """[rows, sizes] binary logarithms of the sizes: where a kernel lies among others."""
    found = np.stack([np.log2(np.maximum(x.size(name), 0.5)) for name in SIZES[x.family]], axis=1)
    return np.asarray(found, dtype=np.float32)
