"""Recurrent operators with all their options, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ircost.frontends.onnx.backend import InterpreterBackend

onnxruntime = pytest.importorskip("onnxruntime")
RANDOM = np.random.default_rng(3)
STEPS, BATCH, WIDTH, HIDDEN = 5, 3, 4, 6
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
LENGTHS = np.array([5, 2, 4], np.int32)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.uniform(-1, 1, shape).astype(np.float32)


def compare(node: onnx.NodeProto, feeds: dict[str, np.ndarray], outputs: list[str], atol: float = 1e-5) -> None:
    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in feeds.items()
    ]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(helper.make_graph([node], "g", inputs, results), opset_imports=domains, ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, feeds)
    for ours, theirs in zip(InterpreterBackend.prepare(model).run(list(feeds.values())), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=atol)


OPTIONS: list[tuple[str, dict[str, Any], set[str]]] = [
    ("LSTM", {}, set()),
    ("LSTM", {"clip": 0.3}, {"initial_h", "initial_c"}),
    ("LSTM", {}, {"P"}),
    ("LSTM", {"direction": "bidirectional"}, {"sequence_lens", "P", "initial_h", "initial_c"}),
    ("LSTM", {"direction": "reverse"}, {"sequence_lens"}),
    ("LSTM", {"activations": ["HardSigmoid", "LeakyRelu", "Affine"], "activation_alpha": [0.3, 0.2, 1.5]}, set()),
    ("GRU", {"clip": 0.4, "linear_before_reset": 1}, {"sequence_lens"}),
    ("GRU", {"direction": "bidirectional"}, {"sequence_lens", "initial_h"}),
    ("GRU", {"activations": ["Sigmoid", "Softsign"]}, set()),
    ("RNN", {"activations": ["ScaledTanh"], "activation_alpha": [1.2], "activation_beta": [0.7]}, set()),
    ("RNN", {"direction": "reverse", "activations": ["Relu"]}, {"sequence_lens", "initial_h"}),
]


@pytest.mark.parametrize(("operator", "attributes", "given"), OPTIONS)
def test_options(operator: str, attributes: dict[str, Any], given: set[str]) -> None:
    gates, directions = GATES[operator], 2 if attributes.get("direction") == "bidirectional" else 1
    every = {
        "X": floats(STEPS, BATCH, WIDTH),
        "W": floats(directions, gates * HIDDEN, WIDTH),
        "R": floats(directions, gates * HIDDEN, HIDDEN),
        "B": floats(directions, 2 * gates * HIDDEN),
        "sequence_lens": LENGTHS,
        "initial_h": floats(directions, BATCH, HIDDEN),
        "initial_c": floats(directions, BATCH, HIDDEN),
        "P": floats(directions, 3 * HIDDEN),
    }
    names = list(every)[: 8 if operator == "LSTM" else 6]
    used = {name: every[name] for name in names if name in {"X", "W", "R", "B", *given}}
    outputs = ["Y", "Y_h", "Y_c"] if operator == "LSTM" else ["Y", "Y_h"]
    node = helper.make_node(
        operator, [name if name in used else "" for name in names], outputs, hidden_size=HIDDEN, **attributes
    )
    compare(node, used, outputs)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_dynamic_quantize_lstm(direction: str) -> None:
    """One row a batch: onnxruntime may quantise the rows of a larger one each by itself."""
    directions = 2 if direction == "bidirectional" else 1
    feeds = {
        "X": floats(STEPS, 1, WIDTH),
        "W": RANDOM.integers(0, 255, (directions, WIDTH, 4 * HIDDEN)).astype(np.uint8),
        "R": RANDOM.integers(0, 255, (directions, HIDDEN, 4 * HIDDEN)).astype(np.uint8),
        "B": floats(directions, 8 * HIDDEN),
        "W_scale": np.full(directions, 0.01, np.float32),
        "W_zero": np.full(directions, 120, np.uint8),
        "R_scale": np.full(directions, 0.008, np.float32),
        "R_zero": np.full(directions, 130, np.uint8),
    }
    names = ["X", "W", "R", "B", "", "", "", "", "W_scale", "W_zero", "R_scale", "R_zero"]
    outputs = ["Y", "Y_h", "Y_c"]
    node = helper.make_node(
        "DynamicQuantizeLSTM", names, outputs, hidden_size=HIDDEN, direction=direction, domain="com.microsoft"
    )
    compare(node, feeds, outputs, atol=2e-2)
