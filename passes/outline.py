"""Repeated layers as one function: what stands there n times in a row becomes n calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ircost.ir import ops
from ircost.ir.clone import clone_op
from ircost.ir.graph import Function, Module, Op, Value, replace_value
from ircost.ir.load_time import load_time_ops
from ircost.ir.location import merge_locations
from ircost.passes.base import Pass, PassContext, register_pass
from ircost.passes.merge_equal_ops import attribute_keys, body_key

# Longer layers than this are not looked for: the search takes time in proportion.
MAX_LAYER_OPS = 1024


@register_pass("outline")
@dataclass(frozen=True, slots=True)
class Outline(Pass):
    """Turn repeated runs of ops into calls of one function.

    A layer is a run of ops that follows itself at least once more with the same ops, types, attributes and wiring.
    Weights become arguments; what is computed from weights alone stays with the caller. So a model of 80 equal
    layers prints once.

    Args:
        min_ops: shortest layer.
    """

    is_exact = True

    min_ops: int = 4

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        fired: Counter[str] = Counter()
        while (repeat := best_repeat(runtime_ops(module.main), self.min_ops)) is not None:
            outline(module, repeat)
            fired["functions"] += 1
            fired["calls"] += len(repeat)
        return fired


Layers = list[list[Op]]


def runtime_ops(function: Function) -> list[Op]:
    """The ops of a function that run each time, in order, without its terminator and earlier calls."""
    at_load = load_time_ops(function.block)
    return [op for op in function.block.ops if op not in at_load and not op.definition.is_terminator]


def best_repeat(sequence: Sequence[Op], min_ops: int) -> Layers | None:
    """The repetition that saves most ops; None where nothing repeats.

    Compares the sequence with itself at every distance up to `MAX_LAYER_OPS`: linear in the ops, for each distance.
    """
    keys = shape_keys(sequence)
    candidates = []
    for length in range(min_ops, min(len(keys) // 2, MAX_LAYER_OPS) + 1):
        start, run = longest_run(keys[:-length] == keys[length:])
        if run >= length:
            candidates.append(((run // length) * length, -length, start, run))
    for _, negative_length, start, run in sorted(candidates, reverse=True):
        layers = cut(sequence, start, -negative_length, run)
        if layers is not None and layer_outputs(layers):  # what nobody reads is dead, and no call makes it useful
            return layers
    return None


def shape_keys(sequence: Sequence[Op]) -> np.ndarray:
    """A number for each op, equal for ops that may stand in each other's place; calls are like nothing else."""
    numbers: dict[object, int] = {}
    keys = []
    for op in sequence:
        operands = tuple([operand.type for operand in op.operands])
        results = tuple([result.type for result in op.results])
        bodies = tuple([body_key(region.block) for region in op.regions])
        is_alone = op.name == "call" or (op.regions and not op.definition.is_isolated)
        key = op if is_alone else (op.name, operands, results, attribute_keys(op.attrs.values()), bodies)
        keys.append(numbers.setdefault(key, len(numbers)))
    return np.array(keys, dtype=np.int64)


def longest_run(flags: np.ndarray) -> tuple[int, int]:
    """Start and length of the longest run of true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    if edges.size == 0:
        return 0, 0
    starts, ends = edges[::2], edges[1::2]
    longest = int(np.argmax(ends - starts))
    return int(starts[longest]), int(ends[longest] - starts[longest])


def cut(sequence: Sequence[Op], start: int, length: int, run: int) -> Layers | None:
    """Layers out of a repeating run, cut where fewest values cross; None if no cut has equal wiring."""
    for shift in sorted(range(run % length + 1), key=lambda shift: crossing(sequence, start + shift, length)):
        first = start + shift
        count = (run - shift) // length + 1
        layers = [list(sequence[first + i * length : first + (i + 1) * length]) for i in range(count)]
        if all(wiring(layer) == wiring(layers[0]) for layer in layers):
            return layers
    return None


def crossing(sequence: Sequence[Op], first: int, length: int) -> int:
    """How many values that the layer makes are read behind it."""
    layer = set(sequence[first : first + length])
    return sum(1 for op in layer for result in op.results if any(user not in layer for user in result.users))


def wiring(layer: Sequence[Op]) -> list[tuple[int, int] | None]:
    """For each operand, which result of which op of the layer it is; None for what comes from outside."""
    places = {result: (i, result.index) for i, op in enumerate(layer) for result in op.results}
    return [places.get(operand) for op in layer for operand in op.operands]


def outline(module: Module, layers: Layers) -> Function:
    """Makes the function, and calls it in place of each layer."""
    inputs = layer_inputs(layers)
    outputs = layer_outputs(layers)
    function = Function(fresh_name(module), [value.type for value in inputs[0]])
    mapping = dict(zip(inputs[0], function.arguments, strict=True))
    for alike in zip(*layers, strict=True):
        copy = clone_op(alike[0], mapping)
        copy.location = merge_locations(op.location for op in alike)
        function.block.append(copy)
    function.block.append(ops.return_.create([mapping[layers[0][i].results[r]] for i, r in outputs]))
    replaced: dict[Value, Value] = {}  # what a layer reads may be what the layer before it made
    for layer, values in zip(layers, inputs, strict=True):
        arguments = [replaced.get(value, value) for value in values]
        results = [layer[i].results[r] for i, r in outputs]
        replaced.update(zip(results, call_in_place(layer, arguments, results, function), strict=True))
    callers = dict(module.functions)
    module.functions.clear()  # callees stand above their callers
    module.add(function)
    module.functions.update(callers)
    return function


def layer_inputs(layers: Layers) -> list[list[Value]]:
    """For each layer, the values from outside that it reads; one argument for places that always read the same."""
    external = [[operand for op in layer for operand in op.operands] for layer in layers]
    is_inside = [place is not None for place in wiring(layers[0])]
    columns = zip(*external, strict=True)
    slots = dict.fromkeys(column for column, inside in zip(columns, is_inside, strict=True) if not inside)
    return [[slot[i] for slot in slots] for i in range(len(layers))]


def layer_outputs(layers: Layers) -> list[tuple[int, int]]:
    """(op, result) of each value that something behind its layer reads, in any of the layers."""
    found: set[tuple[int, int]] = set()
    for layer in layers:
        members = set(layer)
        for i, op in enumerate(layer):
            found.update((i, r.index) for r in op.results if any(user not in members for user in users_outside(r)))
    return sorted(found)


def users_outside(value: Value) -> list[Op]:
    """Users, each as the op of the value's own block that it stands in."""
    home = value.producer.block if value.producer is not None else None
    users = []
    for user in value.users:
        while user.block is not home and user.parent is not None:
            user = user.parent
        users.append(user)
    return users


def call_in_place(
    layer: Sequence[Op], arguments: list[Value], results: list[Value], function: Function
) -> tuple[Value, ...]:
    """A call where the layer ends, and the layer gone; gives what stands for ``results`` now."""
    call = ops.call.create(
        arguments,
        {"callee": function.name},
        result_types=[result.type for result in results],
        location=merge_locations(op.location for op in layer),
    )
    last = layer[-1]
    assert last.block is not None
    last.block.insert_before(call, last)
    for old, new in zip(results, call.results, strict=True):
        new.name = old.name
        replace_value(old, new)
    for op in reversed(layer):
        assert op.block is not None
        op.block.remove(op)
    return call.results


def fresh_name(module: Module) -> str:
    number = 0
    while f"layer_{number}" in module.functions:
        number += 1
    return f"layer_{number}"
