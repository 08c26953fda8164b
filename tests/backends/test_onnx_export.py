"""Modules as ONNX models: what is exported gives the numbers of what was imported."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from onnx.reference import ReferenceEvaluator
from onnx_conformance import RANDOM, all_cases, is_close
from random_modules import modules, random_inputs
from zoo import zoo_models

from ircost.api import EXPORT_PIPELINE, export_onnx
from ircost.backends.onnx import to_onnx, write_onnx
from ircost.backends.onnx.tensors import TensorStore
from ircost.frontends import load
from ircost.frontends.onnx.backend import grouped, import_for
from ircost.ir import IrcError, Module, interpret
from ircost.ir.parser import parse_module
from ircost.passes import run_pipeline

onnxruntime = pytest.importorskip("onnxruntime")

EVERY = 6  # of the conformance cases one in so many is run; --conformance runs all
# Formats and operators that onnxruntime has no kernel for on processors; onnx's reference runs them.
LEAST_PART_RIGHT = 0.97


def outputs_of(model: onnx.ModelProto | str, feeds: dict[str, np.ndarray]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model if isinstance(model, str) else model.SerializeToString()
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return list(session.run(None, {info.name: feeds[info.name] for info in session.get_inputs()}))


def by_reference(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[Any]:
    return list(ReferenceEvaluator(model).run(None, feeds))


def run(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[Any]:
    """By onnxruntime, or by onnx's reference where that has no kernel."""
    try:
        return outputs_of(model, feeds)
    except Exception:  # of many classes, all its own
        return by_reference(model, feeds)


def exported_outputs(module: Module, inputs: list[np.ndarray], for_runtime: str = "") -> list[Any]:
    model = to_onnx(module, for_runtime)
    names = [info.name for info in model.graph.input]
    return run(model, dict(zip(names, inputs, strict=True)))


