"""YAML graphs: what they build, what they cost, and one message for each mistake, with place and cure."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import ircost
from ircost.frontends import load
from ircost.frontends.imported import ImportOptions
from ircost.frontends.yaml.expression import evaluate
from ircost.frontends.yaml.importer import import_yaml_text
from ircost.frontends.yaml.schema import graph_schema
from ircost.ir import interpret
from ircost.ir.constant import literal
from ircost.ir.errors import IrcError
from ircost.ir.graph import Module
from ircost.ir.numpy_dtypes import numpy_dtype
from ircost.ir.parser import parse_module
from ircost.ir.printer import print_module
from ircost.ir.verify import verify

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
RESNET_ONNX = ROOT / "datasets/models/resnet50.onnx"


def network(text: str, **options: Any) -> Module:
    module = import_yaml_text(text, ImportOptions(**options)).module
    verify(module)
    return module


def result(text: str, **options: Any) -> str:
    """Types of what a network returns."""
    return ", ".join(str(value.type) for value in network(text, **options).main.results)


def on(shape: str, layers: str) -> str:
    return result(f"{{inputs: {{x: [{shape}]}}, layers: [{layers}]}}")


def refusal(text: str, **options: Any) -> str:
    with pytest.raises(IrcError) as caught:
        import_yaml_text(text, ImportOptions(**options), "net.yaml")
    return caught.value.render()


def filled(module: Module) -> Module:
    """The same with values for weights."""
    generator = np.random.default_rng(0)
    for op in module.walk():
        if op.name == "constant" and "YAML" in str(op.attrs["value"]):
            type = op.result.type
            values = np.abs(generator.standard_normal(type.shape)).astype(numpy_dtype(type.dtype))
            op.attrs = {"value": literal(values)}
    return module


# ---- examples


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_compiles(path: Path) -> None:
    dims = {"seq": 64} if path.stem == "transformer" else {"batch": 2}
    report = ircost.compile(path, "h100", dims=dims)
    assert report.latency_s > report.lower_bound_s > 0
    assert not report.unknown


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_survives_its_text(path: Path) -> None:
    module = load(path, ImportOptions(dims={"seq": 16} if path.stem == "transformer" else {})).module
    text = print_module(module)
    assert print_module(parse_module(text, "text")) == text


def test_resnet50_equals_the_onnx_file() -> None:
    path = ROOT / "examples/resnet50.yaml"
    assert len(path.read_text().splitlines()) < 80
    ours = ircost.compile(path, "h100", dims={"batch": 8})
    theirs = ircost.compile(RESNET_ONNX, "h100", dims={"N": 8})
    assert (ours.macs, ours.flops, ours.weights_bytes) == (theirs.macs, theirs.flops, theirs.weights_bytes)
    assert ours.latency_s == pytest.approx(theirs.latency_s, rel=0.01)


@pytest.mark.parametrize(
    ("example", "weights", "source"),
    [
        ("resnet50", 25_530_472, "torchvision's 25,557,032 less 2 x 26,560 of batch norms, plus 26,560 biases"),
        ("mobilenet_v2", 3_487_816, "torchvision's 3,504,872 less 2 x 17,056 of batch norms, plus 17,056 biases"),
    ],
)
def test_parameters_are_the_published_ones(example: str, weights: int, source: str) -> None:
    report = ircost.compile(ROOT / f"examples/{example}.yaml", "h100")
    assert report.weights_bytes == pytest.approx(4 * weights, abs=64), source


# ---- blocks and repeats


LAYER_OF_4 = """
inputs: {x: [2, 8]}
blocks:
  deep: {params: [width], layers: [{linear: width}, relu, {linear: 8}]}
layers:
  - deep: 16
    repeat: 4
