"""One ONNX graph to ops: resolves names, lowers nodes, folds what is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnx

from ircost.frontends.onnx.context import ModelContext
from ircost.frontends.onnx.declared import check_declared
from ircost.frontends.onnx.errors import OnnxError
from ircost.frontends.onnx.expansion import MAX_DEPTH, FunctionBody, function_body, own_function
from ircost.frontends.onnx.node import LOWERINGS, Node
from ircost.frontends.onnx.older_opsets import FIRST_OPSET, bring_to_opset_7
from ircost.frontends.onnx.opaque import opaque_op
from ircost.frontends.onnx.refused import REFUSED
from ircost.frontends.onnx.second_opinion import REPORT_IF_VALID, STUMBLES, complaint, inputs_do_not_fit
from ircost.frontends.onnx.sequence_value import Absent, OnnxValue, SequenceValue, tensors_of, with_tensors
from ircost.frontends.onnx.tensors import constant_of_tensor, constant_with, dense, tensor_type
from ircost.frontends.placing import place
from ircost.ir import ops
from ircost.ir.constant import ConstantData
from ircost.ir.errors import IrcError, UnsupportedError, did_you_mean
from ircost.ir.graph import Block, Op, Value
from ircost.ir.location import Location
from ircost.ir.types import TensorType

# No real tensor has more; a model that says so is damaged, or meant to exhaust the machine.
MAX_ELEMENTS = 1 << 40


class GraphImporter:
    """Imports nodes into a block.

    Args:
        context: of the model.
        block: where ops go.
        outer: the importer of the graph around this one.
        prefix: put before node names: of an expanded function, the node that was expanded.
        sees_outer: whether the names of the graph around are visible, as they are to a branch or a loop's body.
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
        self.values: dict[str, OnnxValue] = {}
        self.pending: dict[str, onnx.TensorProto | ConstantData] = {}
        self.types: dict[str, TensorType] = {}
        self.last_weight: Op | None = None
        self.opsets: Mapping[str, int] = outer.opsets if outer is not None else context.opsets
        if self.depth > MAX_DEPTH:
            raise OnnxError(f"graphs nest deeper than {MAX_DEPTH}", at=context.file)

    # ---- names

    def define(self, name: str, value: OnnxValue) -> None:
        """Binds a name; an empty one is an output that nobody wants."""
        if not name:
            return
        if name in self.values or name in self.pending:
            raise OnnxError(f"two values are called '{name}'", at=self.context.file, help="the model is damaged")
        self.values[name] = value
        if isinstance(value, Value) and value.name is None:
            value.name = name

    def add_initializer(self, name: str, tensor: onnx.TensorProto, data: ConstantData | None) -> None:
        """A weight: becomes a constant when something reads it."""
        self.pending[name] = tensor
        if data is not None:
            self.types[name] = tensor_type(tensor, name, self.context.file)
            self.pending[name] = data

    def add_sparse(self, tensor: onnx.SparseTensorProto) -> None:
        """A weight that is stored sparse, and lies in memory dense."""
        name = tensor.values.name
        self.define(name, self.place([dense(tensor, name, self.context)], Location(self.context.file, (name,)))[0])

    def find(self, name: str) -> OnnxValue | None:
        """The value of that name here or in a graph around; None if there is none."""
        if name in self.values:
            return self.values[name]
        if name in self.pending:
            return self._weight(name)
        return self.outer.find(name) if self.outer is not None else None

    def _weight(self, name: str) -> Value:
        source = self.pending.pop(name)
        if isinstance(source, onnx.TensorProto):
            value = constant_of_tensor(source, name, self.context)
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

    def _lower(self, proto: onnx.NodeProto) -> None:
        inputs = [self.find(name) if name else None for name in proto.input]
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        node = Node(proto, inputs, self.opsets.get(domain, 1), self)
        if own_function(node) is None:
            check_declared(node, domain)
        if proto.op_type == "Constant" and not domain:
            if not proto.output:
                raise node.error("it has no output", help="the model is damaged")
            self.define(proto.output[0], self._constant_node(node))
            return
        lowering = LOWERINGS.get((domain, proto.op_type))
        if lowering is None:
            self._without_lowering(node, domain)
            return
        location = self.location(node)
        try:
            if node.opset < FIRST_OPSET and not domain:
                bring_to_opset_7(node)
            results = lowering(node)
        except IrcError as error:
            if isinstance(error, OnnxError) or isinstance(error.at, Location):
                raise  # a node of a nested graph; it is named already
            raise type(error)(f"{proto.op_type}: {error.message}", at=error.at or location, help=error.help) from None
        except STUMBLES as stumble:
            reason = complaint(node)
            if reason is None:
                raise node.error(inputs_do_not_fit(node), help=REPORT_IF_VALID) from stumble
            raise node.error(reason, help="the model is damaged, or a dim is bound to what it cannot be") from None
        is_one = isinstance(results, (Value, SequenceValue, Absent))
        self._finish(node, [results] if is_one else results, location)  # type: ignore[list-item,arg-type]

    def _finish(self, node: Node, results: Sequence[OnnxValue], location: Location) -> None:
        """Places the ops behind ``results`` and binds the node's outputs to them."""
        names = list(node.proto.output)
        if len(names) > len(results) and any(names[len(results) :]):
            raise node.error(f"{len(names)} outputs, {len(results)} are supported")
        tensors = self.place([tensor for result in results for tensor in tensors_of(result)], location)
        for name, result in zip(names, results, strict=False):
            value = with_tensors(result, tensors)
            if name in self.values or name in self.pending:
                raise OnnxError(f"two values are called '{name}'", at=location, help="the model is damaged")
            if name:
                self.values[name] = value
                if isinstance(value, Value):
                    self._suggest_name(value, name)

    def _suggest_name(self, value: Value, name: str) -> None:
        """Names what was made here, and has no name yet."""
        if value.name is None and value.producer is not None and value.producer.block is self.block:
            value.name = name

    def _without_lowering(self, node: Node, domain: str) -> None:
        body = function_body(node, domain)
        if body is not None:
            self._expand(node, body)
        elif self.context.allow_opaque:
            op = opaque_op(node)
            self.block.append(op)
            for output, value in zip((name for name in node.proto.output if name), op.results, strict=True):
                self.define(output, value)
        else:
            raise unknown_operator(node, domain)

    def _expand(self, node: Node, body: FunctionBody) -> None:
        """Lowers a function's body in place of the node."""
        if len(node.inputs) > len(body.proto.input):
            raise node.error(f"{len(node.inputs)} inputs, its function has {len(body.proto.input)}")
        inner = GraphImporter(self.context, self.block, self, f"{self.prefix}{node.name}/", sees_outer=False)
        inner.opsets = body.opsets
        for name, value in zip(body.proto.input, node.inputs, strict=False):
            if value is not None:
                inner.values[name] = value
        inner.run(body.nodes_for(node.proto))
        for name, output in zip(body.proto.output, node.proto.output, strict=False):
            found = inner.find(name) if output else None
            if output and found is None:
                raise node.error(f"its function does not make output '{name}'")
            if found is not None:
                self.define(output, found)

    # ---- ops

    def place(self, values: Sequence[Value], location: Location) -> list[Value]:
        """Appends the detached ops that values are made of; what is known and small becomes a constant."""
        return place(self.block, values, location, lambda op: self._check_size(op, location))

    def _check_size(self, op: Op, location: Location) -> None:
        for result in op.results:
            if result.type.elements > MAX_ELEMENTS:
                raise OnnxError(
                    f"{op.name}: a result of {result.type} is larger than any memory",
                    at=location,
                    help="the model is damaged",
                )

    def check_elements(self, elements: int, node: Node) -> None:
        """Refuses tensors that no machine holds."""
        if elements > MAX_ELEMENTS:
            raise node.error(
                f"the result would have {elements:,} elements", help="the model is damaged, or a bound input is"
            )

    def _constant_node(self, node: Node) -> Value:
        if "sparse_value" in node.attributes:
            sparse = dense(node.attributes["sparse_value"].sparse_tensor, node.name, self.context)
            return self.place([sparse], self.location(node))[0]
        is_top_level = self.outer is None and not self.prefix
        stored = self.context.constant_weights.get(node.proto.output[0]) if is_top_level else None
        value = constant_value(node, stored)
        assert value.producer is not None, "a constant op makes it"
        value.producer.location = self.location(node)
        self.block.append(value.producer)
        return value


