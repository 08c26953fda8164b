"""Exported models against their originals in onnxruntime: ``python benchmarks/export_speed.py FOLDER [NAME ...]``.

Four ways for each model: the original, ours, the original under onnxruntime's own optimiser, ours under it. One thread;
runs of the four take turns, so that whatever else the machine does meets all; each ratio is the median of paired runs.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from zoo import ZooModel, zoo_models

from ircost.api import export_onnx
from ircost.frontends import load

RESNET = Path(__file__).resolve().parents[1] / "datasets" / "models" / "resnet50.onnx"
WAYS = ("original", "ours", "its optimiser", "ours + its optimiser")


@dataclass(frozen=True)
class Row:
    """One model: seconds of each way, in the order of ``WAYS``, and median ratios of the original to it."""

    name: str
    seconds: tuple[float, ...]
    ratios: tuple[float, ...]
    error: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--for", dest="runtime", default="")
    parser.add_argument("--seconds", type=float, default=4.0, help="of runs for each model")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = [resnet50(Path(folder)), *zoo_models(options.folder)]
        report([m for m in models if not options.names or m.name in options.names], options.runtime, options.seconds)


def report(models: list[ZooModel], runtime: str, seconds: float) -> None:
    print(f"| model | {' ms | '.join(WAYS)} ms | {' | '.join(WAYS[1:])} | error |\n|{'---|' * 9}")
    rows = []
    for model in models:
        row = measured(model, runtime, seconds)
        rows.append(row)
        times = " | ".join(f"{1e3 * s:.3f}" for s in row.seconds)
        print(
            f"| {model.name} | {times} | {' | '.join(f'{r:.2f}' for r in row.ratios)} | {row.error:.1e} |", flush=True
        )
    means = [statistics.geometric_mean(row.ratios[i] for row in rows) for i in range(3)]
    print(f"| geometric mean | | | | | {' | '.join(f'{m:.3f}' for m in means)} | |")


def resnet50(folder: Path) -> ZooModel:
    """The bundled model, with random numbers for the weights that it comes without."""
    model = onnx.load(RESNET, load_external_data=False)
    facts = [{entry.key: entry.value for entry in t.external_data} for t in model.graph.initializer if t.external_data]
    size = max(int(fact.get("offset", 0)) + int(fact["length"]) for fact in facts)
    weights = np.random.default_rng(0).normal(0.0, 0.02, -(-size // 4)).astype(np.float32)
    (folder / facts[0]["location"]).write_bytes(weights.tobytes()[:size])
    shutil.copy(RESNET, folder)
    return ZooModel(folder / RESNET.name, {model.graph.input[0].name: {"dtype": "float32", "shape": [1, 3, 224, 224]}})


def measured(model: ZooModel, runtime: str, seconds: float) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "ours.onnx"
        export_onnx(load(str(model.path), model.options).module, exported, runtime)
        sessions = [session(path, optimise) for optimise in (False, True) for path in (model.path, exported)]
    feeds = model.feeds()
    given = [{info.name: feeds[info.name] for info in s.get_inputs()} for s in sessions]
    results = [s.run(None, feed) for s, feed in zip(sessions, given, strict=True)]
    times: list[list[float]] = [[] for _ in sessions]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 9:
        for mine, s, feed in zip(times, sessions, given, strict=True):
            start = time.perf_counter()
            s.run(None, feed)
            mine.append(time.perf_counter() - start)
    ratios = (statistics.median(a / b for a, b in zip(times[0], other, strict=True)) for other in times[1:])
    return Row(model.name, tuple(map(statistics.median, times)), tuple(ratios), worst(results[1], results[0]))


def session(path: Path, optimise: bool) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimise else levels.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def worst(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """Largest root mean square of the difference, as a part of that of the output."""
    pairs = [(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(ours, theirs, strict=True)]
    rms = [(np.sqrt(np.mean((a - b) ** 2)), np.sqrt(np.mean(b**2))) for a, b in pairs if a.size]
    return max((float(d / r) if r else float(d) for d, r in rms), default=0.0)


if __name__ == "__main__":
    main()