"""


def test_a_repeated_block_is_one_function_with_weights_of_each() -> None:
    module = network(LAYER_OF_4)
    assert list(module.functions) == ["deep", "main"]
    assert [op.name for op in module.main.walk()].count("call") == 4
    weights = [op.result.type.elements for op in module.main.walk() if op.name == "constant"]
    assert sum(weights) == 4 * (8 * 16 + 16 + 16 * 8 + 8)


def test_equal_weights_are_not_merged_and_equal_layers_cost_once() -> None:
    report = ircost.compile(import_yaml_text(LAYER_OF_4), "h100")
    assert report.weights_bytes == 4 * 4 * (8 * 16 + 16 + 16 * 8 + 8)
    assert report.distinct_kernels < 4 * 2


def test_other_params_or_types_are_other_functions() -> None:
    text = LAYER_OF_4.replace("repeat: 4", "repeat: 2") + "  - deep: 32\n  - linear: 12\n  - deep: 16\n"
    assert list(network(text).functions) == ["deep", "deep_2", "deep_3", "main"]


def test_a_block_with_a_batch_norm_is_laid_out_so_that_it_folds() -> None:
    text = "{inputs: {x: [1, 4, 8, 8]}, layers: [{layers: [conv: {out: 4, bias: false}, batch_norm], repeat: 2}]}"
    assert list(network(text).functions) == ["main"]
    report = ircost.compile(import_yaml_text(text), "h100")
    assert [kernel.op for kernel in report.kernels] == ["conv+add", "conv+add"]


def test_index_counts_repeats() -> None:
    assert on("1, 4", "{linear: 8 * 2**i, repeat: 3, index: i}") == "1x32xf32"


def test_a_call_means_its_layers() -> None:
    """The same network by a block and written out gives the same numbers."""
    written_out = "{inputs: {x: [2, 8]}, layers: [" + "linear: 16, relu, linear: 8, " * 4 + "]}"
    written_out = written_out.replace("linear: 16", "{linear: 16}").replace("linear: 8,", "{linear: 8},")
    x = np.random.default_rng(1).standard_normal((2, 8)).astype(np.float32)
    called, flat = (interpret(filled(network(text)), [x])[0] for text in (LAYER_OF_4, written_out))
    np.testing.assert_allclose(called, flat, rtol=1e-5)


# ---- layers


@pytest.mark.parametrize(
    ("shape", "layers", "expected"),
    [
        ("2, 3, 9, 9", "conv: {out: 8, kernel: 3}", "2x8x9x9xf32"),
        ("2, 3, 9, 9", "conv: {out: 8, kernel: 3, stride: 2}", "2x8x5x5xf32"),
        ("2, 3, 9, 9", "conv: {out: 8, kernel: [3, 1], pad: 0}", "2x8x7x9xf32"),
        ("2, 3, 9, 9", "conv: {out: 8, kernel: 3, dilation: 2}", "2x8x9x9xf32"),
        ("2, 4, 9", "conv: {out: 8, kernel: 2, groups: 2}", "2x8x9xf32"),
        ("2, 4, 9, 9", "depthwise_conv: {multiplier: 2}", "2x8x9x9xf32"),
        ("2, 4, 9, 9", "conv_transpose: {out: 3}", "2x3x18x18xf32"),
        ("2, 4, 9, 9", "max_pool", "2x4x4x4xf32"),
        ("2, 4, 9, 9", "avg_pool: {kernel: 3, stride: 2, pad: 1}", "2x4x5x5xf32"),
        ("2, 4, 9, 9", "global_avg_pool: {keep_axes: true}", "2x4x1x1xf32"),
        ("2, 4, 9, 9", "upsample: 3", "2x4x27x27xf32"),
        ("2, 4, 9, 9", "upsample: {scale: 2, mode: linear}", "2x4x18x18xf32"),
        ("2, 4, 9, 9", "flatten", "2x324xf32"),
        ("2, 4, 9, 9", "group_norm: 2", "2x4x9x9xf32"),
        ("2, 6, 8", "layer_norm, rms_norm", "2x6x8xf32"),
        ("2, 6, 8", "attention: {heads: 4, kv_heads: 2, causal: true, rotary: true}", "2x6x8xf32"),
        ("2, 6, 8", "mlp: 32", "2x6x8xf32"),
        ("2, 6, 8", "mlp: {hidden: 32, gated: true, activation: silu, out: 4}", "2x6x4xf32"),
        ("2, 6, 8", "lstm: {hidden: 16, layers: 2, bidirectional: true}", "2x6x32xf32"),
        ("2, 6, 8", "gru: 16", "2x6x16xf32"),
        ("2, 6, 8", "rnn: 16", "2x6x16xf32"),
        ("2, 6, 8", "position_embedding", "2x6x8xf32"),
        ("2, 6, 8", "select: -1", "2x8xf32"),
        ("2, 6, 8", "mean: 1", "2x8xf32"),
        ("2, 6, 8", "reshape: [2, -1, 4]", "2x12x4xf32"),
        ("2, 6, 8", "parallel: {branches: [[], [linear: 8]]}", "2x12x8xf32"),
        ("2, 6, 8", "transpose: {perm: [0, 2, 1]}", "2x8x6xf32"),
        ("2, 6, 8", "softmax: -1, hard_swish, cast: f16", "2x6x8xf16"),
        ("2, 6, 8", "{split: 2, name: [a, b]}, {add: , from: [a, b]}", "2x3x8xf32"),
        ("2, 6, 8", "{weight: {shape: [8]}, name: w}, {mul: , from: [x, w]}", "2x6x8xf32"),
        ("2, 6, 8", "{fill: 0.5, name: half}, {mul: , from: [x, half]}, relu6", "2x6x8xf32"),
    ],
)
def test_layer(shape: str, layers: str, expected: str) -> None:
    assert on(shape, layers) == expected


def test_attention_reads_a_second_input_and_hides_what_is_behind() -> None:
    text = "{inputs: {x: [1, 3, 8], m: [1, 5, 4]}, layers: [{attention: {heads: 2}, from: [x, m]}]}"
    assert result(text) == "1x3x8xf32"
    causal = filled(network("{inputs: {x: [1, 4, 8]}, layers: [attention: {heads: 2, causal: true, rotary: true}]}"))
    x = np.random.default_rng(0).standard_normal((1, 4, 8)).astype(np.float32)
    changed = x.copy()
    changed[0, 3] += 1
    before, after = (interpret(causal, [v])[0] for v in (x, changed))
    np.testing.assert_array_equal(before[0, :3], after[0, :3])
    assert not np.allclose(before[0, 3], after[0, 3])


def test_upsample_repeats_elements() -> None:
    module = network("{inputs: {x: [1, 1, 2]}, layers: [upsample: 2]}")
    found = interpret(module, [np.array([[[1, 2]]], np.float32)])[0]
    np.testing.assert_array_equal(found, [[[1, 1, 2, 2]]])


# ---- dims and params


SWEPT = "{params: {width: 16, half: width/2}, inputs: {x: [batch, seq, width]}, layers: [linear: half]}"


def test_dims_and_params_bind_by_name() -> None:
    assert result(SWEPT, dims={"seq": 3}) == "1x3x8xf32"
    assert result(SWEPT, dims={"seq": 3, "batch": 2, "width": 32}) == "2x3x16xf32"
    assert result(SWEPT, shapes={"x": (4, 5, 16)}) == "4x5x8xf32"


def test_a_leading_dim_becomes_1_with_a_note() -> None:
    imported = import_yaml_text(SWEPT, ImportOptions(dims={"seq": 3}))
    assert imported.batch_dims == {"batch": 1}
    assert "--dim batch=" in imported.notes[0]


@given(st.integers(-50, 50), st.integers(1, 50))
def test_expressions_are_arithmetic(a: int, b: int) -> None:
    for text in ("a + 2*b", "(a - b) * 3", "a // b", "a % b", "max(a, b) - min(a, b)", "-a"):
        assert evaluate(text, {"a": a, "b": b}) == eval(text, {"a": a, "b": b, "max": max, "min": min})
    assert evaluate("a*b/b", {"a": a, "b": b}) == a


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "a.b",
        "[1]",
        "a if a else a",
        "lambda: 1",
        "9**9**9",
        "1/0",
        "(" * 150,
        "x" * 300,
        "'a'*9",
        "1<2",
    ],
)
def test_what_is_no_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        evaluate(text, {"a": 2})


# ---- mistakes


@pytest.mark.parametrize(
    ("layers", "said", "at"),
    [
        ("- covn: {out: 4}", ["no layer 'covn'", "conv"], "4:5"),
        ("- conv: {out: 4, kernal: 3}", ["conv: no setting 'kernal'", "kernel"], "4:20"),
        ("- conv: {kernel: 3}", ["'out' is missing", "channels of the result"], "4:5"),
        ("- conv: {out: 4.5}", ["out: 4.5", "whole number"], "4:12"),
        ("- conv: {out: widht}", ["no param or dim 'widht'", "width"], "4:12"),
        ("- conv: {out: 0}", ["1 or more"], "4:12"),
        ("- conv: {out: 4, groups: 2}", ["conv 'conv_1'", "3 channels to 4", "2 groups"], "4:5"),
        ("- conv: {out: 4, bias: maybe}", ["neither true nor false"], "4:20"),
        ("- conv: {out: 4, kernel: [3, 3, 3]}", ["kernel has 3 numbers", "2 spatial axes"], "4:5"),
        ("- relu:\n    from: imge", ["no layer or input is called 'imge'", "image"], "5:5"),
        ("- add", ["takes 2 or more values, 1 given", "from:"], "4:5"),
        ("- conv: {out: 4}\n    relu:", ["once", "conv, relu"], "4:5"),
        ("- transpose: {prem: [0, 1]}", ["transpose: no setting 'prem'", "perm"], "4:17"),
        ("- transpose: {perm: [0, 1]}", ["not a permutation"], "4:5"),
        ("- residual: [conv: {out: 4}]", ["layers give 1x4x8x8xf32", "shortcut"], "4:5"),
        ("- relu:\n    name: image", ["two values are called 'image'"], "5:5"),
        ("- relu:\n    repeat: none", ["no param or dim 'none'"], "5:5"),
        ("- relu:\n    repeat: 10**9", ["whole number"], "5:5"),
        ("- embedding: {count: 4, width: 4}", ["whole numbers expected", "i64"], "4:5"),
        ("- softmax: {axis: 9}", ["softmax"], "4:5"),
        ("- upsample: 10**12", ["at most"], "4:5"),
        ("- lstm: 4", ["[batch, steps, width]"], "4:5"),
    ],
)
def test_mistake_in_a_layer(layers: str, said: list[str], at: str) -> None:
    text = f"params: {{width: 4}}\ninputs: {{image: [batch, 3, 8, 8]}}\nlayers:\n  {layers}\n"
    message = refusal(text)
    assert all(part in message for part in said), message
    assert f"net.yaml:{at}" in message, message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("inputs: {x: [2]}", ["'layers' is missing"]),
        ("inputs: {x: [2]}\nlayers: []\nlayer: []", ["no key 'layer'", "layers"]),
        ("inputs: {x: 3}\nlayers: []", ["a list of extents"]),
        ("inputs: {}\nlayers: []", ["one input or more"]),
        ("inputs: {x: [2, n, m]}\nlayers: []", ["unbound dims: n, m", "--dim n=... --dim m=..."]),
        ("inputs: {x: [2]}\ndtype: fp16\nlayers: []", ["no number format 'fp16'", "f16"]),
        ("inputs: {x: [0]}\nlayers: []", ["whole number from 1"]),
        ("inputs: {x: [2]}\nlayers: []\noutputs: y", ["'y'"]),
        ("inputs: {x: [2]}\nlayers: relu", ["a list expected"]),
        ("inputs: {x: [2]}\nlayers: &a [relu]", ["anchors", "block"]),
        ("inputs: {x: [2]}\nlayers: [", ["not YAML"]),
        ("", ["empty", "inputs:"]),
        ("inputs: {x: [2]}\nblocks: {conv: {layers: []}}\nlayers: []", ["has the name of a layer"]),
        ("inputs: {x: [2]}\nblocks: {b: {layers: [b]}}\nlayers: [b]", ["block 'b' is in itself"]),
        ("inputs: {x: [2]}\nblocks: {b: {params: [n], layers: []}}\nlayers: [b]", ["param 'n' is missing"]),
        ("inputs: {x: [2]}\nblocks: {b: {layers: []}}\nlayers: [b: {n: 1}]", ["no param 'n'", "it has none"]),
        ("inputs: {x: [2]}\nblocks: {b: {layers: [{relu: , from: x}]}}\nlayers: [b]", ["'x' here", "block 'b' sees"]),
    ],
)
def test_mistake_in_a_network(text: str, said: list[str]) -> None:
    message = refusal(text)
    assert all(part in message for part in said), message
    assert "net.yaml" in message


def test_wrong_options_are_told() -> None:
    assert "no dim and no param 'widht'" in refusal(SWEPT, dims={"widht": 4, "seq": 2})
    assert "no input 'y'" in refusal(SWEPT, shapes={"y": (1,)})
    assert "wants 3 axes" in refusal(SWEPT, shapes={"x": (1, 2)})
    assert "--value" in refusal(SWEPT, values={"x": np.zeros(1)})


WORDS = [
    "relu",
    "conv",
    "linear",
    "layers",
    "repeat",
    "name",
    "from",
    "x",
    "out",
    "shape",
    "-1",
    "3",
    "w",
    "",
    "inputs",
]
TREES = st.recursive(
    st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=12,
)


@given(TREES)
def test_no_file_makes_a_traceback(layers: Any) -> None:
    text = yaml.safe_dump({"inputs": {"x": ["2", "3", "4"]}, "layers": layers})
    with contextlib.suppress(IrcError):
        network(text)


# ---- the schema


def test_schema_is_current() -> None:
    cure = "python -m ircost.frontends.yaml.schema > frontends/yaml/graph.schema.json"
    assert graph_schema() == json.loads((ROOT / "frontends/yaml/graph.schema.json").read_text()), f"run: {cure}"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_fit_the_schema(path: Path) -> None:
    assert mistakes(yaml.safe_load(path.read_text()), graph_schema()) == []


@pytest.mark.parametrize(
    "text",
    [
        "{inputs: {x: [2]}, layer: []}",
        "{inputs: {x: [2]}, layers: [conv: {kernal: 3}]}",
        "{inputs: {x: [2]}, layers: [conv: {kernel: 3}]}",
        "{inputs: {x: [2]}, layers: [relu: {alpha: 3}]}",
        "{inputs: {x: {shape: [2], dtype: fp16}}, layers: []}",
    ],
)
def test_schema_refuses(text: str) -> None:
    assert mistakes(yaml.safe_load(text), graph_schema())


def mistakes(value: Any, schema: dict[str, Any], root: dict[str, Any] | None = None) -> list[str]:
    """As much of JSON Schema as this one uses."""
    root = root or schema
    if "$ref" in schema:
        return mistakes(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    found: list[str] = []
    if "anyOf" in schema and [] not in [mistakes(value, option, root) for option in schema["anyOf"]]:
        found.append(f"{value}: none of the forms")
    kinds = {"string": str, "boolean": bool, "integer": int, "number": (int, float), "array": list, "object": dict}
    if "type" in schema and not isinstance(value, kinds.get(schema["type"], type(None))):  # type: ignore[arg-type]
        return [*found, f"{value}: not {schema['type']}"]
    if value not in schema.get("enum", [value]) or schema.get("const", value) != value:
        found.append(f"{value}: not allowed")
    if isinstance(value, int) and value < schema.get("minimum", value):
        found.append(f"{value}: too small")
    if isinstance(value, list):
        found += [m for inner in value for m in mistakes(inner, schema.get("items", {}), root)]
    if isinstance(value, dict):
        found += [f"no {key}" for key in schema.get("required", ()) if key not in value]
        for key, inner in value.items():
            rule = schema.get("properties", {}).get(key, schema.get("additionalProperties", {}))
            found += [f"{key}: unknown"] if rule is False else mistakes(inner, rule, root)
    return found
