"""Train cost models on measured kernels, leave shapes and then one machine out, and compare them.

    python examples/train_and_compare.py [TABLE.parquet]

Without a table, one is made up: products of matrices as fast as the analytical model says, times a quirk that it does
not know (long sums are a quarter slower) and noise of 3 %. With a real one, see docs/cost-models.md for its columns.
"""

from __future__ import annotations

import sys

import numpy as np

from ircost.backends import load_target
from ircost.cost_models.evaluation import ROW_MODELS, predict_table, scores_of
from ircost.cost_models.gpu.constants import bundled_constants
from ircost.cost_models.split_evaluation import predictions_of_split
from ircost.datasets.tables import read_table

DEVICES = ("h100_sxm", "a100_sxm_80gb", "l40s", "t4")
NOISE, LONG_SUM, SLOWER = 0.03, 2000, 1.25
ESTIMATORS = ("trees", "nearest", "linear")
MODELS = ("roofline", "analytical", *(f"learned ({name})" for name in ESTIMATORS), "hybrid (trees)", "text")


def main() -> None:
    name, columns = table(sys.argv[1:])
    print(f"{name}: {len(columns['device'])} rows; mean / median error in percent, Kendall's tau of the order\n")
    print(f"{'held out':16}" + "".join(f"{model:>22}" for model in MODELS))
    for split, by in (("shape", []), ("device", ["device"])):
        found = predictions_of_split(columns, name, split, load_target, with_text=True, estimators=ESTIMATORS)
        scores = {model: scores_of(found[model], by) for model in MODELS}
        for own in zip(*(scores[model] for model in MODELS), strict=True):
            cells = (f"{score.mape:.1f} / {score.median_ape:.1f} %  {score.kendall_tau:.2f}" for score in own)
            print(f"{own[0].labels.get('device', 'shapes'):16}" + "".join(f"{cell:>22}" for cell in cells))


def table(arguments: list[str]) -> tuple[str, dict[str, np.ndarray]]:
    """The table that was asked for, or one that is made up."""
    if arguments:
        return arguments[0], dict(read_table(arguments[0]).columns)
    sizes = np.meshgrid(2.0 ** np.arange(0, 13, 2), 2.0 ** np.arange(8, 14, 2), 2.0 ** np.arange(7, 14, 2), DEVICES)
    m, n, k, device = (grid.ravel() for grid in sizes)
    columns = {
        **{"m": m.astype(float), "n": n.astype(float), "k": k.astype(float), "device": device.astype(object)},
        **{"framework": np.full(len(m), "vllm", object), "dtype": np.full(len(m), "float16", object)},
        "latency_us": np.ones(len(m)),
    }
    constants = bundled_constants()
    found = predict_table(columns, "made up", load_target, ROW_MODELS["analytical"], lambda target: constants)
    quirk = np.where(columns["k"] > LONG_SUM, SLOWER, 1.0)
    noise = np.exp(np.random.default_rng(0).normal(0.0, NOISE, len(m)))
    return "made-up products", {**columns, "latency_us": found.predicted_s * 1e6 * quirk * noise}


if __name__ == "__main__":
    main()
