"""The text model beside the feature model on measured rows: the same rows to learn from, the same ones held out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from ircost.backends import load_target
from ircost.cost_models.gpu.constants import bundled_constants
from ircost.cost_models.learned.features import without_machine
from ircost.cost_models.learned.judging import Outcome, outcome_of
from ircost.cost_models.learned.linear_trees import LinearTrees
from ircost.cost_models.learned.made import constants_without
from ircost.cost_models.learned.rows import Readable, Rows, readable, rows_of, thinned
from ircost.cost_models.learned.text_model import IrTextRegressor
from ircost.cost_models.learned.text_training import texts_of_rows
from ircost.cost_models.learned.training import RECIPES, held_out_devices, held_out_folds, rows_without
from ircost.datasets.tables import read_table

FAMILIES = ("gemm", "attention", "mla", "moe", "vector", "conv", "quantize")
SHAPE_ROWS, DEVICE_ROWS = 12_000, 6_000  # of a table
WORDS_ALONE = ("gemm",)  # where numbers are words, columns are many and training is slow
Errors = dict[str, list[float]]  # model -> MAPE, median in percent, Kendall's tau


def results_of(folder: Path, family: str) -> dict[str, Any]:
    """Errors by shapes held out, and by each device."""
    path = folder / f"{family}.parquet"
    found = read_table(path)
    table = readable(found.columns, str(path), load_target)
    start = time.perf_counter()
    shapes = shape_errors(thinned(table, SHAPE_ROWS))
    devices = device_errors(thinned(table, DEVICE_ROWS), constants_without(found.columns, str(path), load_target))
    return {"shapes": shapes, "devices": devices, "seconds": time.perf_counter() - start}


def shape_errors(table: Readable) -> dict[str, Any]:
    constants = bundled_constants()
    rows = rows_of(table, lambda target: constants, table.vocabulary())
    outcome = outcome_of(held_out_folds(rows, RECIPES[rows.family], "shape"), by_group=False)
    texts = texts_of_rows(table, outcome.rows)
    own = outcome.rows
    predictions = {
        "features, same trees": of_features(own.features, outcome),
        "text": held_out(texts, outcome, np.zeros(len(own))),
        "text over analytical": held_out(texts, outcome, np.log(own.analytical_s)),
    }
    if own.family in WORDS_ALONE:
        alone = IrTextRegressor(has_sizes=False, most=800, trees=200)
        predictions["words alone"] = held_out(texts, outcome, np.zeros(len(own)), alone)
    return {"rows": len(own), **errors_of(own, outcome, predictions)}


def device_errors(table: Readable, without: Any) -> dict[str, Any]:
    recipe = RECIPES[table.family.name]
    judged = held_out_devices(list(rows_without(table, without, table.vocabulary(), recipe)), recipe)
    outcome = outcome_of(judged, by_group=True)
    texts = texts_of_rows(table, outcome.rows)
    predictions = {
        "features, same trees": of_features(without_machine(table.family.name, outcome.rows.features), outcome),
        "text": held_out(texts, outcome, np.zeros(len(outcome.rows))),
    }
    lines = {}
    for device in np.unique(outcome.group):
        own = np.flatnonzero(outcome.group == device)
        few = {name: found[own] for name, found in predictions.items()}
        lines[str(device)] = {"rows": len(own), **errors_of(outcome.rows.at(own), outcome.at(own), few)}
    return lines


def held_out(
    texts: list[str], outcome: Outcome, base: np.ndarray, regressor: IrTextRegressor | None = None
) -> np.ndarray:
    """[rows] ln of the latency: base, and what texts say on top of it."""
    regressor = regressor or IrTextRegressor()
    target, found = np.log(outcome.rows.measured_s) - base, np.zeros(len(texts))
    for group in np.unique(outcome.group):
        inside, out = np.flatnonzero(outcome.group != group), np.flatnonzero(outcome.group == group)
        regressor.fit([texts[row] for row in inside], target[inside])
        found[out] = regressor.predict([texts[row] for row in out])
    return np.asarray(found + base)


def of_features(features: np.ndarray, outcome: Outcome) -> np.ndarray:
    """[rows] ln of the latency by the feature model's columns and the text model's trees."""
    known = np.nan_to_num(features, nan=-1.0)
    residual, found = outcome.rows.residual, np.log(outcome.rows.analytical_s)
    for group in np.unique(outcome.group):
        out = outcome.group == group
        found[out] += LinearTrees().fit(known[~out], residual[~out]).predict(known[out])
    return found


def errors_of(rows: Rows, outcome: Outcome, predictions: dict[str, np.ndarray]) -> Errors:
    seconds = {
        **{"roofline": rows.roofline_s, "analytical": rows.analytical_s},
        **{"features": outcome.learned_s, "hybrid": outcome.hybrid_s},
        **{name: np.exp(found) for name, found in predictions.items()},
    }
    return {name: figures(predicted_s, rows.measured_s) for name, predicted_s in seconds.items()}


def figures(predicted: np.ndarray, actual: np.ndarray) -> list[float]:
    size = 100 * np.abs(predicted / actual - 1)
    tau = float(kendalltau(predicted, actual).statistic)
    return [round(float(size.mean()), 2), round(float(np.median(size)), 2), round(tau, 3)]
