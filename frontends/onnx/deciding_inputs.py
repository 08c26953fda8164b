"""Which inputs of a model decide a value: those that somebody must bind for it to be known."""

from __future__ import annotations

from collections.abc import Container
from itertools import chain

from ircost.ir.graph import Op, Value

FEW = 4  # inputs that a message names


def how_to_bind(value: Value, inputs: Container[str]) -> str:
    """The help line for a value that must be known and is not."""
    names = deciding_inputs(value, inputs)
    if not 0 < len(names) <= FEW:
        return "bind the input that decides it: --value name=..., or its dims: --dim name=..."
    return f"bind what decides it: {' '.join(f'--value {name}=...' for name in names)}"


def deciding_inputs(value: Value, inputs: Container[str]) -> list[str]:
    """Those of ``inputs`` that ``value`` depends on. Linear in the ops above it."""
    names = []
    seen, left = {value}, [value]
    while left:
        found = left.pop()
        if found.producer is None and found.name in inputs:
            names.append(str(found.name))
        read = dict.fromkeys(all_operands(found.producer)) if found.producer is not None else {}
        new = [operand for operand in read if operand not in seen]
        seen.update(new)
        left.extend(new)
    return names


def all_operands(op: Op) -> chain[Value]:
    """Operands of an op and of what its bodies hold: they may read values from around them."""
    return chain.from_iterable(inner.operands for inner in op.walk())
