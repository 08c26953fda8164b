"""One ONNX graph to ops: resolves names, lowers nodes, folds what is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from ircost.frontends.onnx.element_types import ELEMENT_TYPES
from ircost.frontends.onnx.errors import OnnxError
from ircost.frontends.onnx.external_data import ExternalData
from ircost.frontends.onnx.node import LOWERINGS, Node
from ircost.ir import ops
from ircost.ir.builder import detached_ops
from ircost.ir.constant import ConstantData, literal, unpack
from ircost.ir.errors import IrcError, UnsupportedError, did_you_mean
from ircost.ir.fold import folded as fold_op
from ircost.ir.graph import Block, Op, Value
from ircost.ir.location import Location
from ircost.ir.types import DType, TensorType

# No real tensor has more; a model that says so is damaged, or meant to exhaust the machine.
MAX_ELEMENTS = 1 << 40
MAX_DEPTH = 32  # graphs within graphs, functions within functions


@dataclass(slots=True)
class ModelContext:
    """What all graphs of one model share.

    Args:
        file: the model, as messages and locations name it.
        opsets: version of each domain.
        functions: model-local functions by (domain, name).
        external: finds external data.
        constant_weights: values of large ``Constant`` nodes, by output name.
        allow_opaque: take unknown operators as opaque ops.
    """

    file: str
    opsets: Mapping[str, int]
    functions: Mapping[tuple[str, str], onnx.FunctionProto]
    external: ExternalData
    constant_weights: Mapping[str, ConstantData]
    allow_opaque: bool
    nodes: int = 0
    inferred_types: dict[str, TensorType] | None = None
    model: onnx.ModelProto | None = None
    notes: list[str] = field(default_factory=list)


class GraphImporter:
    """Imports nodes into a block.

    Args:
        context: of the model.
        block: where ops go.
        outer: the importer of the graph around this one; its names are visible.
        prefix: put before node names: of an expanded function, the node that was expanded.
    """

    def __init__(
        self,
        context: ModelContext,
        block: Block,
        outer: GraphImporter | None = None,
        prefix: str = "",
        sees_outer: bool = True,
    ) -> None:
        self.context = context
        self.block = block
        self.outer = outer if sees_outer else None
        self.depth: int = outer.depth + 1 if outer is not None else 0
        self.prefix = prefix
        self.values: dict[str, Value] = {}
        self.pending: dict[str, onnx.TensorProto | ConstantData] = {}
        self.types: dict[str, TensorType] = {}
        self.last_weight: Op | None = None
        self.opsets = context.opsets
        if self.depth > MAX_DEPTH:
            raise OnnxError(f"graphs nest deeper than {MAX_DEPTH}", at=context.file)

    # ---- names

    def define(self, name: str, value: Value) -> None:
        """Binds a name; an empty one is an output that nobody wants."""
        if not name:
            return
        if name in self.values or name in self.pending:
            raise OnnxError(f"two values are called '{name}'", at=self.context.file, help="the model is damaged")
        self.values[name] = value
        if value.name is None:
            value.name = name

    def add_initializer(self, name: str, tensor: onnx.TensorProto, data: ConstantData | None) -> None:
        """A weight: becomes a constant when something reads it."""
        self.pending[name] = tensor
        if data is not None:
            self.types[name] = TensorType(tuple(tensor.dims), self.element_type_of(tensor, name))
            self.pending[name] = data

    def find(self, name: str) -> Value | None:
        """The value of that name here or in a graph around; None if there is none."""
        if name in self.values:
            return self.values[name]
        if name in self.pending:
            return self._constant(name)
        return self.outer.find(name) if self.outer is not None else None

    def _constant(self, name: str) -> Value:
        source = self.pending.pop(name)
        if isinstance(source, onnx.TensorProto):
            value = self.constant_of_tensor(source, name)
        else:
            value = constant_with(source, self.types[name])
        value.name = name
        self._place_on_top(value)
        self.values[name] = value
        return value

    def _place_on_top(self, value: Value) -> None:
        """Above all users, wherever the first one is; weights keep the order in which they are met."""
        op = value.producer
        assert op is not None, "a weight is made by a constant"
        below = self.last_weight.next if self.last_weight is not None else self.block.first
        if below is not None:
            self.block.insert_before(op, below)
        else:
            self.block.append(op)
        self.last_weight = op

    def names(self) -> list[str]:
        return [*self.values, *self.pending, *(self.outer.names() if self.outer else [])]

    # ---- tensors

    def constant_of_tensor(self, tensor: onnx.TensorProto, name: str) -> Value:
        """A detached constant with a tensor's values; external ones stay in their file."""
        dtype = self.element_type_of(tensor, name)
        type = TensorType(tuple(tensor.dims), dtype)
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            return constant_with(self.context.external.slice_of(tensor, name), type)
        if tensor.HasField("raw_data") and dtype.bits >= 8:
            from ircost.ir.constant import Literal

            if len(tensor.raw_data) != type.size_bytes:
                raise OnnxError(
                    f"'{name}' is {type} and has {len(tensor.raw_data)} bytes, {type.size_bytes} expected",
                    at=self.context.file,
                    help="the model is damaged",
                )
            return constant_with(Literal(tensor.raw_data, dtype), type)
        return constant_with(literal(self.array_of(tensor)), type)

    def array_of(self, tensor: onnx.TensorProto) -> np.ndarray:
        """The values of a tensor that holds them itself."""
        dtype = self.element_type_of(tensor, tensor.name)
        try:
            if tensor.HasField("raw_data") and dtype.bits < 8:
                elements = int(np.prod(tensor.dims, dtype=np.int64))
                return unpack(tensor.raw_data, dtype, elements).reshape(tuple(tensor.dims))
            return onnx.numpy_helper.to_array(tensor)
        except (ValueError, TypeError) as error:
            raise OnnxError(f"tensor '{tensor.name}' is damaged: {error}", at=self.context.file) from None

    def element_type_of(self, tensor: onnx.TensorProto, name: str) -> DType:
        dtype = ELEMENT_TYPES.get(tensor.data_type)
        if dtype is None:
            raise UnsupportedError(
                f"'{name}' holds {element_type_name(tensor.data_type)}, which no tensor here can", at=self.context.file
            )
        return dtype

    def element_type(self, number: int, node: Node) -> DType:
        """The number format of an ONNX element type."""
        if number not in ELEMENT_TYPES:
            raise UnsupportedError(
                f"{node.proto.op_type}: {element_type_name(number)} is not supported", at=self.location(node)
            )
        return ELEMENT_TYPES[number]

    def check_elements(self, elements: int, node: Node) -> None:
        """Refuses tensors that no machine holds."""
        if elements > MAX_ELEMENTS:
            raise node.error(
                f"the result would have {elements:,} elements", help="the model is damaged, or a bound input is"
            )

    # ---- nodes

    def location(self, node: Node) -> Location:
        return Location(self.context.file, (self.prefix + node.name,))

    def run(self, nodes: Iterable[onnx.NodeProto]) -> None:
        """Lowers nodes in order; one that stands above a producer waits for it. Linear in nodes and edges."""
        waiting: dict[str, list[onnx.NodeProto]] = {}
        for proto in nodes:
            ready = [proto]
            while ready:
                node = ready.pop()
                missing = next((name for name in node.input if name and self.find(name) is None), None)
                if missing is not None:
                    waiting.setdefault(missing, []).append(node)
                    continue
                self._lower(node)
                ready.extend(user for name in node.output for user in waiting.pop(name, ()))
        if waiting:
            self._report_missing([node for users in waiting.values() for node in users])

    def _lower(self, proto: onnx.NodeProto) -> None:
        self.context.nodes += 1
        self._node(proto, [self.find(name) if name else None for name in proto.input])

    def _report_missing(self, left: Sequence[onnx.NodeProto]) -> None:
        made = {name for node in left for name in node.output}
        for node in left:
            for name in node.input:
                if name and self.find(name) is None and name not in made:
                    raise OnnxError(
                        f"{node.op_type} '{node.name}' reads '{name}', which nothing makes",
                        at=self.context.file,
                        help=did_you_mean(name, self.names()) or "the model is damaged",
                    )
        cycle = ", ".join(f"'{node.name or node.op_type}'" for node in left[:4])
        raise OnnxError(
            f"nodes wait for each other in a circle: {cycle}", at=self.context.file, help="the model is damaged"
        )

    def _node(self, proto: onnx.NodeProto, inputs: list[Value | None]) -> None:
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        node = Node(proto, inputs, self.opsets.get(domain, 1), self)
        if proto.op_type == "Constant" and not domain:
            self.define(proto.output[0], self._constant_node(node))
            return
        lowering = LOWERINGS.get((domain, proto.op_type))
        if lowering is None:
            self._without_lowering(node, domain)
            return
        location = self.location(node)
        try:
            results = lowering(node)
        except OnnxError:
            raise
        except IrcError as error:
            raise type(error)(f"{proto.op_type}: {error.message}", at=error._at or location, help=error.help) from None
        self.finish(node, [results] if isinstance(results, Value) else list(results), location)

    def finish(self, node: Node, results: Sequence[Value], location: Location) -> None:
        """Places the ops behind ``results`` and binds the node's outputs to them."""
        if any(node.proto.output[len(results) :]):
            raise node.error(f"{len(node.proto.output)} outputs, {len(results)} are supported")
        placed = self.place(results, location)
        for name, value in zip(node.proto.output, placed, strict=False):
            if name in self.values or name in self.pending:
                raise OnnxError(f"two values are called '{name}'", at=location, help="the model is damaged")
            if name:
                self.values[name] = value
                if value.name is None and value.producer is not None and value.producer.block is self.block:
                    value.name = name

    def place(self, values: Sequence[Value], location: Location) -> list[Value]:
        """Appends the detached ops that values are made of; what is known and small becomes a constant."""
        folded: dict[Value, Value] = {}
        for op in detached_ops(values):
            if folded and any(operand in folded for operand in op.operands):
                op.operands = tuple(folded.get(operand, operand) for operand in op.operands)
            op.location = location
            results = fold_op(op) if op.operands else None
            if results is None:
                self._check_size(op, location)
                self._append_constants(op.operands, location)
                self.block.append(op)
                continue
            for old, new in zip(op.results, results, strict=True):
                folded[old] = new
        placed = [folded.get(value, value) for value in values]
        self._append_constants(placed, location)
        return placed

    def _append_constants(self, values: Sequence[Value], location: Location) -> None:
        """Folded constants that are needed from here on; those that only led to others never appear."""
        for value in values:
            if value.producer is not None and value.producer.block is None:
                value.producer.location = location
                self.block.append(value.producer)

    def _check_size(self, op: Op, location: Location) -> None:
        for result in op.results:
            if result.type.elements > MAX_ELEMENTS:
                raise OnnxError(
                    f"{op.name}: a result of {result.type} is larger than any memory",
                    at=location,
                    help="the model is damaged",
                )

    def _constant_node(self, node: Node) -> Value:
        name = node.proto.output[0]
        stored = self.context.constant_weights.get(name) if self.outer is None and not self.prefix else None
        value = self._constant_value(node, stored)
        op = value.producer
        assert op is not None
        op.location = self.location(node)
        self.block.append(op)
        return value

    def _constant_value(self, node: Node, stored: ConstantData | None) -> Value:
        attributes = node.attributes
        if "value" in attributes:
            tensor = attributes["value"].t
            if stored is not None:
                return constant_with(stored, TensorType(tuple(tensor.dims), self.element_type_of(tensor, node.name)))
            return self.constant_of_tensor(tensor, node.name)
        for name, dtype in (
            ("value_int", np.int64),
            ("value_float", np.float32),
            ("value_ints", np.int64),
            ("value_floats", np.float32),
        ):
            if name in attributes:
                return ops.constant_of(np.array(onnx.helper.get_attribute_value(attributes[name]), dtype))
        raise node.error(f"a constant by {', '.join(attributes) or 'nothing'} is not supported")

    # ---- operators without a lowering of ours

    def _without_lowering(self, node: Node, domain: str) -> None:
        function = self.context.functions.get((node.proto.domain, node.proto.op_type))
        if function is not None:
            opsets = {o.domain: o.version for o in function.opset_import}
            self._expand(node, function, opsets)
            return
        body = schema_function(node, domain)
        if body is not None:
            self._expand(node, body, {o.domain: o.version for o in body.opset_import} or dict(self.opsets))
            return
        if self.context.allow_opaque:
            self._opaque(node, domain)
            return
        name = f"{domain}::{node.proto.op_type}" if domain else node.proto.op_type
        known = [op_type for d, op_type in LOWERINGS if d == domain]
        near = did_you_mean(node.proto.op_type, known) if known else ""
        raise UnsupportedError(
            f"operator {name} (domain '{domain or 'ai.onnx'}', opset {node.opset}) is not supported",
            at=self.location(node),
            help=f"{near} --allow-opaque takes it without a cost".strip(),
        )

    def _expand(self, node: Node, function: onnx.FunctionProto, opsets: Mapping[str, int]) -> None:
        """Lowers a function's body in place of the node."""
        inner = GraphImporter(self.context, self.block, self, f"{self.prefix}{node.name}/", sees_outer=False)
        inner.opsets = opsets
        for name, value in zip(function.input, node.inputs, strict=False):
            if value is not None:
                inner.values[name] = value
        given = {attribute.name: attribute for attribute in node.proto.attribute}
        defaults = {attribute.name: attribute for attribute in function.attribute_proto}
        nodes = [with_attributes(body, {**defaults, **given}) for body in function.node]
        before = self.context.nodes
        inner.run(nodes)
        self.context.nodes = before
        for name, output in zip(function.output, node.proto.output, strict=False):
            if output:
                found = inner.find(name)
                if found is None:
                    raise node.error(f"its function does not make output '{name}'")
                self.values[output] = found

    def _opaque(self, node: Node, domain: str) -> None:
        types = [self._inferred_type(name, node) for name in node.proto.output if name]
        name = f"{domain}::{node.proto.op_type}" if domain else node.proto.op_type
        attributes = tuple(
            sorted(f"{a.name}={onnx.helper.get_attribute_value(a)!r}"[:200] for a in node.proto.attribute)
        )
        op = ops.opaque.create(
            node.given, {"op": name, "attributes": attributes}, result_types=types, location=self.location(node)
        )
        self.block.append(op)
        for output, value in zip((n for n in node.proto.output if n), op.results, strict=True):
            self.define(output, value)

    def _inferred_type(self, name: str, node: Node) -> TensorType:
        if self.context.inferred_types is None:
            self.context.inferred_types = inferred_types(self.context.model)
        if name not in self.context.inferred_types:
            raise UnsupportedError(
                f"operator {node.proto.op_type} is not known, and nothing says what shape its output '{name}' has",
                at=self.location(node),
                help="let the model say: value_info with static dims",
            )
        return self.context.inferred_types[name]


