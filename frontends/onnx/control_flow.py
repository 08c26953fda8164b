"""If and Scan: nested graphs become bodies."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from ircost.frontends.onnx.graph_importer import GraphImporter
from ircost.frontends.onnx.node import Node, lowering
from ircost.frontends.onnx.sequence_value import OnnxValue, tensors_of
from ircost.ir import ops
from ircost.ir.builder import build_body, detached_ops
from ircost.ir.clone import inline_body
from ircost.ir.errors import IrcError, ShapeError
from ircost.ir.graph import Block, Region, Value
from ircost.ir.types import TensorType


@lowering("If")
def if_(node: Node) -> list[OnnxValue]:
    """The branch itself where the condition is known, or where the other one fits no input of these shapes."""
    condition = node.constant(0)
    branches = [node.graph(name) for name in ("then_branch", "else_branch")]
    if condition is not None:
        return inline_graph(node, branches[0 if bool(condition.reshape(())) else 1])
    tried = [branch_body(node, branch) for branch in branches]
    misfits = [error for error in tried if isinstance(error, ShapeError)]
    bodies = [body for body in tried if isinstance(body, Region)]
    if misfits:
        return [*only_branch(node, bodies, misfits)]
    drop_extra_ones(node, bodies)
    if yields(bodies[0]) != yields(bodies[1]):
        raise node.error(
            f"its branches give {yields(bodies[0])} and {yields(bodies[1])}",
            help=node.how_to_bind(0),
        )
    return [*ops.if_.create([scalar(node[0])], {}, regions=bodies).results]


def drop_extra_ones(node: Node, bodies: list[Region]) -> None:
    """Branches that give the same but for axes of 1 both give the shape with fewer of them."""
    for i, types in enumerate(zip(*map(yields, bodies), strict=False)):
        first, second = types
        alike = [n for n in first.shape if n != 1] == [n for n in second.shape if n != 1]
        if first == second or first.dtype != second.dtype or first.bounded or second.bounded or not alike:
            continue
        shape = min(first.shape, second.shape, key=len)
        node.importer.context.notes.append(
            f"branches of If '{node.name}' give {first} and {second}; {TensorType(shape, first.dtype)} is taken"
        )
        for body in bodies:
            reshape_result(body.block, i, shape)


def reshape_result(block: Block, index: int, shape: tuple[int, ...]) -> None:
    """Makes a body yield one of its results under another shape."""
    results = list(block.terminator.operands)
    if results[index].type.shape != shape:
        block.remove(block.terminator)
        results[index] = ops.reshape(results[index], shape=shape)
        finish(block, results)


def branch_body(node: Node, branch: onnx.GraphProto) -> Region | ShapeError:
    """A branch that may be taken; what is wrong with it where it fits no input of these shapes."""
    try:
        return body_of(node, branch)
    except ShapeError as error:
        return error
    except IrcError as error:
        raise type(error)(error.message, at=error.at, help=f"{node.how_to_bind(0)}  (decides '{node.name}')") from None


def only_branch(node: Node, fitting: list[Region], misfits: list[ShapeError]) -> Sequence[Value]:
    """The one branch that fits, in place of the node: with the other one the model would fail.

    Raises:
        ShapeError: none fits.
    """
    if not fitting:
        error = misfits[0]
        raise ShapeError(error.message, at=error.at, help=f"{node.how_to_bind(0)}  (decides '{node.name}')")
    node.importer.context.notes.append(
        f"If '{node.name}': one branch fits no input of these shapes, the other is taken ({node.how_to_bind(0)})"
    )
    return inline_body(fitting[0], ())


def scalar(value: Value) -> Value:
    return value if value.type.rank == 0 else ops.reshape(value, shape=())


def inline_graph(
    node: Node, graph: onnx.GraphProto, arguments: Sequence[OnnxValue] = (), prefix: str = ""
) -> list[OnnxValue]:
    """Lowers a nested graph into the block around it.

    Args:
        arguments: what its inputs are.
        prefix: put before the names of its nodes, behind that of ``node``.
    """
    outer = node.importer
    importer = GraphImporter(outer.context, outer.block, outer, f"{outer.prefix}{node.name}/{prefix}")
    for info, value in zip(graph.input, arguments, strict=False):
        importer.define(info.name, value)
    return run_graph(importer, graph, node)


def run_graph(importer: GraphImporter, graph: onnx.GraphProto, node: Node) -> list[OnnxValue]:
    for tensor in graph.initializer:
        importer.add_initializer(tensor.name, tensor, None)
    for sparse in graph.sparse_initializer:
        importer.add_sparse(sparse)
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
    results = run_graph(importer, graph, node)
    if not all(isinstance(value, Value) for value in results):
        raise node.error("a branch or a body yields a sequence, which no value here can be", help=node.how_to_bind(0))
    block.append(ops.yield_.create([tensor for value in results for tensor in tensors_of(value)]))
    return Region(block)


def yields(region: Region) -> list[TensorType]:
    return [value.type for value in region.block.terminator.operands]


def finish(block: Block, results: list[Value]) -> None:
    """Places the ops behind ``results`` and yields them."""
    for op in detached_ops(results):
        block.append(op)
    block.append(ops.yield_.create(results))


@lowering("Scan")
def scan(node: Node) -> list[Value]:
    """Sequences are moved to axis 0, and those that are read or written backwards are flipped."""
    if node.opset < 9:
        return batched_scan(node)
    graph = node.graph("body")
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


def batched_scan(node: Node) -> list[Value]:
    """The scan of opset 8: one for each element of the batch, which is axis 0 of every input; time is axis 1."""
    if node.get(0) is not None:
        raise node.error("sequence_lens is not supported", help="onnx.version_converter lifts it")
    graph, values = node.graph("body"), node.given
    count = node.int("num_scan_inputs", 0)
    backwards = node.ints("directions", (0,) * count)
    inner = [TensorType(v.type.shape[1:], v.type.dtype) for v in values]
    states = len(values) - count

    def one(*arguments: Value) -> Sequence[Value]:
        rows = [flipped(x, bool(back)) for x, back in zip(arguments[states:], backwards, strict=True)]
        types = [t.type for t in arguments[:states]] + [TensorType(x.type.shape[1:], x.type.dtype) for x in rows]
        body = body_of(node, graph, list(zip((info.name for info in graph.input), types, strict=True)))
        attrs = {"length": rows[0].type.shape[0] if rows else 0, "states": states}
        return ops.scan.create([*arguments[:states], *rows], attrs, regions=[body]).results

    attrs = {"length": values[0].type.shape[0] if values else 0, "states": 0}
    return list(ops.scan.create(values, attrs, regions=[build_body(inner, one, ops.yield_)]).results)


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
