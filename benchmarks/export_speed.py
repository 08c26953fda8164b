"""Exported models against their originals in onnxruntime.

    python -m benchmarks.export_speed FOLDER [FOLDER ...] [--only NAME ...] [--write]

Folders hold models with their indexes, as for `pytest --zoo`. Ways to run each: the original; ours, of standard
operators, for onnxruntime, and for this processor; the original under onnxruntime's own optimiser; two of ours under
it. One thread, and its own time, so that other programs do not count; the ways take turns, so that whatever else slows
the machine meets all. Each ratio is the median of paired runs, over several sets of sessions, since one that reads its
weights from main memory is faster or slower by a tenth by where they happen to lie. The table goes into docs/export.md
by `--write`.
"""

from __future__ import annotations

import argparse
import gc
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from zoo import ZooModel, zoo_models

from ircost.api import export_onnx
from ircost.frontends import load

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/export.md"
RESNET = ROOT / "datasets/models/resnet50.onnx"
BEGIN, END = "<!-- table: benchmarks/export_speed.py -->", "<!-- end of table -->"
SLOWER = 0.97
SETS = 3
LEAST_ROUNDS = 5  # in a set
FOR_PROCESSOR = ("onnxruntime:nchw16c", "onnxruntime:nchw8c")
# Columns: whose file, and whether onnxruntime's optimiser runs.
ORIGINAL, STANDARD, RUNTIME, PROCESSOR = "original", "standard", "runtime", "processor"
WAYS = (
    (ORIGINAL, False),
    (STANDARD, False),
    (RUNTIME, False),
    (PROCESSOR, False),
    (ORIGINAL, True),
    (STANDARD, True),
    (PROCESSOR, True),
)
HEAD = """\
| model | original ms | standard | runtime | processor | its optimiser | standard + its | processor + its | error |
|---|--:|--:|--:|--:|--:|--:|--:|--:|"""


@dataclass(frozen=True, slots=True)
class Row:
    """One model.

    Args:
        original_s: of the original.
        ratios: the original's time over that of each other way, in the order of ``WAYS``.
        error: largest root mean square of a difference of ours from the original, as a part of the output's.
    """

    name: str
    original_s: float
    ratios: tuple[float, ...]
    error: float

    def cells(self) -> list[str]:
        return [self.name, f"{1e3 * self.original_s:.3f}", *(f"{r:.2f}" for r in self.ratios), f"{self.error:.0e}"]


def main(folders: list[str], only: list[str], seconds: float, write: bool) -> None:
    print(HEAD)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        models = [resnet50(Path(scratch)), *(model for folder in folders for model in zoo_models(folder))]
        for model in models:
            if not only or model.name in only:
                rows.append(measured(model, seconds))
                print(f"| {' | '.join(rows[-1].cells())} |", flush=True)
                gc.collect()
    table = [HEAD, *(f"| {' | '.join(row.cells())} |" for row in rows), *summary(rows)]
    print("\n".join(table[len(rows) + 1 :]))
    if write:
        page = PAGE.read_text()
        head, tail = page.split(BEGIN)[0], page.split(END)[1]
        PAGE.write_text("\n".join([head + BEGIN, *table, END]) + tail)


def summary(rows: list[Row]) -> Iterator[str]:
    columns = list(zip(*(row.ratios for row in rows), strict=True))
    yield f"| geometric mean | | {' | '.join(f'{statistics.geometric_mean(c):.3f}' for c in columns)} | |"
    yield f"| slower by over 3 % | | {' | '.join(str(sum(r < SLOWER for r in c)) for c in columns)} | |"
    yield ""
    yield f"{len(rows)} models."


