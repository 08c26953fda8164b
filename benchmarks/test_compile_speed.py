"""`irc compile` against `onnx.load` plus shape inference on the same file, as ratios in one run.

    python -m pytest benchmarks --zoo DIR -s

DIR holds exported models; generated graphs are always measured. Two ratios are printed, and stand in the JSON of
`--benchmark-json`:

- first: the first call of a process, as on the command line; start-up of the interpreter and imports are left out;
- again: later calls in one process, as in a sweep. Both sides have set up by then what they set up once.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ircost

MODELS = [
    *("resnet50", "resnet50_ts", "mobilenetv2", "efficientnet_b0", "vit_base", "bert_base", "bert_base_ts"),
    *("gpt2", "llama_2layers", "lstm_tagger", "ppocr_rec", "mtcnn_p"),
]
SHAPES = {"ppocr_rec": {"x": (1, 3, 48, 320)}, "mtcnn_p": {"input_1": (1, 120, 160, 3)}}
ROOT = Path(__file__).resolve().parents[1]
PROCESSES = 3
ROUNDS = 7
ROUNDS_OF_LARGE = 3
LARGE_BYTES = 300_000_000


def median_s(run: Callable[[], object], rounds: int) -> float:
    """Median wall time of one run, after one that warms up."""
    run()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def first_call_s(which: str, name: str, path: Path) -> float:
    """Median over processes of what `first_call.py` prints."""
    bindings = [f"{key}={','.join(map(str, shape))}" for key, shape in SHAPES.get(name, {}).items()]
    command = [sys.executable, "-m", "benchmarks.first_call", which, str(path.resolve()), *bindings]
    runs = [subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT) for _ in range(PROCESSES)]
    return statistics.median(float(run.stdout) for run in runs)


def load_and_infer(path: Path) -> object:
    import onnx

    return onnx.shape_inference.infer_shapes(onnx.load(path))


@pytest.mark.parametrize("name", MODELS)
def test_compile_against_load_and_inference(name: str, benchmark: Any, pytestconfig: pytest.Config) -> None:
    zoo = pytestconfig.getoption("--zoo")
    path = Path(zoo or "") / f"{name}.onnx"
    if zoo is None or not path.exists():
        pytest.skip(f"{name}.onnx is not there: give its folder by --zoo")
    rounds = ROUNDS_OF_LARGE if path.stat().st_size > LARGE_BYTES else ROUNDS
    first_s, first_reference_s = (first_call_s(which, name, path) for which in ("compile", "infer"))
    again_reference_s = median_s(lambda: load_and_infer(path), rounds)
    report = benchmark.pedantic(
        ircost.compile, (path, "h100"), {"shapes": SHAPES.get(name, {})}, rounds=rounds, warmup_rounds=1
    )
    again_s = benchmark.stats.stats.median
    first, again = first_s / first_reference_s, again_s / again_reference_s
    benchmark.extra_info.update(first_ratio=first, again_ratio=again, nodes=report.nodes)
    print(f"\n{name:16} {report.nodes:5} nodes, ours / reference in ms:", end="")
    print(f"  first {first_s * 1e3:7.1f} / {first_reference_s * 1e3:7.1f} = {first:5.2f}", end="")
    print(f"  again {again_s * 1e3:7.1f} / {again_reference_s * 1e3:7.1f} = {again:5.2f}")


@pytest.mark.parametrize("nodes", [1_000, 10_000, 100_000])
def test_compile_of_generated_graphs(nodes: int, benchmark: Any, tmp_path: Path) -> None:
    """Time per node should stay level: compare the three rows."""
    import onnx
    from generated_graph import transformer_like

    path = tmp_path / "generated.onnx"
    onnx.save(transformer_like(nodes), path)
    report = benchmark.pedantic(ircost.compile, (path, "h100"), rounds=1, warmup_rounds=0 if nodes > 10_000 else 1)
    per_node_s = benchmark.stats.stats.median / report.nodes
    benchmark.extra_info.update(per_node_s=per_node_s)
    print(f"\n{report.nodes:7} nodes  {benchmark.stats.stats.median:8.2f} s  {per_node_s * 1e6:7.1f} us a node")
