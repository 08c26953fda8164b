"""Writing a graph: which ops are needed, in which order, and under which names."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from ircost.backends.onnx.blocked import Plan, in_blocks
from ircost.backends.onnx.blocked_layout import DOMAIN, guard
from ircost.backends.onnx.element_types import LEAST_OPSET, OPSETS, element_type, value_info
from ircost.backends.onnx.emitter import Scope, emitted
from ircost.backends.onnx.node import Array, Attribute, Input, Known, Node, Output, values_of
from ircost.backends.onnx.tensors import TensorStore
from ircost.ir.errors import UnsupportedError
from ircost.ir.graph import Block, Op, Region, Value
from ircost.ir.numpy_dtypes import dtype_of
from ircost.ir.types import TensorType

Names = MutableMapping[Value, str]


class UniqueNames:
    """Names, each once: those of the model, with a number where they repeat."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def take(self, wanted: str) -> str:
        count = self._counts.get(wanted)
        if count is None:
            self._counts[wanted] = 0
            return wanted
        while True:
            count += 1
            self._counts[wanted] = count
            name = f"{wanted}_{count}"
            if name not in self._counts:
                self._counts[name] = 0
                return name


@dataclass(slots=True)
class Frame:
    """Initializers of one graph, and their names by what they are."""

    tensors: list[onnx.TensorProto] = field(default_factory=list)
    names: dict[Any, str] = field(default_factory=dict)


