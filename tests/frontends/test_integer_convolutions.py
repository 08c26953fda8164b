"""Convolutions of quantised tensors: what is multiplied stays narrow, whatever the zero points, there and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import ircost
from ircost.api import export_onnx
from ircost.frontends.onnx.importer import import_model
from ircost.ir import interpret
from ircost.ir.graph import Module

RNG = np.random.default_rng(0)
WEIGHT = RNG.integers(0, 256, (6, 2, 3, 3)).astype(np.uint8)


def integer_convolution(
    x_zero: int | None = 7, w_zero: Any = 120, pads: int = 1, group: int = 2, is_dynamic: bool = False
) -> onnx.ModelProto:
    """Of x [1, 2 * group, 8, 7] with six filters; a zero point that is an input is not known before it runs."""
    known = {"w": WEIGHT, "w_zero": np.array(w_zero, np.uint8)}
    inputs = [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, 2 * group, 8, 7])]
    if is_dynamic:
        inputs.append(helper.make_tensor_value_info("x_zero", TensorProto.UINT8, []))
    elif x_zero is not None:
        known["x_zero"] = np.array(x_zero, np.uint8)
    names = ["x", "w", "" if x_zero is None else "x_zero", "w_zero"]
    graph = helper.make_graph(
        [helper.make_node("ConvInteger", names, ["y"], pads=[pads] * 4, group=group, strides=[1, 2])],
        "graph",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.INT32, None)],
        [numpy_helper.from_array(array, name) for name, array in known.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def feeds_of(module: Module) -> list[np.ndarray]:
    kinds = [argument.type.shape for argument in module.main.arguments]
    return [RNG.integers(0, 256, shape).astype(np.uint8) for shape in kinds]


def by_onnxruntime(proto: onnx.ModelProto | str, module: Module, feeds: list[np.ndarray]) -> np.ndarray:
    source = proto if isinstance(proto, str) else proto.SerializeToString()
    session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    assert len(names) == len(feeds) == len(module.main.arguments)
    return np.asarray(session.run(None, dict(zip(names, feeds, strict=True)))[0])


CASES = [
    {},
    {"x_zero": None},
    {"w_zero": 0},
    {"pads": 0},
    {"pads": 0, "is_dynamic": True},
    {"group": 1},
    {"is_dynamic": True},
    {"is_dynamic": True, "group": 1},
    {"x_zero": None, "w_zero": 0},
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_multiplied_is_8_bits_wide_and_the_sums_are_onnxruntimes(case: dict[str, Any]) -> None:
    proto = integer_convolution(**case)
    module = import_model(proto).module
    at_run = [op for op in module.walk() if op.name == "conv_integer" and op.operands[0] is module.main.arguments[0]]
    assert at_run and all(operand.type.dtype.bits == 8 for op in at_run for operand in op.operands)
    feeds = feeds_of(module)
    np.testing.assert_array_equal(interpret(module, feeds)[0], by_onnxruntime(proto, module, feeds))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_export_is_the_one_operator_again(case: dict[str, Any], tmp_path: Path) -> None:
    proto, path = integer_convolution(**case), tmp_path / "again.onnx"
    module = import_model(proto).module
    feeds = feeds_of(module)
    export_onnx(module, path)
    assert [node.op_type for node in onnx.load(path).graph.node] == ["ConvInteger"]
    np.testing.assert_array_equal(by_onnxruntime(str(path), module, feeds), by_onnxruntime(proto, module, feeds))


def test_a_zero_point_for_each_filter() -> None:
    each = [3, 250, 128, 0, 77, 120]
    module = import_model(integer_convolution(w_zero=each)).module
    feeds = feeds_of(module)
    found = interpret(module, feeds)[0]
    for place, zero in enumerate(each):
        alone = import_model(integer_convolution(w_zero=zero)).module
        np.testing.assert_array_equal(found[:, place], interpret(alone, feeds)[0][:, place])


def test_zero_points_of_weights_leave_integers_on_the_units_that_are_made_for_them() -> None:
    """Weights less their zero point have 9 bits: in 32 they ran on lanes, and took four times the memory."""
    report = ircost.compile(import_model(integer_convolution()), target="t4")
    assert report.dtype == "u8"
    assert not any("i32 contractions" in note for note in report.notes)
    assert report.weights_bytes < 3 * WEIGHT.size


def test_padding_that_is_known_is_no_map_of_numbers() -> None:
    """Nought counts as the zero point: the convolution says so, and what is subtracted is one number a filter."""
    module = import_model(integer_convolution(w_zero=0)).module
    convolution = next(op for op in module.walk() if op.name == "conv_integer")
    assert convolution.attrs["outside"] == 7
    assert ircost.compile(module, target="t4").weights_bytes == WEIGHT.size + 4 * len(WEIGHT)
