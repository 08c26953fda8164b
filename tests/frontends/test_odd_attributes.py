"""Operators with attributes and inputs that few models have, against onnxruntime: found by random graphs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser

from ircost.frontends.onnx.backend import InterpreterBackend
from ircost.ir.errors import IrcError

onnxruntime = pytest.importorskip("onnxruntime")
RANDOM = np.random.default_rng(7)
FURTHEST = -(2**63)


@dataclass(frozen=True)
class Case:
    """One node.

    Args:
        inputs: arrays that are fed.
        constants: inputs behind those that are known; None is left out.
    """

    op: str
    opset: int
    inputs: tuple[np.ndarray, ...]
    constants: tuple[np.ndarray | None, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.op}-{self.opset}"

    @property
    def model(self) -> onnx.ModelProto:
        names = [f"x{i}" for i in range(len(self.inputs))]
        known = {f"c{i}": array for i, array in enumerate(self.constants) if array is not None}
        given = [*names, *(f"c{i}" if array is not None else "" for i, array in enumerate(self.constants))]
        infos = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in zip(names, self.inputs, strict=True)
        ]
        graph = helper.make_graph(
            [helper.make_node(self.op, given, ["y"], **self.attributes)],
            "g",
            infos,
            [onnx.ValueInfoProto(name="y")],
            [numpy_helper.from_array(array, name) for name, array in known.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def beyond(*shape: int) -> np.ndarray:
    """Coordinates on both sides of the border."""
    return RANDOM.uniform(-1.6, 1.6, shape).astype(np.float32)


SAME = {"kernel_shape": [3], "strides": [3], "auto_pad": "SAME_UPPER", "count_include_pad": 1}
CASES = [
    Case("AveragePool", 22, (floats(2, 1, 5),), attributes=SAME),
    Case("AveragePool", 13, (floats(1, 4, 3),), attributes={**SAME, "strides": [1], "auto_pad": "SAME_LOWER"}),
    Case("GridSample", 22, (floats(1, 2, 3, 4), beyond(1, 5, 6, 2)), (), {"mode": "cubic", "padding_mode": "border"}),
    Case("GridSample", 16, (floats(1, 2, 1, 2), beyond(1, 5, 6, 2)), (), {"mode": "bicubic", "padding_mode": "border"}),
    # A start before the first element is the first element, where steps go back.
    Case("Slice", 17, (floats(2, 3),), (ints(-4), ints(FURTHEST), ints(0), ints(-2))),
    Case("Slice", 17, (floats(2, 3),), (ints(-4, -9), ints(-5, FURTHEST), ints(1, 0), ints(-1, -3))),
    Case("Resize", 19, (floats(1, 5, 3),), (None, np.array([1, 2.6, 1], np.float32)), {"mode": "linear"}),
    Case("CenterCropPad", 21, (floats(4, 1, 3),), (ints(2, 4),), {"axes": [1, 0]}),
    Case("RotaryEmbedding", 24, (floats(1, 2, 3, 4), floats(1, 3, 2), floats(1, 3, 2))),
    Case("ArgMax", 13, (floats(4, 0, 1),), (), {"axis": 0}),
    Case("Hardmax", 13, (floats(3, 0),), (), {"axis": 0}),
    Case("NonZero", 13, (np.zeros((2, 3), bool),)),
    Case("Pow", 15, (np.array([-2, -1, 1, 3], np.int32),), (np.array([-1, -3, -2, 2], np.int64),)),
]


def by_onnxruntime(model: onnx.ModelProto, arrays: list[np.ndarray]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = dict(zip((info.name for info in model.graph.input), arrays, strict=True))
    return [np.asarray(output) for output in session.run(None, feeds)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_onnxruntime(case: Case) -> None:
    (ours,) = InterpreterBackend.prepare(case.model).run(list(case.inputs))
    (theirs,) = by_onnxruntime(case.model, list(case.inputs))
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_loop_that_never_runs_stacks_nothing() -> None:
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17]> g (float[2] x) => (float[2] y, float[0, 2] z) {
            n = Constant<value = int64 {0}>()
            begins = Constant<value = bool {1}>()
            y, z = Loop(n, begins, x)<body = b (int64 i, bool c, float[2] s) => (bool d, float[2] t, float[2] u) {
                limit = Constant<value = int64 {3}>()
                d = Less(i, limit)
                t = Neg(s)
                u = Exp(s)
            }>
        }"""
    )
    x = floats(2)
    for ours, theirs in zip(InterpreterBackend.prepare(model).run([x]), by_onnxruntime(model, [x]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("given", [{}, {"activation_alpha": [0.5]}])
def test_an_activation_without_a_usual_parameter_is_refused(given: dict[str, Any]) -> None:
    """onnxruntime takes 0, which makes every state 0."""
    sizes = (floats(2, 1, 3), floats(1, 4, 3), floats(1, 4, 4))
    case = Case("RNN", 22, sizes, (), {"hidden_size": 4, "activations": ["ScaledTanh"], **given})
    missing = "beta" if given else "alpha"
    with pytest.raises(IrcError, match=f"ScaledTanh needs its {missing}"):
        InterpreterBackend.prepare(case.model).run(list(sizes))