@pytest.mark.parametrize("for_runtime", ["", "onnxruntime", "onnxruntime:nchw16c"])
def test_conformance(for_runtime: str, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter()
    wrong = {}
    every = 1 if pytestconfig.getoption("--conformance") else EVERY
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for number, case in enumerate(all_cases()):
            if number % every or case.why_left_out is not None or case.operator in RANDOM:
                continue
            result = outcome_of_export(case, for_runtime)
            counts[result.split(":")[0]] += 1
            if result.split(":")[0] in ("wrong", "failed"):
                wrong[case.name] = result
    with capsys.disabled():
        print(f"\nexport of ONNX's conformance cases{f' for {for_runtime}' * bool(for_runtime)}: {dict(counts)}")
        for name, result in wrong.items():
            print(f"  {name}: {result[:200]}")
    assert counts["right"] >= LEAST_PART_RIGHT * (counts.total() - counts["refused"]), wrong


def outcome_of_export(case: Any, for_runtime: str) -> str:
    inputs, expected = case.data_sets[0]
    try:
        imported, given = import_for(case.model, inputs)
        run_pipeline(imported.module, EXPORT_PIPELINE)
        model = to_onnx(imported.module, for_runtime)
    except IrcError as error:
        return f"refused: {error.message}"
    try:
        results = run(model, dict(zip([i.name for i in model.graph.input], given, strict=True)))
    except Exception as error:
        return f"failed: {error}"
    names = [str(name) for name in imported.module.main.attrs["outputs"]]  # type: ignore[union-attr]
    whole = grouped([info.name for info in case.model.graph.output], names, results)
    same = len(whole) >= len(expected) and all(map(is_close(case), whole, expected))
    return "right" if same else "wrong"


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(modules())
def test_random_modules(module: Module) -> None:
    inputs = random_inputs(module.main)
    try:
        with np.errstate(all="ignore"):
            expected = interpret(module, inputs)
            actual = exported_outputs(module, inputs)
    except IrcError:
        return
    for ours, theirs in zip(actual, expected, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours.astype(np.float64), theirs.astype(np.float64), rtol=1e-3, atol=1e-4)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "zoo_model" in metafunc.fixturenames:
        models = zoo_models(metafunc.config.getoption("--zoo"))
        skipped = pytest.param(None, marks=pytest.mark.skip(reason="no models: give a folder of some by --zoo"))
        metafunc.parametrize("zoo_model", models or [skipped], ids=lambda m: m.name if m else "none")


@pytest.mark.parametrize("for_runtime", ["", "onnxruntime", "onnxruntime:nchw16c"])
def test_real_models(zoo_model: Any, for_runtime: str, tmp_path: Path) -> None:
    feeds = zoo_model.feeds()
    path = tmp_path / "ours.onnx"
    export_onnx(load(str(zoo_model.path), zoo_model.options).module, path, for_runtime)
    expected, actual = outputs_of(str(zoo_model.path), feeds), outputs_of(str(path), feeds)
    # Of quantised activations some fall on the other side of a step where sums are added up in another order.
    allowed = 0.1 if zoo_model.is_quantised and for_runtime else 5e-3
    for ours, theirs in zip(actual, expected, strict=True):
        error = np.sqrt(np.mean((ours.astype(np.float64) - theirs) ** 2))
        assert ours.shape == theirs.shape
        assert error <= allowed * np.sqrt(np.mean(theirs.astype(np.float64) ** 2)) + 1e-9


MLP = """
func @main(%x: 2x8xf32) -> 2x4xf32 attributes {inputs = ["in:0"], outputs = ["out"]} {
  %w = constant splat<0.5> : 8x4xf32
  %b = constant splat<0.25> : 4xf32
  %y = matmul %x, %w : 2x4xf32
  %z = add %y, %b : 2x4xf32
  %u = relu %z : 2x4xf32
  return %u
}
"""


def mlp() -> Module:
    return parse_module(MLP)


def test_names_and_operators() -> None:
    model = to_onnx(mlp())
    assert [node.op_type for node in model.graph.node] == ["Gemm", "Relu"]
    assert [i.name for i in (*model.graph.input, *model.graph.output)] == ["in:0", "out"]
    onnx.checker.check_model(model, full_check=True)


def test_the_module_stays_as_it_is() -> None:
    module = mlp()
    before = str(module)
    to_onnx(module)
    assert str(module) == before


def test_a_weight_without_values_is_an_error(tmp_path: Path) -> None:
    module = parse_module(MLP.split("  %u")[0].replace("splat<0.5>", 'missing<"a shape only">') + "  return %z\n}\n")
    with pytest.raises(IrcError, match="no values"):
        write_onnx(module, tmp_path / "out.onnx")
    assert not list(tmp_path.iterdir())


def test_unknown_runtimes_are_told(tmp_path: Path) -> None:
    with pytest.raises(IrcError, match="onnxruntim"):
        write_onnx(mlp(), tmp_path / "out.onnx", "onnxruntim")


def test_large_weights_lie_beside_the_model(tmp_path: Path) -> None:
    text = MLP.split("  %u")[0].replace("8x", "1024x") + "  return %z\n}\n"
    with (tmp_path / "big.onnx.data").open("wb") as file:
        model = to_onnx(parse_module(text), store=TensorStore(file, "big.onnx.data"))
    (tmp_path / "big.onnx").write_bytes(model.SerializeToString())
    x = np.ones((2, 1024), np.float32)
    assert (tmp_path / "big.onnx.data").stat().st_size >= 1024 * 16
    np.testing.assert_allclose(outputs_of(str(tmp_path / "big.onnx"), {"in:0": x})[0], 512.25)


STATEFUL = {
    "attention": """
func @main(%q: 1x4x3x8xf32, %k: 1x2x9x8xf32, %scale: 1x2x1x1xf32, %sinks: 4xf32) -> 1x4x3x8xf32 {
  %y = attention %q, %k, %k, %scale, %scale, %sinks
    {scale = 0.5, is_causal = true, window = 4, length = 7, has_scales = true, has_sinks = true}
  return %y
}""",
    "alibi": """
func @main(%q: 1x4x3x8xf32, %k: 1x2x9x8xf32, %slopes: 4xf32) -> 1x4x3x8xf32 {
  %y = attention %q, %k, %k, %slopes {scale = 0.5, is_causal = true, has_alibi = true}
  return %y
}""",
    "cache": """
func @main(%k: 1x2x9x8xf32, %v: 1x2x9x8xf32, %x: 1x2x2x8xf32) -> (1x2x9x8xf32, 1x2x9x8xf32) {
  %keys, %values = update_cache %k, %v, %x, %x {at = 7}
  return %keys, %values
}""",
    "delta": """
func @main(%q: 2x5x2x4xf32, %v: 2x5x4x3xf32, %g: 2x5x4xf32, %state: 2x4x4x3xf32) -> (2x5x4x3xf32, 2x4x4x3xf32) {
  %y, %last = gated_delta_rule %q, %q, %v, %g, %g, %state {scale = 0.5, has_state = true}
  return %y, %last
}""",
    "mamba": """
func @main(%x: 2x5x6xf32, %w: 6x4xf32, %a: 6x3xf32, %b: 2x5x3xf32) -> (2x5x6xf32, 2x6x3xf32) {
  %c, %window = causal_conv1d %x, %w
  %y, %last = selective_scan %c, %x, %a, %b, %b
  return %y, %last
}""",
    "router": """
func @main(%x: 5x8xf32, %bias: 8xf32) -> (5x2xf32, 5x2xi64) {
  %shares, %experts = expert_routing %x, %bias
    {k = 2, score = "sigmoid", groups = 4, chosen_groups = 2, best_of_group = 2, has_bias = true}
  return %shares, %experts
}""",
    "token": """
func @main(%x: 5x8xf32) -> 5xi64 {
  %half = constant splat<0.5> : 5xf32
  %token = sample_token %x, %half {k = 4, top_p = 0.8}
  return %token
}""",
}


@pytest.mark.parametrize("name", STATEFUL)
def test_layers_of_language_models(name: str) -> None:
    module = parse_module(STATEFUL[name])
    inputs = random_inputs(module.main, seed=3)
    for ours, theirs in zip(interpret(module, inputs), exported_outputs(module, inputs), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
