"""If, Loop and Scan: nested graphs become bodies."""

from __future__ import annotations

import numpy as np
import onnx

from ircost.frontends.onnx.graph_importer import GraphImporter
from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.builder import detached_ops
from ircost.ir.clone import inline_body
from ircost.ir.errors import IrcError
from ircost.ir.graph import Block, Region, Value
from ircost.ir.rewrite import discard_body
from ircost.ir.types import TensorType, boolean, i64


@lowering("If")
def if_(node: Node) -> list[Value]:
    """The branch itself where the condition is known."""
    condition = node.constant(0)
    branches = [node.attributes[name].g for name in ("then_branch", "else_branch")]
    if condition is not None:
        return inline_graph(node, branches[0 if bool(condition.reshape(())) else 1])
    bodies = [branch_body(node, branch) for branch in branches]
    if yields(bodies[0]) != yields(bodies[1]):
        raise node.error(
            f"its branches give {yields(bodies[0])} and {yields(bodies[1])}",
            help=node.how_to_bind(0),
        )
    return list(ops.if_.create([scalar(node[0])], {}, regions=bodies).results)


def branch_body(node: Node, branch: onnx.GraphProto) -> Region:
    """A branch that may be taken. Some fit no input: the condition, once known, would have kept them out."""
    try:
        return body_of(node, branch)
    except IrcError as error:
        raise type(error)(error.message, at=error._at, help=f"{node.how_to_bind(0)}  (decides '{node.name}')") from None


def scalar(value: Value) -> Value:
    return value if value.type.rank == 0 else ops.reshape(value, shape=())


def inline_graph(node: Node, graph: onnx.GraphProto) -> list[Value]:
    """Lowers a nested graph into the block around it."""
    importer = GraphImporter(
        node.importer.context, node.importer.block, node.importer, f"{node.importer.prefix}{node.name}/"
    )
    return run_graph(importer, graph, node)


def run_graph(importer: GraphImporter, graph: onnx.GraphProto, node: Node) -> list[Value]:
    for tensor in graph.initializer:
        importer.add_initializer(tensor.name, tensor, None)
    importer.run(graph.node)
    results = []
    for info in graph.output:
        value = importer.find(info.name)
        if value is None:
            raise node.error(f"nothing in its body makes output '{info.name}'")
        results.append(value)
    return results


def body_of(node: Node, graph: onnx.GraphProto, arguments: list[tuple[str, TensorType]] | None = None) -> Region:
    """A nested graph as a body that sees the values around it."""
    arguments = arguments or []
    block = Block(type for _, type in arguments)
    importer = GraphImporter(node.importer.context, block, node.importer, f"{node.importer.prefix}{node.name}/")
    for (name, _), value in zip(arguments, block.arguments, strict=True):
        importer.define(name, value)
    block.append(ops.yield_.create(run_graph(importer, graph, node)))
    return Region(block)


def yields(region: Region) -> list[TensorType]:
    return [value.type for value in region.block.terminator.operands]


@lowering("Loop")
def loop(node: Node) -> list[Value]:
    """A scan where the trip count is known and nothing stops it early; a `while` where it only carries state."""
    graph = node.attributes["body"].g
    states = [value for value in node.inputs[2:] if value is not None]
    trips = node.constant(0)
    begins = node.constant(1)
    begins_true = node.get(1) is None or (begins is not None and bool(begins.reshape(())))
    names = [info.name for info in graph.input]
    types = [TensorType((), i64), TensorType((), boolean), *(state.type for state in states)]
    body = body_of(node, graph, list(zip(names, types, strict=True)))
    stacked = len(yields(body)) - 1 - len(states)
    if yields(body)[1 : 1 + len(states)] != types[2:]:
        raise node.error(f"its state changes shape from {types[2:]} to {yields(body)[1 : 1 + len(states)]}")
    if trips is not None and begins_true and keeps_going(body):
        return as_scan(node, body, states, int(trips.reshape(())))
    if stacked:
        raise node.error(
            "a loop with stacked outputs whose trip count is not known is not supported",
            help=node.how_to_bind(0) if node.get(0) is not None else None,
        )
    return as_while(node, body, states, trips)


def keeps_going(body: Region) -> bool:
    """Whether the body hands the condition on as it is, or true."""
    condition = body.block.terminator.operands[0]
    known = ops.constant_value(condition)
    return condition is body.block.arguments[1] or (known is not None and bool(known.reshape(())))


