"""An exported graph to ops."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from ircost.frontends.placing import place
from ircost.frontends.torch.call import LOWERINGS, Call
from ircost.frontends.torch.errors import TorchError
from ircost.frontends.torch.tensors import data_of, type_of
from ircost.ir import ops
from ircost.ir.errors import IrcError, UnsupportedError
from ircost.ir.graph import Block, Op, Value
from ircost.ir.location import Location

# Wrappers around a part of the graph; the part is the first argument that is a graph, what it takes follows.
WRAPPERS = ("wrap_with_set_grad_enabled", "wrap_with_autocast")
MAX_ELEMENTS = 1 << 40
LONGEST_ARGUMENT = 100  # characters that an opaque op keeps of each


@dataclass(slots=True)
class GraphImporter:
    """Lowers nodes into a block.

    Args:
        block: where ops go.
        name: of the module, for messages.
        allow_opaque: take operators that are not known without a cost.
        values: of nodes; of those with several results a list.
        nodes: operators so far.
    """

    block: Block
    name: str
    allow_opaque: bool
    values: dict[Node, Any] = field(default_factory=dict)
    nodes: int = 0

    def run(self, graph_module: GraphModule) -> Any:
        """Lowers all nodes below the placeholders, which have values already; returns what the graph returns."""
        self.check_known(graph_module)
        for node in graph_module.graph.nodes:
            if node.op == "call_function":
                self.values[node] = self.lower(node, graph_module)
            elif node.op == "get_attr" and node.users:
                self.values[node] = self.attribute(node, graph_module)
            elif node.op == "output":
                return map_arg(node.args[0], self.value_of)
        raise AssertionError("a graph has an output")

    def value_of(self, node: Node) -> Any:
        return self.values[node]

    def attribute(self, node: Node, graph_module: GraphModule) -> Any:
        """A nested graph as it is; a tensor as a constant."""
        found: Any = graph_module
        for step in str(node.target).split("."):
            found = getattr(found, step)
        return self.constant(found, str(node.target)) if isinstance(found, torch.Tensor) else found

    def constant(self, tensor: torch.Tensor, name: str) -> Value:
        """A parameter, a buffer or a tensor of the graph."""
        location = Location(self.name, (name,))
        type = type_of(tensor, location)
        op = ops.constant.create((), {"value": data_of(tensor, name, location)}, result_types=(type,))
        op.location = location
        op.result.name = name
        self.block.append(op)
        return op.result

    # ---- operators

    def check_known(self, graph_module: GraphModule) -> None:
        """Raises:
        UnsupportedError: operators are not known; names each, how often it occurs, and where at first.
        """
        if self.allow_opaque:
            return
        calls = [node for node in graph_module.graph.nodes if node.op == "call_function" and not is_known(node)]
        if not calls:
            return
        counts = Counter(str(node.target) for node in calls)
        listed = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
        raise UnsupportedError(
            f"operators are not supported: {listed}",
            at=self.location(calls[0]),
            help="allow_opaque=True takes them without a cost",
        )

    def location(self, node: Node) -> Location:
        """The module that a node is in; of one that is not PyTorch's own, with the node's name."""
        stack: Mapping[str, tuple[str, Any]] = node.meta.get("nn_module_stack") or {}
        path, kind = next(reversed(list(stack.values())), ("", ""))
        is_leaf = "torch.nn.modules" in (kind if isinstance(kind, str) else getattr(kind, "__module__", ""))
        plain = str(path).removeprefix("L__self__").lstrip(".")
        name = plain if is_leaf and plain else f"{plain}.{node.name}".lstrip(".")
        return Location(self.name, (name,))

    def lower(self, node: Node, graph_module: GraphModule) -> Any:
        args: Sequence[Any] = map_arg(node.args, self.value_of)
        kwargs: Mapping[str, Any] = map_arg(node.kwargs, self.value_of)
        if node.target is operator.getitem:
            return self.item(node, args)
        if is_wrapper(node):
            return self.inline(args)
        self.nodes += 1
        location = self.location(node)
        lowering = LOWERINGS.get(str(node.target))
        call = Call(node, location)
        if lowering is None:
            return self.opaque(call, args, kwargs)
        try:
            results = lowering(call, *args, **kwargs)
        except IrcError as error:
            if error.at is not None:
                raise
            message = f"{node.target}: {error.message}"
            raise type(error)(message, at=location, help=error.help) from None
        except TypeError as error:
            if "argument" not in str(error):
                raise
            raise call.error(f"arguments that are not supported: {error}") from None
        return self.finish(call, results)

    def finish(self, call: Call, results: Value | Sequence[Value | None]) -> Any:
        """Places the ops behind results, whose types must be those that PyTorch has found."""
        values = [results] if isinstance(results, Value) else list(results)
        wanted = call.node.meta.get("val")
        expected = [wanted] if isinstance(wanted, torch.Tensor) else list(wanted or ())
        for i, (value, tensor) in enumerate(zip(values, expected, strict=False)):
            if value is None or not isinstance(tensor, torch.Tensor) or not is_read(call.node, i, wanted):
                continue
            type = type_of(tensor, call.location)
            if value.type != type:
                raise call.error(f"lowered to {value.type}, PyTorch says {type}", help="please report this model")
        used = [
            value if value is not None and is_read(call.node, i, wanted) else None for i, value in enumerate(values)
        ]
        placed = iter(place(self.block, [v for v in used if v is not None], call.location, self.check_size(call)))
        found = [next(placed) if value is not None else None for value in used]
        for value in found:
            if value is not None and value.name is None and value.producer is not None:
                value.name = call.node.name
        return found[0] if isinstance(results, Value) else found

    def check_size(self, call: Call) -> Any:
        def check(op: Op) -> None:
            for result in op.results:
                if result.type.elements > MAX_ELEMENTS:
                    raise call.error(f"a result of {result.type} is larger than any memory")

        return check

    def item(self, node: Node, args: Sequence[Any]) -> Any:
        value = args[0][args[1]]
        if value is None and node.users:
            raise TorchError(f"result {args[1]} of '{node.args[0]}' is not supported", at=self.location(node))
        return value

    def inline(self, args: Sequence[Any]) -> Any:
        """The graph that a wrapper holds, in its place."""
        at = next(i for i, argument in enumerate(args) if isinstance(argument, GraphModule))
        inner: GraphModule = args[at]
        placeholders = [node for node in inner.graph.nodes if node.op == "placeholder"]
        self.values.update(zip(placeholders, args[at + 1 :], strict=True))
        return self.run(inner)

    def opaque(self, call: Call, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """An operator without a meaning or a cost, whose results are as PyTorch says."""
        operands: list[Value] = []
        map_arg(call.node.args, lambda node: operands.extend(tensors_in(self.values[node])))
        attributes = tuple(f"{key}={value}"[:LONGEST_ARGUMENT] for key, value in kwargs.items())
        op = ops.opaque.create(
            operands,
            {"op": call.operator, "attributes": attributes},
            result_types=call.types,
            location=call.location,
        )
        self.block.append(op)
        return op.result if isinstance(call.node.meta["val"], torch.Tensor) else list(op.results)


def tensors_in(value: Any) -> list[Value]:
    if isinstance(value, (list, tuple)):
        return [tensor for inner in value for tensor in tensors_in(inner)]
    return [value] if isinstance(value, Value) else []


def is_wrapper(node: Node) -> bool:
    return any(name in str(node.target) for name in WRAPPERS)


def is_known(node: Node) -> bool:
    return node.target is operator.getitem or str(node.target) in LOWERINGS or is_wrapper(node)


def is_read(node: Node, index: int, wanted: Any) -> bool:
    """Whether somebody reads one of a node's results."""
    if isinstance(wanted, torch.Tensor):
        return True
    return any(user.target is not operator.getitem or user.args[1] == index for user in node.users)
