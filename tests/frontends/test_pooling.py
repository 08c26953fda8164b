"""Windows that are longer than what they slide over: the work is that of the elements there are."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ircost.frontends.onnx.importer import import_model
from ircost.ir import interpret


def pool(op: str, shape: tuple[int, ...], **attributes: Any) -> onnx.ModelProto:
    node = helper.make_node(op, ["x"], ["y"], **attributes)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    graph = helper.make_graph([node], "graph", [x], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


WHOLE = {"kernel_shape": (64, 64), "ceil_mode": 1, "strides": (64, 64)}


@pytest.mark.parametrize("op", ["AveragePool", "MaxPool", "LpPool"])
@pytest.mark.parametrize(
    ("attributes", "window"),
    [
        (WHOLE, (5, 7)),
        ({"kernel_shape": (5, 7), "pads": (0, 0, 0, 0)}, (5, 7)),
        ({"kernel_shape": (8, 10), "pads": (3, 3, 0, 0)}, (5, 7)),
        ({"kernel_shape": (8, 3), "pads": (2, 1, 1, 1)}, (5, 3)),  # one axis is covered, the other is not
        ({"kernel_shape": (5, 7), "pads": (1, 1, 1, 1)}, (5, 7)),  # three places: all stays
    ],
)
def test_a_window_is_as_long_as_what_it_covers(op: str, attributes: dict[str, object], window: tuple[int, ...]) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    proto = pool(op, (2, 3, 5, 7), **attributes)
    module = import_model(proto).module
    (pooled,) = [o for o in module.walk() if o.name.endswith("_pool")]
    assert pooled.attrs["window"] == window
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 7)).astype(np.float32)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": x})
    np.testing.assert_allclose(interpret(module, [x])[0], expected, rtol=1e-5, atol=1e-6)