def as_scan(node: Node, body: Region, states: list[Value], trips: int) -> list[Value]:
    """The step number is a sequence, the condition is dropped."""
    node.importer.check_elements(trips, node)
    types = [*(state.type for state in states), TensorType((), i64)]
    block = Block(types)
    truth = ops.constant_of(np.array(True))
    *carried, step = block.arguments
    _, *results = inline_body(body, [step, truth, *carried])
    finish(block, results)
    discard_body(body)
    ramp = ops.iota.create((), {"axis": 0}, result_types=(TensorType((trips,), i64),)).result
    attrs = {"length": trips, "states": len(states)}
    return list(ops.scan.create([*states, ramp], attrs, regions=[Region(block)]).results)


def finish(block: Block, results: list[Value]) -> None:
    """Places the ops behind ``results`` and yields them."""
    for op in detached_ops(results):
        block.append(op)
    block.append(ops.yield_.create(results))


def as_while(node: Node, body: Region, states: list[Value], trips: np.ndarray | None) -> list[Value]:
    """State: step number, condition, the loop's own."""
    limit = node.get(0)
    first = ops.constant_of(np.array(0, np.int64))
    begins = scalar(node[1]) if node.get(1) is not None else ops.constant_of(np.array(True))
    types = [TensorType((), i64), TensorType((), boolean), *(state.type for state in states)]
    test = Block(types)
    running = test.arguments[1]
    if limit is not None:
        running = ops.logical_and(running, ops.less(test.arguments[0], scalar(limit)))
    finish(test, [running])
    step = Block(types)
    condition, *results = inline_body(body, step.arguments)
    following = [ops.add(step.arguments[0], ops.constant_of(np.array(1, np.int64))), scalar(condition), *results]
    finish(step, following)
    discard_body(body)
    bound = int(trips.reshape(())) if trips is not None else 0
    attrs = {"trip_bound": max(bound, 0)}
    values = ops.while_.create([first, begins, *states], attrs, regions=[Region(test), Region(step)]).results
    return list(values[2:])


@lowering("Scan")
def scan(node: Node) -> list[Value]:
    """Sequences are moved to axis 0, and those that are read or written backwards are flipped."""
    if node.opset < 9:
        raise node.error("the batched scan of opset 8 is not supported", help="onnx.version_converter lifts it")
    graph = node.attributes["body"].g
    count = node.int("num_scan_inputs", 0)
    states, sequences = node.given[: len(node.given) - count], node.given[len(node.given) - count :]
    backwards, axes = node.ints("scan_input_directions", (0,) * count), node.ints("scan_input_axes", (0,) * count)
    rows = [flipped(moved(x, axis, 0), bool(back)) for x, axis, back in zip(sequences, axes, backwards, strict=True)]
    types = [state.type for state in states] + [TensorType(x.type.shape[1:], x.type.dtype) for x in rows]
    body = body_of(node, graph, list(zip((info.name for info in graph.input), types, strict=True)))
    length = rows[0].type.shape[0] if rows else 0
    attrs = {"length": length, "states": len(states)}
    results = ops.scan.create([*states, *rows], attrs, regions=[body]).results
    stacked = results[len(states) :]
    backwards = node.ints("scan_output_directions", (0,) * len(stacked))
    axes = node.ints("scan_output_axes", (0,) * len(stacked))
    return [
        *results[: len(states)],
        *(moved(flipped(x, bool(back)), 0, axis) for x, axis, back in zip(stacked, axes, backwards, strict=True)),
    ]


def moved(x: Value, source: int, target: int) -> Value:
    """One axis elsewhere, all others in their order."""
    rank = x.type.rank
    order = [axis for axis in range(rank) if axis != source % rank]
    order.insert(target % rank, source % rank)
    return x if order == sorted(order) else ops.transpose(x, perm=tuple(order))


def flipped(x: Value, backwards: bool) -> Value:
    """Axis 0 from its end."""
    if not backwards:
        return x
    rest = (0,) * (x.type.rank - 1)
    steps = (-1, *(1 for _ in rest))
    return ops.slice(x, starts=(x.type.shape[0] - 1, *rest), size=x.type.shape, steps=steps)
