"""Operators that nobody knows, taken without a meaning or a cost where the user asks for that."""

from __future__ import annotations

import onnx

from ircost.frontends.onnx.declared import attribute_text
from ircost.frontends.onnx.element_types import ELEMENT_TYPES
from ircost.frontends.onnx.node import Node
from ircost.ir import ops
from ircost.ir.attributes import Attribute
from ircost.ir.errors import UnsupportedError
from ircost.ir.graph import Op
from ircost.ir.types import TensorType

LONGEST_ATTRIBUTE = 200  # characters that are kept of each


def opaque_op(node: Node) -> Op:
    """A detached op of the node's name; its result types are those that the model or ONNX's inference gives.

    Raises:
        UnsupportedError: nothing says what shape a result has.
    """
    types = [inferred_type(name, node) for name in node.proto.output if name]
    attributes = sorted(
        f"{a.name}={attribute_text(onnx.helper.get_attribute_value(a))}"[:LONGEST_ATTRIBUTE]
        for a in node.proto.attribute
    )
    attrs: dict[str, Attribute] = {"op": node.operator, "attributes": tuple(attributes)}
    return ops.opaque.create(node.given, attrs, result_types=types, location=node.importer.location(node))


def inferred_type(name: str, node: Node) -> TensorType:
    context = node.importer.context
    if context.inferred_types is None:
        context.inferred_types = inferred_types(context.model)
    if name not in context.inferred_types:
        raise UnsupportedError(
            f"operator {node.operator} is not known, and nothing says what shape its output '{name}' has",
            at=node.importer.location(node),
            help="let the model say: value_info with static dims",
        )
    return context.inferred_types[name]


def inferred_types(model: onnx.ModelProto) -> dict[str, TensorType]:
    """Static types that ONNX's own shape inference finds."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    found = {info.name: static_type(info) for info in (*graph.value_info, *graph.output)}
    return {name: type for name, type in found.items() if type is not None}


def static_type(info: onnx.ValueInfoProto) -> TensorType | None:
    tensor = info.type.tensor_type
    dims = [dim.dim_value for dim in tensor.shape.dim if dim.HasField("dim_value")]
    if tensor.elem_type not in ELEMENT_TYPES or not tensor.HasField("shape") or len(dims) < len(tensor.shape.dim):
        return None
    return TensorType(tuple(dims), ELEMENT_TYPES[tensor.elem_type])
