"""What ONNX itself says of a node that a lowering stumbled over: the model's fault, or ours?"""

from __future__ import annotations

import onnx
from onnx.checker import ValidationError
from onnx.shape_inference import InferenceError

from ircost.frontends.onnx.node import Node
from ircost.frontends.onnx.sequence_value import type_of
from ircost.ir.graph import Value

# What Python raises where an input, attribute or axis is not there, or lists differ in length.
STUMBLES = (ArithmeticError, AssertionError, LookupError, TypeError, ValueError)


# ONNX's own checks let some ranks and extents pass that no runtime takes.
REPORT_IF_VALID = "the model is damaged, unless another runtime takes it: then please report it"


def inputs_do_not_fit(node: Node) -> str:
    """The message for a node that ONNX's checks accept and a lowering could make nothing of."""
    types = (str(value.type) if isinstance(value, Value) else "a sequence" for value in node.inputs if value)
    return f"its inputs do not fit together: {', '.join(types) or 'none'}"


def complaint(node: Node) -> str | None:
    """Why a node is no valid use of its operator; None where ONNX finds nothing wrong with it."""
    try:
        check(node)
    except (ValidationError, InferenceError) as error:
        return " ".join(str(error).partition("==> Context")[0].split())
    return None


def check(node: Node) -> None:
    """Attributes and their kinds, then shapes and types.

    Raises:
        ValidationError, InferenceError: the node is no valid one.
    """
    proto = node.proto
    context = onnx.checker.C.CheckerContext()
    context.ir_version = onnx.IR_VERSION
    context.opset_imports = dict(node.importer.opsets)
    onnx.checker.check_node(proto, context)
    schema = onnx.defs.get_schema(proto.op_type, node.opset, "" if proto.domain == "ai.onnx" else proto.domain)
    given = {name: value for name, value in zip(proto.input, node.inputs, strict=False) if value is not None}
    known = {name: array for i, name in enumerate(proto.input) if (array := node.constant(i)) is not None}
    onnx.shape_inference.infer_node_outputs(
        schema,
        proto,
        {name: type_of(value) for name, value in given.items()},
        {name: onnx.numpy_helper.from_array(array) for name, array in known.items()},
        opset_imports=[onnx.helper.make_opsetid(d, v) for d, v in node.importer.opsets.items()],
    )
