"""Values that are known when the model is loaded: computed by the interpreter, one initializer at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ircost.ir.constant import Missing, Splat
from ircost.ir.errors import UnsupportedError
from ircost.ir.graph import Block, Op, Value
from ircost.ir.interpreter import evaluate_op

# Larger results of what makes many numbers out of few stay operators: the file would hold little else.
MOST_INFLATED_ELEMENTS = 1 << 20
INFLATING = ("broadcast", "iota")
# Smaller results are kept for the next initializer that needs them.
MOST_KEPT_ELEMENTS = 1 << 16


def known_ops(block: Block, found: set[Op] | None = None) -> set[Op]:
    """Ops of a block, and of bodies of control flow in it, whose results follow from constants."""
    found = set() if found is None else found
    for op in block.ops:
        if is_known(op, found):
            found.add(op)
        elif op.regions and not op.definition.is_isolated:
            for region in op.regions:
                known_ops(region.block, found)
    return found


def is_known(op: Op, found: set[Op]) -> bool:
    if not op.definition.is_pure or op.definition.is_terminator or (op.regions and not op.definition.is_isolated):
        return False
    if op.name == "call" or any(result.type.bounded for result in op.results):
        return False
    elements = sum(result.type.elements for result in op.results)
    is_splat = op.name == "constant" and isinstance(op.attrs["value"], Splat)
    if elements > MOST_INFLATED_ELEMENTS and (is_splat or op.name in INFLATING):
        return False
    return all(operand.producer in found for operand in op.operands)


class Evaluator:
    """Arrays of known values; what is small is kept, so that memory is that of one weight and what it is made of."""

    def __init__(self) -> None:
        self._kept: dict[Value, np.ndarray] = {}

    def __call__(self, value: Value) -> np.ndarray:
        """The array.

        Raises:
            UnsupportedError: the values of a weight are not there.
            InterpreterError: its file is not.
        """
        arrays: dict[Value, np.ndarray] = {}
        for op in self._needed(value):
            check_present(op)
            operands = [self._kept[x] if x in self._kept else arrays[x] for x in op.operands]
            for result, array in zip(op.results, evaluate_op(op, operands), strict=True):
                small = result.type.elements <= MOST_KEPT_ELEMENTS
                (self._kept if small else arrays)[result] = array
        return self._kept[value] if value in self._kept else arrays[value]

    def _needed(self, value: Value) -> Iterator[Op]:
        """Ops to be run, operands first."""
        done: set[Op] = set()
        stack = [(value, False)]
        while stack:
            current, is_ready = stack.pop()
            op = current.producer
            assert op is not None, "what is known has a producer"
            if op in done or current in self._kept:
                continue
            if is_ready:
                done.add(op)
                yield op
                continue
            stack.append((current, True))
            stack.extend((operand, False) for operand in op.operands)


def check_present(op: Op) -> None:
    data = op.attrs.get("value")
    if isinstance(data, Missing):
        raise UnsupportedError(
            f"a weight of {op.result.type} has a shape but no values: {data.reason}",
            at=op,
            help="an ONNX file holds its weights; give the model with them",
        )
