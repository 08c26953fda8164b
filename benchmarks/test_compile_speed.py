"""`irc compile` against `onnx.load` plus shape inference on the same file, as ratios in one run.

    python -m pytest benchmarks --zoo DIR

DIR holds exported models; the bundled one is always measured. Interpreter start-up is left out.
The ratio is printed, and stands in the JSON of `--benchmark-json`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ircost

BUNDLED = Path(__file__).resolve().parents[1] / "datasets" / "models" / "resnet50.onnx"
MODELS = (
    *("resnet50", "resnet50_ts", "mobilenetv2", "efficientnet_b0", "vit_base", "bert_base", "bert_base_ts"),
    *("gpt2", "llama_2layers", "lstm_tagger", "ppocr_rec", "mtcnn_p"),
)
SHAPES = {"ppocr_rec": {"x": (1, 3, 48, 320)}, "mtcnn_p": {"input_1": (1, 120, 160, 3)}}
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


def load_and_infer(path: Path) -> object:
    import onnx

    return onnx.shape_inference.infer_shapes(onnx.load(path))


def model_path(name: str, zoo: str | None) -> Path:
    if name == "bundled":
        return BUNDLED
    path = Path(zoo or "") / f"{name}.onnx"
    if zoo is None or not path.exists():
        pytest.skip(f"{name}.onnx is not there: give its folder by --zoo")
    return path


@pytest.mark.parametrize("name", ["bundled", *MODELS])
def test_compile_against_load_and_inference(name: str, benchmark: Any, pytestconfig: pytest.Config) -> None:
    path = model_path(name, pytestconfig.getoption("--zoo"))
    rounds = ROUNDS_OF_LARGE if path.stat().st_size > LARGE_BYTES else ROUNDS
    if name == "bundled":  # its weights are not shipped, and onnx.load insists on them
        import onnx

        reference_s = median_s(
            lambda: onnx.shape_inference.infer_shapes(onnx.load(path, load_external_data=False)), rounds
        )
    else:
        reference_s = median_s(lambda: load_and_infer(path), rounds)
    report = benchmark.pedantic(
        ircost.compile, (path, "h100"), {"shapes": SHAPES.get(name, {})}, rounds=rounds, warmup_rounds=1
    )
    ours_s = benchmark.stats.stats.median
    benchmark.extra_info.update(ratio=ours_s / reference_s, reference_s=reference_s, nodes=report.nodes)
    ratio = ours_s / reference_s
    print(
        f"\n{name:16} {report.nodes:6} nodes  {ours_s * 1e3:9.1f} ms  "
        f"load+infer {reference_s * 1e3:9.1f} ms  ratio {ratio:.2f}"
    )


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
