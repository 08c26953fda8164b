"""Real models against onnxruntime, before and after rewriting. Needs ``--zoo DIR``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ircost.frontends import ImportOptions, load
from ircost.ir import Module, interpret
from ircost.ir.parser import parse_module
from ircost.ir.verify import verify
from ircost.passes import run_pipeline

MODELS = [
    *("resnet50", "resnet50_ts", "mobilenetv2", "efficientnet_b0", "vit_base", "bert_base", "bert_base_ts"),
    *("gpt2", "llama_2layers", "lstm_tagger", "ppocr_rec", "mtcnn_p"),
]
RTOL, ATOL = 1e-3, 1e-4
PIPELINES = ["canonicalize", "fold-batch-norm,fuse"]  # one after the other


def zoo_row(folder: Path, name: str) -> dict[str, Any]:
    for index in ("zoo.json", "packaged.json"):
        if (folder / index).exists():
            for row in json.loads((folder / index).read_text()):
                if Path(row["file"]).stem == name:
                    return dict(row["inputs"])
    raise LookupError(f"no index in {folder} lists {name}")


def random_feeds(inputs: dict[str, Any]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    feeds = {}
    for name, facts in inputs.items():
        dtype = np.dtype(facts["dtype"])
        if dtype.kind in "iu":
            feeds[name] = random.integers(0, 99, facts["shape"]).astype(dtype)
        else:
            feeds[name] = random.standard_normal(facts["shape"]).astype(dtype)
    return feeds


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_those_of_onnxruntime(name: str, pytestconfig: pytest.Config) -> None:
    folder = pytestconfig.getoption("--zoo")
    if folder is None or not (Path(folder) / f"{name}.onnx").exists():
        pytest.skip(f"{name}.onnx is not there: give its folder by --zoo")
    onnxruntime = pytest.importorskip("onnxruntime")
    path = str(Path(folder) / f"{name}.onnx")
    inputs = zoo_row(Path(folder), name)
    shapes = {key: tuple(facts["shape"]) for key, facts in inputs.items() if facts.get("dynamic")}
    imported = load(path, ImportOptions(shapes=shapes))
    module = imported.module
    verify(module)
    feeds = random_feeds(inputs)
    expected = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, feeds)
    ops = [sum(1 for _ in module.walk())]
    errors = [worst_error(module, feeds, expected)]
    for pipeline in PIPELINES:
        run_pipeline(module, pipeline)
        ops.append(sum(1 for _ in module.walk()))
        errors.append(worst_error(module, feeds, expected))
    print(f"\n{name}: {imported.nodes} nodes, ops {ops}, worst errors {', '.join(f'{error:.1e}' for error in errors)}")


def worst_error(module: Module, feeds: dict[str, np.ndarray], expected: list[np.ndarray]) -> float:
    """Largest difference; fails beyond the tolerance, or where the printed module does not read back."""
    text = str(module)
    assert str(parse_module(text)) == text
    names = module.main.attrs["inputs"]
    assert isinstance(names, tuple)
    actual = interpret(module, [feeds[str(name)] for name in names])
    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=RTOL, atol=ATOL)
    return max(float(np.abs(a.astype(np.float64) - b).max()) for a, b in zip(actual, expected, strict=True) if a.size)
