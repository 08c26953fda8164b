"""A valid ONNX graph of any size: transformer-like blocks of MatMul, Softmax, gates and residuals."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DIM = 16
TOKENS = 8


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(0)

    def weight(self, *shape: int) -> str:
        name = f"weight_{len(self.weights)}"
        values = self._random.standard_normal(shape, np.float32) / DIM
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def node(self, op: str, *inputs: str, **attributes: object) -> str:
        name = f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=f"node_{len(self.nodes)}/{op}", **attributes))
        return name

    def block(self, x: str) -> str:
        """Attention without heads, then a gated MLP, each with a residual."""
        query, key, value = (self.node("MatMul", x, self.weight(DIM, DIM)) for _ in range(3))
        scores = self.node("MatMul", query, self.node("Transpose", key, perm=[0, 2, 1]))
        attended = self.node("MatMul", self.node("Softmax", scores, axis=-1), value)
        x = self.node("Add", x, self.node("Tanh", attended))
        gate = self.node("Sigmoid", self.node("MatMul", x, self.weight(DIM, 2 * DIM)))
        up = self.node("MatMul", x, self.weight(DIM, 2 * DIM))
        return self.node("Add", x, self.node("MatMul", self.node("Mul", gate, up), self.weight(2 * DIM, DIM)))


def transformer_like(nodes: int) -> onnx.ModelProto:
    """A model of at least ``nodes`` nodes."""
    graph, value = _Graph(), "x"
    while len(graph.nodes) < nodes:
        value = graph.block(value)
    boundary = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, TOKENS, DIM]) for name in ("x", value)]
    made = helper.make_graph(graph.nodes, "generated", boundary[:1], boundary[1:], graph.weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