def constant_value(node: Node, stored: ConstantData | None) -> Value:
    """What a ``Constant`` node holds; ``stored`` if its bytes were left in the file."""
    if "value" in node.attributes:
        tensor = node.attributes["value"].t
        if stored is not None:
            return constant_with(stored, tensor_type(tensor, node.name, node.importer.context.file))
        return constant_of_tensor(tensor, node.name, node.importer.context)
    numbers: dict[str, object] = {
        "value_int": node.int("value_int", 0),
        "value_ints": node.ints("value_ints", ()),
        "value_float": node.float("value_float", 0.0),
        "value_floats": node.floats("value_floats", ()),
    }
    for name, number in numbers.items():
        if name in node.attributes:
            return ops.constant_of(np.array(number, np.int64 if "int" in name else np.float32))
    raise node.error(f"a constant by {', '.join(node.attributes) or 'nothing'} is not supported")


def unknown_operator(node: Node, domain: str) -> UnsupportedError:
    reason = REFUSED.get((domain, node.proto.op_type))
    if reason is not None:
        return UnsupportedError(f"operator {node.operator} is refused: {reason}", at=node.importer.location(node))
    known = [op_type for d, op_type in LOWERINGS if d == domain]
    near = did_you_mean(node.proto.op_type, known) if known else ""
    return UnsupportedError(
        f"operator {node.operator} (domain '{domain or 'ai.onnx'}', opset {node.opset}) is not supported",
        at=node.importer.location(node),
        help=f"{near} --allow-opaque takes it without a cost".strip(),
    )
