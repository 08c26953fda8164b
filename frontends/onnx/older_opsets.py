"""Nodes of opsets before 7, where broadcasting was an attribute: brought to the form of opset 7, or refused."""

from __future__ import annotations

from collections.abc import Callable

import onnx

from ircost.frontends.onnx.node import Node
from ircost.ir import ops
from ircost.ir.graph import Value

FIRST_OPSET = 7  # the lowerings handle this one and all later ones


def bring_to_opset_7(node: Node) -> None:
    """Changes inputs such that the node means what it would at opset 7.

    Raises:
        OnnxError: it means something that opset 7 cannot say, or that nobody wrote down here.
    """
    if node.proto.op_type in CHANGES:
        CHANGES[node.proto.op_type](node)
    elif version_at(node, node.opset) != version_at(node, FIRST_OPSET):
        raise node.error(f"it was another operator before opset {FIRST_OPSET}", help="onnx.version_converter lifts it")


def version_at(node: Node, opset: int) -> int:
    """The opset that brought the form of an operator that is in force at ``opset``; 0 where there is none."""
    try:
        return int(onnx.defs.get_schema(node.proto.op_type, opset, "").since_version)
    except onnx.defs.SchemaError:
        return 0


def broadcast_along_axis(node: Node) -> None:
    """``axis`` says where the second operand's dims stand in the first's; at the end where it is left out."""
    lhs, rhs = node[0], node[1]
    axis = node.int("axis", -1)
    behind = lhs.type.rank - axis - rhs.type.rank
    if node.int("broadcast", 0) and axis >= 0 and behind > 0:
        node.inputs[1] = ops.reshape(rhs, shape=(*rhs.type.shape, *(1,) * behind))


def slope_for_each_channel(node: Node) -> None:
    x, slope = node[0], node[1]
    if slope.type.elements > 1:
        node.inputs[1] = per_channel(slope, x)


def per_channel(value: Value, x: Value) -> Value:
    return ops.reshape(value, shape=(value.type.elements, *(1,) * (x.type.rank - 2)))


def of_inference(node: Node) -> None:
    if not node.int("is_test", 0):
        raise node.error("training mode (is_test = 0) is not supported", help="export the model for inference")


def unchanged(node: Node) -> None:
    """What opset 7 added has a default that means the same."""


CHANGES: dict[str, Callable[[Node], None]] = {
    **dict.fromkeys(
        ("Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Greater", "Less"), broadcast_along_axis
    ),
    **dict.fromkeys(("BatchNormalization", "Dropout"), of_inference),
    **dict.fromkeys(("AveragePool", "Gemm", "RNN", "GRU", "LSTM"), unchanged),
    "PRelu": slope_for_each_channel,
}
