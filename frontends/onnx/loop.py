"""Loop: a scan where its course is known, else a `while`; unrolled where its state keeps changing shape."""

from __future__ import annotations

import numpy as np
import onnx

from ircost.frontends.onnx.control_flow import body_of, finish, inline_graph, scalar, yields
from ircost.frontends.onnx.node import Node, lowering
from ircost.frontends.onnx.sequence_value import Absent, OnnxValue
from ircost.ir import ops
from ircost.ir.clone import inline_body
from ircost.ir.graph import Block, Region, Value
from ircost.ir.numpy_dtypes import numpy_dtype
from ircost.ir.rewrite import discard_body
from ircost.ir.types import TensorType, boolean, i64

MAX_UNROLLED = 1024  # trips
UNLIMITED = 2**31 - 1  # trips from here on are how exporters write that only the condition ends a loop


@lowering("Loop")
def loop(node: Node) -> list[OnnxValue]:
    states = [Absent() if value is None else value for value in node.inputs[2:]]
    trips = known_trips(node)
    begins = node[1] if node.get(1) is not None else ops.constant_of(np.array(True))
    if not all(isinstance(state, Value) for state in states):
        return unrolled(node, states, trips, "its state is no tensor")
    tensors = [tensor(node, state) for state in states]
    body = steady_body(node, tensors)
    if body is not None:
        return [*as_structured(node, body, tensors, trips, begins, first=0)]
    return peeled(node, tensors, trips, begins)


def steady_body(node: Node, states: list[Value]) -> Region | None:
    """The body for a state of these types; None where it yields a state of others."""
    graph = node.graph("body")
    types = [TensorType((), i64), TensorType((), boolean), *(state.type for state in states)]
    names = [info.name for info in graph.input]
    body = body_of(node, graph, list(zip(names, types, strict=True)))
    if yields(body)[1 : 1 + len(states)] == types[2:]:
        return body
    discard_body(body)
    return None


def peeled(node: Node, states: list[Value], trips: int | None, begins: Value) -> list[OnnxValue]:
    """The first trip by itself, where the state has its lasting shape from then on; else all of them."""
    begins_true = ops.constant_value(begins)
    if begins_true is not None and begins_true.reshape(()) and trips != 0:
        condition, *results = (tensor(node, value) for value in one_trip(node, 0, begins_true, [*states]))
        after, rows = results[: len(states)], results[len(states) :]
        body = steady_body(node, after)
        if body is not None:
            left = None if trips is None else trips - 1
            looped = as_structured(node, body, after, left, condition, first=1)
            ends, stacks = looped[: len(states)], looped[len(states) :]
            whole = (ops.concat(with_axis(row), stack, axis=0) for row, stack in zip(rows, stacks, strict=True))
            return [*ends, *whole]
    return unrolled(node, [*states], trips, "its state changes shape")


def as_structured(
    node: Node, body: Region, states: list[Value], trips: int | None, begins: Value, first: int
) -> tuple[Value, ...]:
    """A scan where the course is known, else a `while`.

    Args:
        first: number of the first step.
    """
    known = ops.constant_value(begins)
    if trips == 0 or (trips is not None and known is not None and known.reshape(()) and keeps_going(body)):
        return as_scan(node, body, states, trips, first)
    return as_while(node, body, states, trips, scalar(begins), first)


def known_trips(node: Node) -> int | None:
    """The trip count where it is known; a loop without one runs until its condition fails."""
    trips = node.constant(0)
    count = UNLIMITED if trips is None else max(int(trips.reshape(())), 0)
    return count if count < UNLIMITED else None


def keeps_going(body: Region) -> bool:
    """Whether the body hands the condition on as it is, or true."""
    condition = body.block.terminator.operands[0]
    known = ops.constant_value(condition)
    return condition is body.block.arguments[1] or (known is not None and bool(known.reshape(())))


def as_scan(node: Node, body: Region, states: list[Value], trips: int, first: int) -> tuple[Value, ...]:
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
    if first:
        ramp = ops.add(ramp, ops.constant_of(np.array(first, np.int64)))
    attrs = {"length": trips, "states": len(states)}
    return ops.scan.create([*states, ramp], attrs, regions=[Region(block)]).results


