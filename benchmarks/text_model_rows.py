"""The text model beside the feature model on measured rows: the same rows to learn from, the same ones held out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from ircost.backends import load_target
from ircost.cost_models.gpu.constants import bundled_constants
from ircost.cost_models.learned.estimators.linear_trees import LinearTrees
from ircost.cost_models.learned.features import without_machine
from ircost.cost_models.learned.held_out import held_out_folds
from ircost.cost_models.learned.judging import Outcome, outcome_of, outcome_of_machines
from ircost.cost_models.learned.machines_left_out import left_out, views_without
from ircost.cost_models.learned.made import constants_without
from ircost.cost_models.learned.recipes import RECIPES
from ircost.cost_models.learned.rows import Readable, Rows, always, readable, rows_of, thinned
from ircost.cost_models.learned.text_model import IrTextRegressor
from ircost.cost_models.learned.text_training import held_out, texts_of_rows
from ircost.datasets.tables import read_table

FAMILIES = ("gemm", "attention", "mla", "moe", "vector", "conv", "quantize")
SHAPE_ROWS, DEVICE_ROWS = 10_000, 5_000  # of a table
WORDS_ALONE = ("gemm",)  # where numbers are words, columns are many and training is slow
Errors = dict[str, list[float]]  # model -> MAPE, median in percent, Kendall's tau


def results_of(folder: Path, family: str) -> dict[str, Any]:
    """Errors by shapes held out, and by each device."""
    path = folder / f"{family}.parquet"
    found = read_table(path)
    table = readable(found.columns, str(path), load_target)
    start = time.perf_counter()
    shapes = shape_errors(thinned(table, SHAPE_ROWS))
    without = constants_without(table, found.columns, str(path), load_target)
    devices = device_errors(thinned(table, DEVICE_ROWS), without)
    return {"shapes": shapes, "devices": devices, "seconds": time.perf_counter() - start}


def shape_errors(table: Readable) -> dict[str, Any]:
    constants = bundled_constants()
    rows = rows_of(table, always(constants), table.vocabulary())
    outcome = outcome_of(held_out_folds(rows, RECIPES[rows.family], "shape"), by_group=False)
    texts = texts_of_rows(table, outcome.rows)
    own = outcome.rows
    folds = [outcome.group == group for group in np.unique(outcome.group)]
    base, regressor = np.log(own.analytical_s), IrTextRegressor()
    counted = regressor.counted(texts)
    predictions = {
        "features, same trees": of_features(own.features, own, folds),
        "text": held_out(counted, np.log(own.measured_s), folds, regressor),
        "text over analytical": base + held_out(counted, own.residual, folds, regressor),
    }
    if own.family in WORDS_ALONE:
        alone = IrTextRegressor(has_sizes=False, most=800, trees=200)
        predictions["words alone"] = held_out(alone.counted(texts), np.log(own.measured_s), folds, alone)
    return {"rows": len(own), **errors_of(own, outcome, predictions)}


def device_errors(table: Readable, without: Any) -> dict[str, Any]:
    recipe, vocabulary = RECIPES[table.family.name], table.vocabulary()
    views = views_without(table, without, vocabulary, recipe)
    by_device = [(device, rows) for (device, *more), rows in views.items() if not more]
    outcome = outcome_of_machines(left_out(table, views, vocabulary, recipe))
    regressor, folds = IrTextRegressor(), [outcome.group == device for device, _ in by_device]
    counted = regressor.counted(texts_of_rows(table, outcome.rows))
    text = held_out(counted, np.log(outcome.rows.measured_s), folds, regressor)
    lines = {}
    for device, rows in by_device:
        own = np.flatnonzero(outcome.group == device)
        kept = rows.at(~rows.is_replay)
        features = of_features(without_machine(rows.family, kept.features), kept, [kept.device == device])
        predictions = {"features, same trees": features[kept.device == device], "text": text[own]}
        lines[device] = {"rows": len(own), **errors_of(outcome.rows.at(own), outcome.at(own), predictions)}
    return lines


def of_features(features: np.ndarray, rows: Rows, folds: list[np.ndarray]) -> np.ndarray:
    """[rows] ln of the latency by the feature model's columns and the text model's trees, in the folds."""
    known = np.nan_to_num(features, nan=-1.0)
    found = np.log(rows.analytical_s)
    for out in folds:
        found[out] += LinearTrees().fit(known[~out], rows.residual[~out]).predict(known[out])
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