class GraphWriter:
    """Nodes of one graph and those nested in it; an initializer stands in the first graph that needs it.

    Runtimes bring weights into an order of their own once, but not those that a nested graph takes from around it.

    Args:
        scope: what emitters may ask.
        store: takes the values of initializers.
        tensor_names: names of values, inputs and outputs taken already.
    """

    def __init__(self, scope: Scope, store: TensorStore, tensor_names: UniqueNames) -> None:
        self.scope = scope
        self.store = store
        self.tensor_names = tensor_names
        self.node_names = UniqueNames()
        self.opset = LEAST_OPSET
        self.domains: set[str] = set()
        self.frames = [Frame()]
        self._outputs: dict[Node, list[str]] = {}

    def block(self, block: Block, names: Names, nodes: list[onnx.NodeProto]) -> list[str]:
        """Appends the nodes of a block; names of what it hands back.

        Raises:
            UnsupportedError: an op has no ONNX operator; names it and its node.
        """
        for op, made in self._laid_out(block):
            self._op(op, made, names, nodes)
        return [self._name(value, names, nodes, "") for value in block.terminator.operands]

    def _laid_out(self, block: Block) -> Plan:
        plan = self._plan(block)
        return in_blocks(plan, block.terminator.operands, self.scope) if self.scope.block else plan

    def _plan(self, block: Block) -> Plan:
        """Ops whose results somebody needs, top to bottom: those that a larger operator takes in are not."""
        needed = set(block.terminator.operands)
        plan = []
        for op in reversed(list(block.ops)):
            if op.definition.is_terminator or op in self.scope.at_load or not needed.intersection(op.results):
                continue
            made = emitted(op, self.scope)
            if made is None:
                raise UnsupportedError(
                    f"{op.attrs.get('op', op.name)}: no ONNX operator does what it does",
                    at=op,
                    help="irc ops lists what each op means",
                )
            plan.append((op, made))
            needed.update(values_of(made))
            needed.update(value for inner in op.walk() if inner is not op for value in inner.operands)
        return plan[::-1]

    def _op(self, op: Op, made: Sequence[Input], names: Names, nodes: list[onnx.NodeProto]) -> None:
        label = label_of(op)
        wanted: dict[tuple[Node, int], str] = {}
        for result, item in zip(op.results, made, strict=True):
            if isinstance(item, Node):
                wanted[item, 0] = self._result_name(result, names)
            elif isinstance(item, Output):
                wanted[item.node, item.index] = self._result_name(result, names)
        for result, item in zip(op.results, made, strict=True):
            names[result] = self._name(item, names, nodes, label, wanted)

    def _result_name(self, result: Value, names: Names) -> str:
        return names[result] if result in names else self.tensor_names.take(result.name or "v")

    def _name(
        self,
        item: Input,
        names: Names,
        nodes: list[onnx.NodeProto],
        label: str,
        wanted: dict[tuple[Node, int], str] | None = None,
    ) -> str:
        """The name of an input, once what makes it is written."""
        if item is None:
            return ""
        if isinstance(item, Value):
            return self._known(Known(item, "", lambda a: a)) if self.scope.is_known(item) else names[item]
        if isinstance(item, Known):
            return self._known(item)
        if isinstance(item, Array):
            return self._array(item)
        node, index = (item.node, item.index) if isinstance(item, Output) else (item, 0)
        if node not in self._outputs:
            self._node(node, names, nodes, label, wanted or {})
        return self._outputs[node][index]

    def _node(
        self, node: Node, names: Names, nodes: list[onnx.NodeProto], label: str, wanted: dict[tuple[Node, int], str]
    ) -> None:
        inputs = [self._name(item, names, nodes, label) for item in node.inputs]
        while inputs and not inputs[-1]:
            inputs.pop()
        outputs = [
            wanted.get((node, i)) or self.tensor_names.take(f"{label or 'v'}_{node.operator.lower()}")
            for i in range(node.outputs)
        ]
        self._outputs[node] = outputs
        self.opset = max(self.opset, node.opset)
        self.domains.add(node.domain)
        if node.operator == "Loop":
            nodes.append(self._loop(node, inputs, outputs, names, nodes, label))
            return
        attributes = {name: self._attribute(value, names) for name, value in node.attributes.items()}
        nodes.append(
            onnx.helper.make_node(
                *(node.operator, inputs, outputs),
                name=self.node_names.take(label or node.operator),
                domain=node.domain or None,
                **attributes,
            )
        )

    # ---- nested graphs

    def _attribute(self, value: Attribute, names: Names) -> Any:
        if not isinstance(value, Region):
            return list(value) if isinstance(value, tuple) else value
        inner = ChainMap({}, names) if not isinstance(names, ChainMap) else names.new_child()
        inputs = self._arguments(value.block, inner)
        nodes: list[onnx.NodeProto] = []
        self.frames.append(Frame())
        results = self.block(value.block, inner, nodes)
        return self._graph(nodes, inputs, results, [v.type for v in value.block.terminator.operands])

    def _arguments(self, block: Block, names: Names) -> list[onnx.ValueInfoProto]:
        for argument in block.arguments:
            names[argument] = self.tensor_names.take(argument.name or "a")
        return [value_info(names[argument], argument.type) for argument in block.arguments]

    def _graph(
        self,
        nodes: list[onnx.NodeProto],
        inputs: list[onnx.ValueInfoProto],
        results: list[str],
        types: Sequence[TensorType],
    ) -> onnx.GraphProto:
        """A nested graph; each result has a name of its own that a node in it makes."""
        outputs = []
        free = {name for node in nodes for name in node.output}
        for name, type in zip(results, types, strict=True):
            if name in free:
                free.remove(name)
                outputs.append(value_info(name, type))
                continue
            fresh = self.tensor_names.take("result")
            nodes.append(onnx.helper.make_node("Identity", [name], [fresh], name=self.node_names.take("Identity")))
            outputs.append(value_info(fresh, type))
        return onnx.helper.make_graph(nodes, self.node_names.take("body"), inputs, outputs, self.frames.pop().tensors)

    def _loop(
        self,
        node: Node,
        states: list[str],
        outputs: list[str],
        names: Names,
        nodes: list[onnx.NodeProto],
        label: str,
    ) -> onnx.NodeProto:
        """The condition before the first trip stands in front of the loop, all others at the end of its body."""
        condition, body = node.attributes["condition"], node.attributes["body"]
        assert isinstance(condition, Region) and isinstance(body, Region), "both are bodies"
        before = ChainMap({}, names)
        before.update(zip(condition.block.arguments, states, strict=True))
        first = self.block(condition.block, before, nodes)[0]
        inner = ChainMap({}, names)
        trip, going = (self.tensor_names.take(name) for name in ("trip", "going"))
        infos = self._arguments(body.block, inner)
        inner_nodes: list[onnx.NodeProto] = []
        self.frames.append(Frame())
        results = self.block(body.block, inner, inner_nodes)
        after = ChainMap({}, inner)
        after.update(zip(condition.block.arguments, results, strict=False))
        again = self.block(condition.block, after, inner_nodes)[0]
        scalar, truth = (TensorType((), dtype_of(np.empty(0, kind))) for kind in (np.int64, np.bool_))
        types = [truth, *(value.type for value in body.block.terminator.operands)]
        graph = self._graph(
            inner_nodes, [value_info(trip, scalar), value_info(going, truth), *infos], [again, *results], types
        )
        return onnx.helper.make_node(
            "Loop", ["", first, *states], outputs, name=self.node_names.take(label or "Loop"), body=graph
        )

    # ---- initializers

    def _known(self, known: Known) -> str:
        return self._initializer(
            (known.value, known.form),
            known.value.name or "weight",
            lambda: known.change(self.scope.array(known.value)),
        )

    def _array(self, item: Array) -> str:
        key = (item.array.tobytes(), str(item.array.dtype), item.array.shape)
        return self._initializer(key, "constant", lambda: item.array)

    def _initializer(self, key: Any, wanted: str, make: Callable[[], np.ndarray]) -> str:
        """The name of what is there already, here or around, or of a new one."""
        for frame in self.frames:
            if key in frame.names:
                return frame.names[key]
        array = make()
        name = self.frames[-1].names[key] = self.tensor_names.take(wanted)
        dtype = dtype_of(array)
        self.opset = max(self.opset, OPSETS.get(dtype.name, LEAST_OPSET))
        self.frames[-1].tensors.append(self.store.tensor(name, array, element_type(dtype)))
        return name

    def guarded(self, nodes: list[onnx.NodeProto]) -> None:
        """Lets the model fail where a runtime's blocks have another size than those of its weights."""
        if DOMAIN in self.domains:
            self._name(guard(self.scope.block), {}, nodes, f"weights_are_in_blocks_of_{self.scope.block}")

    def named(self, value: Value, names: Names, nodes: list[onnx.NodeProto], name: str) -> None:
        """Makes an output of the graph: a copy where the value has another name already."""
        have = self._name(value, names, nodes, "")
        if have != name:
            nodes.append(onnx.helper.make_node("Identity", [have], [name], name=self.node_names.take("Identity")))


def label_of(op: Op) -> str:
    return op.location.nodes[-1] if op.location is not None and op.location.nodes else op.name
