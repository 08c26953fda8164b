"""Real models against onnxruntime, before and after rewriting. Needs ``--zoo DIR``."""

from __future__ import annotations

import numpy as np
import pytest
from zoo import ZooModel, zoo_models

from ircost.frontends import load
from ircost.ir import Module, interpret
from ircost.ir.parser import parse_module
from ircost.ir.verify import verify
from ircost.passes import run_pipeline

PIPELINES = ["canonicalize", "recognise,fold-batch-norm,fuse"]  # one after the other
RTOL, ATOL = 1e-3, 1e-4
HALF_RTOL, HALF_ATOL = 1e-2, 5e-3
# A rounded value that falls on the other side changes all behind it. onnxruntime with and without its optimisations
# differs from itself by 7.7 % of the output's root mean square on mobilenetv2_qdq; from onnx's reference by 0.5 % on
# bert_small_int8.
QUANTISED_PART = 0.08


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    models = zoo_models(metafunc.config.getoption("--zoo"))
    reason = "no models: give a folder of some, with its index, by --zoo"
    parameters = models or [pytest.param(None, marks=pytest.mark.skip(reason=reason))]
    metafunc.parametrize("model", parameters, ids=lambda model: model.name if model else "none")


def test_outputs_are_those_of_onnxruntime(model: ZooModel) -> None:
    imported = load(str(model.path), model.options)
    module, feeds = imported.module, model.feeds()
    verify(module)
    expected = outputs_of_onnxruntime(model, feeds)
    ops = [sum(1 for _ in module.walk())]
    errors = [worst_error(model, module, feeds, expected)]
    for pipeline in PIPELINES:
        run_pipeline(module, pipeline)
        ops.append(sum(1 for _ in module.walk()))
        errors.append(worst_error(model, module, feeds, expected))
    worst = ", ".join(f"{error:.1e}" for error in errors)
    print(f"\n{model.name}: {imported.nodes} nodes, ops {ops}, worst errors {worst}")


def outputs_of_onnxruntime(model: ZooModel, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """As the nodes say: optimisations of onnxruntime round half-precision and quantised models in other places."""
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if model.is_quantised or model.is_half:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(model.path), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, feeds))


def worst_error(model: ZooModel, module: Module, feeds: dict[str, np.ndarray], expected: list[np.ndarray]) -> float:
    """Largest difference; fails beyond the tolerance, or where the printed module does not read back."""
    text = str(module)
    assert str(parse_module(text)) == text
    names = module.main.attrs["inputs"]
    assert isinstance(names, tuple)
    actual = interpret(module, [feeds[str(name)] for name in names])
    pairs = [(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(actual, expected, strict=True)]
    for ours, theirs in pairs:
        assert ours.shape == theirs.shape
        if model.is_quantised:
            assert rms(ours - theirs) <= QUANTISED_PART * rms(theirs)
        else:
            rtol, atol = (HALF_RTOL, HALF_ATOL) if model.is_half else (RTOL, ATOL)
            np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)
    return max(float(np.abs(a - b).max()) for a, b in pairs if a.size)


def rms(array: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(array))))