def resnet50(folder: Path) -> ZooModel:
    """The bundled model, with random numbers for the weights that it comes without."""
    model = onnx.load(RESNET, load_external_data=False)
    facts = [{entry.key: entry.value for entry in t.external_data} for t in model.graph.initializer if t.external_data]
    size = max(int(fact.get("offset", 0)) + int(fact["length"]) for fact in facts)
    weights = np.random.default_rng(0).normal(0.0, 0.02, -(-size // 4)).astype(np.float32)
    (folder / facts[0]["location"]).write_bytes(weights.tobytes()[:size])
    place = folder / "resnet50_bundled.onnx"
    shutil.copy(RESNET, place)
    return ZooModel(place, {model.graph.input[0].name: {"dtype": "float32", "shape": [1, 3, 224, 224]}})


def measured(model: ZooModel, seconds: float) -> Row:
    feeds = model.feeds()
    times: list[list[float]] = [[] for _ in WAYS]
    with tempfile.TemporaryDirectory() as folder:
        paths = {ORIGINAL: model.path, **exported(model, Path(folder))}
        for _ in range(SETS):
            sessions = [session(paths[whose], optimise) for whose, optimise in WAYS]
            given = [{info.name: feeds[info.name] for info in s.get_inputs()} for s in sessions]
            results = [s.run(None, feed) for s, feed in zip(sessions, given, strict=True)]
            for all_of_way, these in zip(times, taking_turns(sessions, given, seconds / SETS), strict=True):
                all_of_way += these
    ratios = (statistics.median(a / b for a, b in zip(times[0], other, strict=True)) for other in times[1:])
    error = max(difference(ours, results[0]) for ours in results[1:4])
    return Row(model.name, statistics.median(times[0]), tuple(ratios), error)


def exported(model: ZooModel, folder: Path) -> dict[str, Path]:
    """Ours; for this processor the first kind of blocks whose guard lets it run."""
    paths = {STANDARD: folder / "standard.onnx", RUNTIME: folder / "runtime.onnx", PROCESSOR: folder / "processor.onnx"}
    for whose, runtime in ((STANDARD, ""), (RUNTIME, "onnxruntime"), (PROCESSOR, blocks_here(folder))):
        export_onnx(load(str(model.path), model.options).module, paths[whose], runtime)
    return paths


def blocks_here(folder: Path) -> str:
    from ircost.ir.parser import parse_module

    text = """
    func @main(%x: 1x64x56x56xf32) -> 1x64x56x56xf32 {
      %w = constant splat<0.5> : 64x64x3x3xf32
      %y = conv %x, %w {strides = [1, 1], dilations = [1, 1], pads = [[1, 1], [1, 1]]}
      %z = conv %y, %w {strides = [1, 1], dilations = [1, 1], pads = [[1, 1], [1, 1]]}
      return %z
    }
    """
    for runtime in FOR_PROCESSOR:
        export_onnx(parse_module(text), folder / "probe.onnx", runtime)
        try:
            session(folder / "probe.onnx", False).run(None, {"input_x": np.zeros((1, 64, 56, 56), np.float32)})
        except Exception:  # of many classes, all onnxruntime's own
            continue
        return runtime
    return "onnxruntime"


def taking_turns(sessions: list[Any], given: list[dict[str, np.ndarray]], seconds: float) -> list[list[float]]:
    times: list[list[float]] = [[] for _ in sessions]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < LEAST_ROUNDS:
        for mine, s, feed in zip(times, sessions, given, strict=True):
            start = time.thread_time()
            s.run(None, feed)
            mine.append(time.thread_time() - start)
    return times


def session(path: Path, optimise: bool) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimise else levels.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def difference(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """Largest root mean square of the difference, as a part of that of the output."""
    pairs = [(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(ours, theirs, strict=True)]
    rms = [(np.sqrt(np.mean((a - b) ** 2)), np.sqrt(np.mean(b**2))) for a, b in pairs if a.size]
    return max((float(d / r) if r else float(d) for d, r in rms), default=0.0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--seconds", type=float, default=6.0, help="of runs for each model")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    main(arguments.folders, arguments.only, arguments.seconds, arguments.write)
