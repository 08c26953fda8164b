"""Operators that a function defines: the model's own functions, and those that ONNX gives a body."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import onnx

from ircost.frontends.onnx.errors import OnnxError
from ircost.frontends.onnx.node import Node
from ircost.frontends.onnx.sequence_value import type_of

MAX_DEPTH = 32  # graphs within graphs, functions within functions
MOST_NODES = 1 << 22  # some twenty minutes; graphs of large networks, unrolled, have 100,000


@dataclass(frozen=True, slots=True)
class FunctionBody:
    """What an operator stands for.

    Args:
        proto: its nodes.
        opsets: versions that they are written for.
        defaults: attributes that a node which calls it may leave out.
    """

    proto: onnx.FunctionProto
    opsets: Mapping[str, int]
    defaults: Mapping[str, onnx.AttributeProto]

    def nodes_for(self, call: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Its nodes with the attributes of one call."""
        given = {**self.defaults, **{attribute.name: attribute for attribute in call.attribute}}
        return [with_attributes(node, given) for node in self.proto.node]


def function_body(node: Node, domain: str) -> FunctionBody | None:
    """The body of a node's operator; None if it has none."""
    own = own_function(node)
    if own is not None:
        return FunctionBody(own, opsets_of(own), {attribute.name: attribute for attribute in own.attribute_proto})
    return schema_body(node, domain)


def own_function(node: Node) -> onnx.FunctionProto | None:
    """The function of the model itself that a node calls."""
    key = node.proto.domain, node.proto.op_type, node.proto.overload
    return node.importer.context.functions.get(key)


def opsets_of(proto: onnx.FunctionProto) -> dict[str, int]:
    """Versions of a function's domains; of those beyond what the installed onnx knows, its newest."""
    newest = onnx.defs.onnx_opset_version()
    return {opset.domain: min(max(opset.version, 1), newest) for opset in proto.opset_import}


def schema_body(node: Node, domain: str) -> FunctionBody | None:
    """The body that ONNX itself gives an operator, for the types at hand."""
    try:
        schema: Any = onnx.defs.get_schema(node.proto.op_type, node.opset, domain)
    except onnx.defs.SchemaError:
        return None
    proto = typed_body(schema, node) if schema.has_context_dependent_function else None
    if proto is None and schema.has_function:
        proto = schema.function_body
    if proto is None:
        return None
    defaults = {name: a.default_value for name, a in schema.attributes.items() if a.default_value.type}
    # A body without versions is written for the caller's; a caller of another domain may import no ai.onnx.
    opsets = opsets_of(proto) or node.importer.opsets
    return FunctionBody(proto, {"": onnx.defs.onnx_opset_version(), **opsets}, defaults)


def typed_body(schema: Any, node: Node) -> onnx.FunctionProto | None:
    """The body for the node's opset, or the newest before it: it says itself which versions it is written for.

    ONNX builds none where an operator in it has a newer version than the body was written for.
    """
    types = [type_of(value).SerializeToString() for value in node.inputs if value is not None]
    call = node.proto.SerializeToString()
    before = [version for version in schema.context_dependent_function_opset_versions if version <= node.opset]
    for version in (node.opset, *sorted(before, reverse=True)):
        try:
            data = schema.get_context_dependent_function_with_opset_version(version, call, types)
        except RuntimeError as error:
            raise node.error(f"its function cannot be built: {error}", help="the model is damaged") from None
        body: onnx.FunctionProto = onnx.FunctionProto.FromString(data)
        if body.node:
            return body
    return None


def check_expands(model: onnx.ModelProto, file: str) -> None:
    """Refuses functions that call functions that call functions, until no machine holds all their nodes.

    Raises:
        OnnxError: there would be too many.
    """
    functions = {(f.domain, f.name, f.overload): f for f in model.functions}
    sizes: dict[tuple[str, str, str], int] = {}

    def size(nodes: Iterable[onnx.NodeProto], depth: int) -> int:
        return sum(size_of(node, depth) for node in nodes)

    def size_of(node: onnx.NodeProto, depth: int) -> int:
        key = node.domain, node.op_type, node.overload
        if key not in functions or depth > MAX_DEPTH:  # what nests deeper is refused where it is met
            return 1 + sum(size(a.g.node, depth + 1) for a in node.attribute if a.HasField("g"))
        if key not in sizes:
            sizes[key] = size(functions[key].node, depth + 1)
        return sizes[key]

    if functions and size(model.graph.node, 0) > MOST_NODES:
        raise OnnxError(f"its functions expand to more than {MOST_NODES:,} nodes", at=file, help="the model is damaged")


def with_attributes(node: onnx.NodeProto, given: Mapping[str, onnx.AttributeProto]) -> onnx.NodeProto:
    """A node of a function with the attributes that refer to the function's own filled in."""
    if not any(attribute.ref_attr_name for attribute in node.attribute):
        return node
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    del copy.attribute[:]
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            copy.attribute.append(attribute)
        elif attribute.ref_attr_name in given:
            filled = copy.attribute.add()
            filled.CopyFrom(given[attribute.ref_attr_name])
            filled.name = attribute.name
    return copy
