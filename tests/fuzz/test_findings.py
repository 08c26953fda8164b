"""What the fuzzers found once: each is refused, in a message that says why."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ircost.frontends.imported import ImportOptions
from ircost.frontends.onnx.importer import import_model
from ircost.ir.errors import IrcError

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def model_of(
    operator: str,
    inputs: dict[str, tuple[int, tuple[int, ...]]],
    opset: int = 22,
    constants: dict[str, np.ndarray] | None = None,
    outputs: int = 1,
    **attributes: Any,
) -> onnx.ModelProto:
    names = [f"y{i}" for i in range(outputs)]
    constants = constants or {}
    node = helper.make_node(operator, [*inputs, *constants], names, name="node", **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in names],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


FINDINGS = {
    "more starts than axes": model_of(
        "Slice", {"x": (FLOAT, (20, 5)), "starts": (INT64, (3,)), "ends": (INT64, (3,))}, opset=13
    ),
    "a triangle of a vector": model_of("Trilu", {"x": (FLOAT, (4,))}),
    "weights without directions": model_of(
        "RNN", {"x": (FLOAT, (1, 3, 2)), "w": (FLOAT, (1, 4, 2)), "r": (FLOAT, (1,))}, hidden_size=4
    ),
    "an axis that is not there": model_of(
        "Compress", {"x": (FLOAT, (3, 2))}, constants={"c": np.array([True])}, axis=7
    ),
    "an attribute of another kind": model_of("Softmax", {"x": (FLOAT, (3, 2))}, axis="1"),
    "a constant without a value": model_of("Constant", {}),
    "boxes of another rank": model_of(
        "NonMaxSuppression", {"boxes": (FLOAT, (6, 4)), "scores": (FLOAT, (1, 1, 6))}, 11, {"most": ints(3)}
    ),
    "more pieces than memory": model_of(
        "SplitToSequence", {"x": (FLOAT, (1 << 40, 1))}, constants={"n": ints(1)}, axis=0
    ),
}


@pytest.mark.parametrize("model", FINDINGS.values(), ids=FINDINGS)
def test_is_refused(model: onnx.ModelProto) -> None:
    with pytest.raises(IrcError) as caught:
        import_model(model, ImportOptions())
    assert caught.value.message
    assert not isinstance(caught.value.__cause__, MemoryError)


def test_an_opset_from_the_future_is_taken_as_the_newest() -> None:
    imported = import_model(model_of("Relu", {"x": (FLOAT, (3, 2))}, opset=9999))
    assert [op.name for op in imported.module.main.block.ops] == ["relu", "return"]
    assert any("9999" in note for note in imported.notes)
