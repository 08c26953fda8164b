"""The text model on whole networks: can text tell what the compiler would find? Beside counts, and compiling."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from benchmarks.network_figures import FIGURES, Sample
from ircost.cost_models.learned.estimators.linear_trees import LinearTrees
from ircost.cost_models.learned.text_model import IrTextRegressor
from ircost.cost_models.learned.text_training import held_out

FOLDS = 4
# Few networks: small trees, and columns that five of them differ in.
TEXT = {"trees": 300, "leaves": 7, "least_rows": 5, "fewest": 5, "most": 800}
COUNTS = {"trees": 300, "leaves": 7, "least_rows": 5}
FLOOR = 1e-4  # shares of a memory below this are none


def results_of(generated: Sequence[Sample], real: Sequence[Sample]) -> dict[str, Any]:
    """For each way to hold out, and each figure, errors of counts and of text; and the times of all three."""
    samples = [*generated, *real]
    is_real = np.arange(len(samples)) >= len(generated)
    kinds = np.array(
        [sample.kind if not own else own_name(sample.kind) for sample, own in zip(samples, is_real, strict=True)]
    )
    number = np.random.default_rng(0).permutation(len(samples)) % FOLDS
    _, family = np.unique(kinds, return_inverse=True)
    ways = {
        "generated, by chance": (~is_real, [~is_real & (number == fold) for fold in range(FOLDS)]),
        "generated, a kind at a time": (~is_real, [~is_real & (kinds == kind) for kind in sorted({*kinds[~is_real]})]),
        "real, after generated ones": (np.ones(len(samples), bool), [is_real]),
        "real, after all others": (np.ones(len(samples), bool), [is_real & (family % 8 == f) for f in range(8)]),
    }
    counted = IrTextRegressor(**TEXT).counted(sample.text for sample in samples)
    features = np.array([sample.features for sample in samples])
    found: dict[str, Any] = {"generated": len(generated), "real": len(real), "ways": {}}
    for name, (known, folds) in ways.items():
        judged = np.any(folds, axis=0)
        found["ways"][name] = {
            figure: errors(samples, figure, known, folds, judged, counted, features) for figure in FIGURES
        }
    return found | {"seconds": times(generated, real)}


def own_name(name: str) -> str:
    """What exports of one network share: its name up to the first mark."""
    return name.partition("_")[0].rstrip("0123456789")


def errors(
    samples: Sequence[Sample],
    figure: str,
    known: np.ndarray,
    folds: Sequence[np.ndarray],
    judged: np.ndarray,
    counted: Sequence[dict[int, float]],
    features: np.ndarray,
) -> dict[str, list[float]]:
    """MAPE, median, tau of both models; of rows that are known to them and judged."""
    target = np.log(np.maximum([sample.figures[figure] for sample in samples], FLOOR))
    rows = np.flatnonzero(known)
    own = [fold[rows] for fold in folds]
    text = held_out([counted[row] for row in rows.tolist()], target[rows], own, IrTextRegressor(**TEXT))
    plain = np.zeros(len(rows))
    for out in own:
        model = LinearTrees(**COUNTS).fit(features[rows][~out], target[rows][~out])
        plain[out] = model.predict(features[rows][out])
    told = judged[rows]
    return {
        "counts": figures(plain[told], target[rows][told]),
        "text": figures(text[told], target[rows][told]),
    }


def figures(predicted: np.ndarray, actual: np.ndarray) -> list[float]:
    size = 100 * np.abs(np.exp(predicted - actual) - 1)
    tau = float(kendalltau(predicted, actual).statistic)
    return [round(float(size.mean()), 1), round(float(np.median(size)), 1), round(tau, 3)]


def times(generated: Sequence[Sample], real: Sequence[Sample]) -> dict[str, float]:
    """Medians over the real models, in seconds: to print, read and foretell; to count; to compile; to tile."""
    model = IrTextRegressor(**TEXT).fit(
        [sample.text for sample in generated], np.log([sample.figures["latency_s"] for sample in generated])
    )
    read = []
    for sample in real:
        start = time.process_time()
        model.predict([sample.text])
        read.append(time.process_time() - start)
    own = {"text": [sample.text_s + seconds for sample, seconds in zip(real, read, strict=True)]}
    own |= {name: [getattr(sample, f"{name}_s") for sample in real] for name in ("features", "compile", "tile")}
    return {name: float(np.median(seconds)) for name, seconds in own.items()}
