"""The bundled ResNet-50 is what its script writes, and is the network of the paper."""

from __future__ import annotations

import math

import onnx
import pytest
from onnx import helper

from ircost.datasets.make_resnet50 import PATH, resnet50

SHORTCUT = "downsample/downsample.0"


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return onnx.load(PATH, load_external_data=False)


@pytest.fixture(scope="module")
def shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    """Of every value, as ONNX infers them; N is 1."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = [*inferred.value_info, *inferred.input, *inferred.output]
    found = {v.name: [d.dim_value or 1 for d in v.type.tensor_type.shape.dim] for v in values}
    return found | {tensor.name: list(tensor.dims) for tensor in inferred.initializer}


def test_the_file_is_what_the_script_writes() -> None:
    assert PATH.read_bytes() == resnet50().SerializeToString(deterministic=True)
    assert PATH.stat().st_size < 100_000


def test_onnx_finds_nothing_wrong(model: onnx.ModelProto) -> None:
    for tensor in (whole := onnx.ModelProto.FromString(model.SerializeToString())).graph.initializer:
        tensor.ClearField("external_data")
        tensor.data_location = onnx.TensorProto.DEFAULT
        tensor.raw_data = bytes(4 * math.prod(tensor.dims))
    onnx.checker.check_model(whole, full_check=True)


def test_multiply_adds_are_those_of_the_published_count(model: onnx.ModelProto, shapes: dict[str, list[int]]) -> None:
    """4.089 G, as torchvision's documentation says of ResNet50_Weights (a multiply-add is one there)."""
    macs = 0
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            weight, out = shapes[node.input[1]], shapes[node.output[0]]
            macs += math.prod(weight) * math.prod(out[2:])
    assert macs == 4_089_184_256


def test_parameters_are_those_of_the_published_count(model: onnx.ModelProto) -> None:
    """25,557,032 with batch normalisation; folding leaves one number a channel where there were two."""
    weights = model.graph.initializer
    biases = sum(math.prod(w.dims) for w in weights if w.name.endswith(".bias") and w.name != "fc.bias")
    assert sum(math.prod(weight.dims) for weight in weights) + biases == 25_557_032


def test_weights_follow_one_another_in_their_file(model: onnx.ModelProto) -> None:
    end = 0
    for tensor in model.graph.initializer:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        assert entries == {"location": "resnet50.weights", "offset": str(end), "length": entries["length"]}
        assert int(entries["length"]) == 4 * math.prod(tensor.dims)
        end += int(entries["length"])


def test_the_stride_is_in_the_3x3_convolution(model: onnx.ModelProto, shapes: dict[str, list[int]]) -> None:
    extents = [shapes[node.output[0]][2:] for node in model.graph.node if node.op_type == "Add"]
    assert extents == [[56, 56]] * 3 + [[28, 28]] * 4 + [[14, 14]] * 6 + [[7, 7]] * 3
    strides = helper.make_attribute("strides", [2, 2])
    strided = [node.name for node in model.graph.node if strides in node.attribute]
    halving = [f"/layer{n}/layer{n}.0/{conv}/Conv" for n in (2, 3, 4) for conv in ("conv2", SHORTCUT)]
    assert strided == ["/conv1/Conv", "/maxpool/MaxPool", *halving]