def constant_with(data: ConstantData, type: TensorType) -> Value:
    return ops.constant.create((), {"value": data}, result_types=(type,)).result


def element_type_name(number: int) -> str:
    known = {value: str(name).lower() for name, value in onnx.TensorProto.DataType.items()}
    return str(known.get(number, f"element type {number}"))


def schema_function(node: Node, domain: str) -> onnx.FunctionProto | None:
    """The body that ONNX itself gives an operator, for the types at hand."""
    try:
        schema: Any = onnx.defs.get_schema(node.proto.op_type, node.opset, domain)
    except onnx.defs.SchemaError:
        return None
    if schema.has_context_dependent_function:
        types = [type_proto(value) for value in node.inputs if value is not None]
        serialized = schema.get_context_dependent_function_with_opset_version(
            node.opset, node.proto.SerializeToString(), [t.SerializeToString() for t in types]
        )
        expanded: onnx.FunctionProto = onnx.FunctionProto.FromString(serialized)
        return expanded
    body: onnx.FunctionProto | None = schema.function_body if schema.has_function else None
    return body


def type_proto(value: Value) -> onnx.TypeProto:
    numbers = {dtype: number for number, dtype in ELEMENT_TYPES.items()}
    return onnx.helper.make_tensor_type_proto(numbers[value.type.dtype], value.type.shape)


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
            filled = onnx.AttributeProto()
            filled.CopyFrom(given[attribute.ref_attr_name])
            filled.name = attribute.name
            copy.attribute.append(filled)
    return copy


def inferred_types(model: onnx.ModelProto | None) -> dict[str, TensorType]:
    """Static types that ONNX's own shape inference finds."""
    assert model is not None, "the context of a whole model has it"
    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {}
    for info in (*graph.value_info, *graph.output):
        tensor = info.type.tensor_type
        dims = [dim.dim_value for dim in tensor.shape.dim if dim.HasField("dim_value")]
        if tensor.elem_type in ELEMENT_TYPES and tensor.HasField("shape") and len(dims) == len(tensor.shape.dim):
            types[info.name] = TensorType(tuple(dims), ELEMENT_TYPES[tensor.elem_type])
    return types
