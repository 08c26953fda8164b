"""Operators as older opsets wrote them: attributes that became inputs, defaults that changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from ircost.frontends.onnx.importer import import_model
from ircost.ir import interpret

RANDOM = np.random.default_rng(3)
X = RANDOM.standard_normal((2, 3, 4)).astype(np.float32)
IMAGE = RANDOM.standard_normal((1, 2, 3, 4)).astype(np.float32)


@dataclass(frozen=True)
class Case:
    """One node over ``x``.

    Args:
        op: operator.
        opset: that it is written for.
        expected: its meaning in NumPy; several outputs as a list.
        attributes: as that opset has them.
        constants: inputs behind x that are known; None is left out.
        x: the input.
    """

    op: str
    opset: int
    expected: Callable[[np.ndarray], Any]
    attributes: dict[str, Any] = field(default_factory=dict)
    constants: tuple[np.ndarray | None, ...] = ()
    x: np.ndarray = field(default_factory=lambda: X)

    def __str__(self) -> str:
        return f"{self.op}-{self.opset}"


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def softmax(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    powers = np.exp(x - x.max(axes, keepdims=True))
    return np.asarray(powers / powers.sum(axes, keepdims=True))


def twice(x: np.ndarray) -> np.ndarray:
    return x.repeat(2, axis=2).repeat(2, axis=3)


def layer_norm(x: np.ndarray) -> np.ndarray:
    return np.asarray((x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5))


CASES = [
    # Reductions: axes are an attribute up to 12 (sums) and 17 (all others).
    Case("ReduceSum", 11, lambda x: x.sum((0, 2), keepdims=True), {"axes": [0, 2]}),
    Case("ReduceSum", 13, lambda x: x.sum((0, 2)), {"keepdims": 0}, (ints(0, 2),)),
    Case("ReduceSum", 13, lambda x: x, {"noop_with_empty_axes": 1}),
    Case("ReduceSum", 13, lambda x: x.sum(keepdims=True)),
    Case("ReduceMean", 17, lambda x: x.mean(-1), {"axes": [-1], "keepdims": 0}),
    Case("ReduceMean", 18, lambda x: x.mean(-1), {"keepdims": 0}, (ints(-1),)),
    Case("ReduceMax", 12, lambda x: x.max(1, keepdims=True), {"axes": [1]}),
    Case("ReduceL2", 18, lambda x: np.sqrt((x * x).sum(1, keepdims=True)), {}, (ints(1),)),
    # Axes, shapes and bounds that became inputs.
    Case("Squeeze", 11, lambda x: x[:, 0], {"axes": [1]}, x=X[:, :1]),
    Case("Squeeze", 13, lambda x: x[:, 0], {}, (ints(1),), x=X[:, :1]),
    Case("Squeeze", 13, lambda x: x[:, 0], x=X[:, :1]),
    Case("Unsqueeze", 11, lambda x: x[:, None, ..., None], {"axes": [1, 4]}),
    Case("Unsqueeze", 13, lambda x: x[:, None, ..., None], {}, (ints(-1, 1),)),
    Case("Slice", 9, lambda x: x[:, 1:, :-1], {"starts": [1, 0], "ends": [9, -1], "axes": [1, 2]}),
    Case("Slice", 10, lambda x: x[:, ::-2], {}, (ints(-1), ints(-9), ints(1), ints(-2))),
    Case("Split", 11, lambda x: [x[..., :1], x[..., 1:]], {"axis": 2, "split": [1, 3]}),
    Case("Split", 13, lambda x: [x[..., :1], x[..., 1:]], {"axis": -1}, (ints(1, 3),)),
    Case("Split", 18, lambda x: [x[..., :2], x[..., 2:]], {"axis": -1, "num_outputs": 2}),
    Case("Split", 18, lambda x: [x[:, :2], x[:, 2:]], {"axis": 1, "num_outputs": 2}),
    Case("Clip", 7, lambda x: x.clip(-0.5, 0.5), {"min": -0.5, "max": 0.5}),
    Case("Clip", 7, lambda x: x.clip(None, 0.5), {"max": 0.5}),
    Case("Clip", 11, lambda x: x.clip(None, 0.5), {}, (None, np.array(0.5, np.float32))),
    Case(
        "Pad",
        10,
        lambda x: np.pad(x, ((0, 0), (1, 0), (0, 2)), constant_values=3),
        {"pads": [0, 1, 0, 0, 0, 2], "value": 3.0},
    ),
    Case("Pad", 11, lambda x: np.pad(x, ((0, 0), (1, 0), (0, 2)), "edge"), {"mode": "edge"}, (ints(0, 1, 0, 0, 0, 2),)),
    Case("Pad", 18, lambda x: np.pad(x, ((0, 0), (1, 2), (0, 0))), {}, (ints(1, 2), None, ints(1))),
    Case("Pad", 19, lambda x: np.pad(x, ((0, 0), (0, 0), (3, 5)), "wrap"), {"mode": "wrap"}, (ints(0, 0, 3, 0, 0, 5),)),
    Case("TopK", 9, lambda x: [-np.sort(-x)[..., :2], np.argsort(-x)[..., :2]], {"k": 2}),
    Case("TopK", 10, lambda x: [-np.sort(-x)[..., :2], np.argsort(-x)[..., :2]], {}, (ints(2),)),
    Case("TopK", 11, lambda x: [np.sort(x)[..., :2], np.argsort(x)[..., :2]], {"largest": 0}, (ints(2),)),
    # Softmax over all axes from `axis` on, 1 by default; over one, the last by default.
    Case("Softmax", 11, lambda x: softmax(x, (1, 2))),
    Case("Softmax", 13, lambda x: softmax(x, (2,))),
    Case("LogSoftmax", 11, lambda x: np.log(softmax(x, (0, 1, 2))), {"axis": 0}),
    Case("Hardmax", 11, lambda x: (x == x.max((1, 2), keepdims=True)).astype(np.float32)),
    # Upsample became Resize; both changed where they look.
    Case("Upsample", 7, twice, {"scales": [1.0, 1.0, 2.0, 2.0]}, x=IMAGE),
    Case("Upsample", 9, twice, {}, (np.array([1, 1, 2, 2], np.float32),), x=IMAGE),
    Case("Resize", 10, twice, {}, (np.array([1, 1, 2, 2], np.float32),), x=IMAGE),
    Case("Resize", 11, twice, {}, (np.zeros(0, np.float32), np.array([1, 1, 2, 2], np.float32)), x=IMAGE),
    Case("Resize", 13, twice, {}, (None, None, ints(1, 2, 6, 8)), x=IMAGE),
    Case("Resize", 18, twice, {"axes": [3, 2]}, (None, None, ints(8, 6)), x=IMAGE),
    # Inference only.
    Case("Dropout", 7, lambda x: x, {"ratio": 0.5}),
    Case("Dropout", 12, lambda x: x, {}, (np.array(0.5, np.float32), np.array(False))),
    Case("LayerNormalization", 17, layer_norm, {}, (np.ones(4, np.float32),)),
    Case(
        "GroupNormalization",
        18,
        lambda x: 2 * layer_norm(x) + 1,
        {"num_groups": 3},
        (np.full(3, 2, np.float32), np.ones(3, np.float32)),
    ),
    Case(
        "Gelu",
        20,
        lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
        {"approximate": "tanh"},
    ),
    Case(
        "MeanVarianceNormalization",
        13,
        lambda x: (x - x.mean((0, 2, 3), keepdims=True)) / x.std((0, 2, 3), keepdims=True),
        x=IMAGE,
    ),
    Case(
        "Gemm",
        7,
        lambda x: 0.5 * x.T @ x + 2.0,
        {"transA": 1, "alpha": 0.5, "beta": 2.0},
        (X[0], np.ones((4, 4), np.float32)),
        x=X[0],
    ),
    Case("Gemm", 11, lambda x: x @ x.T, {"transB": 1}, (X[0],), x=X[0]),
    Case("Flatten", 9, lambda x: x.reshape(6, 4), {"axis": 2}),
    Case("Reshape", 7, lambda x: x.reshape(2, 12), {}, (ints(0, -1),)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_meaning(case: Case) -> None:
    wanted = case.expected(case.x)
    wanted = wanted if isinstance(wanted, list) else [wanted]
    names = ["" if array is None else f"c{i}" for i, array in enumerate(case.constants)]
    outputs = [f"y{i}" for i in range(len(wanted))]
    graph = helper.make_graph(
        [helper.make_node(case.op, ["x", *names], outputs, **case.attributes)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, case.x.shape)],
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in outputs],
        [numpy_helper.from_array(a, n) for a, n in zip(case.constants, names, strict=True) if a is not None],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", case.opset)])
    actual = interpret(import_model(proto).module, [case.x])
    for ours, theirs in zip(actual, wanted, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