def as_while(
    node: Node, body: Region, states: list[Value], trips: int | None, begins: Value, first: int
) -> tuple[Value, ...]:
    """State: step number, condition, the loop's own."""
    bound = trip_bound(node, trips, stacks=len(yields(body)) > 1 + len(states))
    start = ops.constant_of(np.array(first, np.int64))
    types = [TensorType((), i64), TensorType((), boolean), *(state.type for state in states)]
    test = Block(types)
    running = test.arguments[1]
    if node.get(0) is not None:
        running = ops.logical_and(running, ops.less(test.arguments[0], scalar(node[0])))
    finish(test, [running])
    step = Block(types)
    condition, *results = inline_body(body, step.arguments)
    following = [ops.add(step.arguments[0], ops.constant_of(np.array(1, np.int64))), scalar(condition), *results]
    finish(step, following)
    discard_body(body)
    regions = [Region(test), Region(step)]
    return ops.while_.create([start, begins, *states], {"trip_bound": bound}, regions=regions).results[2:]


def trip_bound(node: Node, trips: int | None, stacks: bool) -> int:
    """How often the body runs at most; 0 where nobody knows and nothing depends on it.

    Raises:
        OnnxError: outputs are as long as the loop runs, and nobody says how long that is at most.
    """
    if trips is not None:
        node.importer.check_elements(trips, node)
        return node.bound(trips, "trips") if trips else trips
    given = node.importer.context.bounds.known(node.name)
    if given is None and stacks:
        raise node.error(
            "outputs are as long as the loop runs, and it runs as long as data decide",
            help=f"say how often it runs at most: --bound {node.name}=N",
        )
    return given or 0


def unrolled(node: Node, states: list[OnnxValue], trips: int | None, why: str) -> list[OnnxValue]:
    """The body once for each trip, as long as its condition is known to be true.

    Raises:
        OnnxError: the course of the loop is not known, or it is long.
    """
    condition = node.constant(1) if node.get(1) is not None else np.array(True)
    if trips is None or condition is None:
        raise node.error(f"{why}, and its course depends on data", help=node.how_to_bind(0 if trips is None else 1))
    rows: list[list[Value]] = []
    for trip in range(trips):
        if not condition.reshape(()):
            break
        if trip == MAX_UNROLLED:
            raise node.error(f"{why}, and it runs {trips:,} times; {MAX_UNROLLED:,} can be unrolled")
        first, *results = one_trip(node, trip, condition, states)
        states = results[: len(states)]
        rows.append([tensor(node, row) for row in results[len(states) :]])
        known = ops.constant_value(tensor(node, first))
        if known is None and trip + 1 < trips:
            raise node.error(f"{why}, and whether it goes on depends on data")
        condition = known if known is not None else condition
    return [*states, *stacked(node, rows)]


def one_trip(node: Node, trip: int, condition: np.ndarray, states: list[OnnxValue]) -> list[OnnxValue]:
    step = ops.constant_of(np.array(trip, np.int64))
    truth = ops.constant_of(condition.reshape(()).astype(np.bool_))
    return inline_graph(node, node.graph("body"), [step, truth, *states], f"{trip}/")


def tensor(node: Node, value: OnnxValue) -> Value:
    if not isinstance(value, Value):
        raise node.error("its body yields a sequence where a tensor is expected")
    return value


def stacked(node: Node, rows: list[list[Value]]) -> list[Value]:
    """Each output of all trips along a new axis 0."""
    graph = node.graph("body")
    if not rows:
        first = len(node.inputs) - 1
        return [empty(node, info) for info in graph.output[first:]]
    return [ops.concat(*map(with_axis, column), axis=0) for column in zip(*rows, strict=True)]


def with_axis(row: Value) -> Value:
    """One slice of what is stacked along axis 0."""
    return ops.reshape(row, shape=(1, *row.type.shape))


def empty(node: Node, info: onnx.ValueInfoProto) -> Value:
    """An output of a loop that never ran, as far as its type is written down."""
    tensor_type = info.type.tensor_type
    shape = (0, *(dim.dim_value for dim in tensor_type.shape.dim))
    dtype = numpy_dtype(node.element_type(tensor_type.elem_type))
    return ops.constant_of(np.empty(shape, dtype))
