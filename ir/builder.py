"""Putting detached ops into blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ircost.ir.definition import OpDefinition
from ircost.ir.graph import Block, Op, Region, Value
from ircost.ir.location import Location
from ircost.ir.types import TensorType


class Builder:
    """Appends ops to a block; each takes the location that is set at the time.

    >>> from ircost.ir import Function, ops
    >>> from ircost.ir.types import parse_type
    >>> function = Function("main", [parse_type("4x8xf32")])
    >>> build = Builder(function.block)
    >>> y = build(ops.relu(function.arguments[0]))
    >>> _ = build.op(ops.return_.create([y]))
    >>> print(y.producer)
    %1 = relu %0 : 4x8xf32
    """

    def __init__(self, block: Block, location: Location | None = None) -> None:
        self.block = block
        self.location = location

    def __call__(self, value: Value) -> Value:
        """Appends the detached ops that ``value`` is made of, operands first."""
        for op in detached_ops([value]):
            self.op(op)
        return value

    def op(self, op: Op) -> Op:
        """Appends one detached op; its operands must be in place."""
        if op.location is None:
            op.location = self.location
        return self.block.append(op)


def detached_ops(values: Iterable[Value]) -> list[Op]:
    """Detached ops that ``values`` are made of, each below the producers of its operands."""
    values = list(values)
    if len(values) == 1 and (alone := values[0].producer) is not None and is_alone(alone):
        return [alone]
    order: dict[Op, None] = {}
    stack = [(value.producer, False) for value in reversed(values)]
    while stack:
        op, is_done = stack.pop()
        if op is None or op.block is not None or op in order:
            continue
        if is_done:
            order[op] = None
            continue
        stack.append((op, True))
        stack.extend((operand.producer, False) for operand in reversed(op.operands))
        for region in op.regions:
            stack.extend((value.producer, False) for inner in region.block.walk() for value in reversed(inner.operands))
    return list(order)


def is_alone(op: Op) -> bool:
    """Whether an op is detached and all that it reads is in place."""
    if op.block is not None or op.regions:
        return False
    return all(operand.producer is None or operand.producer.block is not None for operand in op.operands)


def build_body(types: Sequence[TensorType], body: Callable[..., Any], terminator: OpDefinition) -> Region:
    """A region with an argument of each type; ``body`` gets them and returns what is to be handed back."""
    block = Block(types)
    results = body(*block.arguments)
    results = [results] if isinstance(results, Value) else list(results)
    for op in detached_ops(results):
        block.append(op)
    block.append(terminator.create(results))
    return Region(block)
