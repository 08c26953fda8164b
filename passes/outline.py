"""Repeated layers as one function: n equal runs of ops in a row become n calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ircost.ir import ops
from ircost.ir.clone import clone_op
from ircost.ir.graph import Function, Module, Op, Value, replace_value
from ircost.ir.load_time import load_time_ops
from ircost.ir.location import merge_locations
from ircost.passes.base import Pass, PassContext, check_least, register_pass
from ircost.passes.repeats import Layers, Repeats, layer_outputs, wiring


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

    def __post_init__(self) -> None:
        check_least(self, "min_ops", 1)

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        fired: Counter[str] = Counter()
        repeats = Repeats(runtime_ops(module.main), self.min_ops)
        while (layers := repeats.take_best()) is not None:
            outline(module, layers)
            fired["functions"] += 1
            fired["calls"] += len(layers)
        return fired


def runtime_ops(function: Function) -> list[Op]:
    """The ops of a function that run each time, in order, without its terminator and earlier calls."""
    at_load = load_time_ops(function.block)
    return [op for op in function.block.ops if op not in at_load and not op.definition.is_terminator]


def outline(module: Module, layers: Layers) -> Function:
    """Makes the function, and calls it in place of each layer."""
    inputs, arguments_of_operands = layer_inputs(layers)
    outputs = layer_outputs(layers)
    function = Function(fresh_name(module), [value.type for value in inputs[0]])
    mapping: dict[Value, Value] = {}
    reads = iter(arguments_of_operands)
    for alike in zip(*layers, strict=True):
        copy = clone_op(alike[0], mapping)
        # By place, not by value: the first layer may read one value where later ones read two.
        places = [next(reads) for _ in copy.operands]
        own = zip(copy.operands, places, strict=True)
        copy.set_operands([value if i is None else function.arguments[i] for value, i in own])
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


def layer_inputs(layers: Layers) -> tuple[list[list[Value]], list[int | None]]:
    """For each layer, the values from outside that it reads; and for each operand in it, which of them that is.

    One argument for places that read the same in every layer; None for operands from inside.
    """
    columns = zip(*[[operand for op in layer for operand in op.operands] for layer in layers], strict=True)
    slots: dict[tuple[Value, ...], int] = {}
    numbers = [
        slots.setdefault(column, len(slots)) if place is None else None
        for column, place in zip(columns, wiring(layers[0]), strict=True)
    ]
    return [[slot[i] for slot in slots] for i in range(len(layers))], numbers


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
