"""Random valid ONNX graphs: the numbers of onnx's reference, before and after rewriting, and text that reads back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from ircost.frontends.onnx.importer import import_model
from ircost.ir import interpret
from ircost.ir.parser import parse_module
from ircost.ir.verify import verify
from ircost.passes import run_pipeline

Draw = Callable[[Any], Any]

UNARY = [
    *("Abs", "Neg", "Exp", "Tanh", "Sigmoid", "Relu", "Erf", "Sin", "Floor", "Ceil", "Sign", "Softplus", "HardSwish"),
    *("LeakyRelu", "Elu", "HardSigmoid", "Identity", "Round", "Atan", "Softsign"),
]
BINARY = ["Add", "Sub", "Mul", "Max", "Min"]
REDUCE = ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceSumSquare"]
PIPELINES = ["canonicalize", "recognise,canonicalize,fuse"]


class Graph:
    """Nodes over values of rank 3, made one after another."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.shapes: dict[str, tuple[int, ...]] = {"x": (2, 3, 4)}

    def pick(self) -> str:
        return str(self.draw(st.sampled_from(list(self.shapes))))

    def add(self, operator: str, inputs: list[str], shape: tuple[int, ...], **attributes: Any) -> None:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        self.shapes[name] = shape

    def constant(self, array: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(array, name))
        return name

    def number(self) -> str:
        value = self.draw(st.sampled_from([0.0, 1.0, -1.0, 0.5, 2.0, 3.0]))
        return self.constant(np.array(value, np.float32))

    # ---- steps

    def unary(self) -> None:
        x = self.pick()
        self.add(self.draw(st.sampled_from(UNARY)), [x], self.shapes[x])

    def binary(self) -> None:
        x = self.pick()
        alike = [name for name, shape in self.shapes.items() if shape == self.shapes[x]]
        y = self.draw(st.sampled_from(alike)) if self.draw(st.booleans()) else self.number()
        sides = [x, y] if self.draw(st.booleans()) else [y, x]
        self.add(self.draw(st.sampled_from(BINARY)), sides, self.shapes[x])

    def transpose(self) -> None:
        x = self.pick()
        perm = self.draw(st.permutations(range(3)))
        self.add("Transpose", [x], tuple(self.shapes[x][axis] for axis in perm), perm=perm)

    def reshape(self) -> None:
        x = self.pick()
        shape = tuple(self.draw(st.permutations(self.shapes[x])))
        self.add("Reshape", [x, self.constant(np.array(shape, np.int64))], shape)

    def matmul(self) -> None:
        x = self.pick()
        *lead, width = self.shapes[x]
        out = self.draw(st.integers(1, 4))
        weight = np.random.default_rng(len(self.nodes)).standard_normal((width, out)).astype(np.float32)
        self.add("MatMul", [x, self.constant(weight)], (*lead, out))

    def reduce(self) -> None:
        x = self.pick()
        axis = self.draw(st.integers(-3, 2))
        shape = tuple(1 if i == axis % 3 else n for i, n in enumerate(self.shapes[x]))
        operator = self.draw(st.sampled_from(REDUCE))
        self.add(operator, [x, self.constant(np.array([axis]))], shape, keepdims=1)

    def softmax(self) -> None:
        x = self.pick()
        self.add("Softmax", [x], self.shapes[x], axis=self.draw(st.integers(-3, 2)))

    def slice(self) -> None:
        x = self.pick()
        axis = self.draw(st.integers(0, 2))
        extent = self.shapes[x][axis]
        begin = self.draw(st.integers(0, extent - 1))
        end = self.draw(st.integers(begin + 1, extent + 2))
        bounds = [self.constant(np.array([n])) for n in (begin, end, axis)]
        shape = tuple(min(end, n) - begin if i == axis else n for i, n in enumerate(self.shapes[x]))
        self.add("Slice", [x, *bounds], shape)

    def concat(self) -> None:
        x = self.pick()
        axis = self.draw(st.integers(0, 2))
        shape = tuple(2 * n if i == axis else n for i, n in enumerate(self.shapes[x]))
        self.add("Concat", [x, x], shape, axis=axis)

    def gather(self) -> None:
        x = self.pick()
        axis = self.draw(st.integers(0, 2))
        extent = self.shapes[x][axis]
        places = self.draw(st.lists(st.integers(-extent, extent - 1), min_size=1, max_size=4))
        shape = tuple(len(places) if i == axis else n for i, n in enumerate(self.shapes[x]))
        self.add("Gather", [x, self.constant(np.array(places))], shape, axis=axis)

    def where(self) -> None:
        x = self.pick()
        test = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node("Greater", [x, self.number()], [test]))
        self.add("Where", [test, x, self.number()], self.shapes[x])


STEPS = [
    *(Graph.unary, Graph.unary, Graph.binary, Graph.binary, Graph.transpose, Graph.reshape, Graph.matmul),
    *(Graph.reduce, Graph.softmax, Graph.slice, Graph.concat, Graph.gather, Graph.where),
]


@st.composite
def models(draw: Draw) -> onnx.ModelProto:
    graph = Graph(draw)
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=10)):
        step(graph)
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in list(graph.shapes)[-2:]]
    outputs = [info for info in outputs if info.name != "x"]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, graph.shapes["x"])]
    proto = helper.make_graph(graph.nodes, "random", inputs, outputs, graph.constants)
    return helper.make_model(proto, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(models())
def test_numbers_are_those_of_the_reference(model: onnx.ModelProto) -> None:
    x = np.random.default_rng(0).uniform(-2, 2, (2, 3, 4)).astype(np.float32)
    with np.errstate(all="ignore"):
        expected: Any = ReferenceEvaluator(model).run(None, {"x": x})
        module = import_model(model).module
        verify(module)
        compare(interpret(module, [x]), expected)
        for pipeline in PIPELINES:
            run_pipeline(module, pipeline)
            compare(interpret(module, [x]), expected)
            assert str(parse_module(str(module))) == str(module)


def compare(actual: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for ours, theirs in zip(actual, expected, strict=True):
        # What overflows in one order of sums may not in another.
        finite = np.isfinite(theirs) & (np.abs(theirs) < 1e6)
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours[finite], theirs[finite], rtol=2e-3, atol=2e-3)
