"""The table of emitters: which ONNX operators stand for an op."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from ircost.backends.onnx.node import Input, Known, Output
from ircost.ir.graph import Op, Value


@dataclass(slots=True)
class Scope:
    """What an emitter may ask besides the op.

    Args:
        for_runtime: ``onnxruntime`` allows its own operators; empty: standard ones only.
        at_load: ops whose results are known when the model is loaded.
        array: values of what is known at load.
        outputs: values that are outputs of a node which several ops make up: of a quantisation, of a split.
        block: channels in a block of that runtime's blocked layout; 0 leaves all values as they are.
    """

    for_runtime: str
    at_load: set[Op]
    array: Callable[[Value], np.ndarray]
    outputs: dict[Value, Output] = field(default_factory=dict)
    block: int = 0

    def is_known(self, value: Value) -> bool:
        return value.producer is not None and value.producer in self.at_load

    def vector(self, value: Value, length: int) -> Input | None:
        """A bias or scale of ``length`` elements as the vector that operators want; None where it is not known."""
        if self.is_known(value) and value.type.elements in (1, length):
            return Known(value, f"vector {length}", lambda a: np.broadcast_to(a.reshape(-1), (length,)))
        producer = value.producer
        if producer is not None and producer.name == "reshape" and producer.operands[0].type.shape == (length,):
            return producer.operands[0]
        return None


Emitter: TypeAlias = Callable[[Op, Scope], Sequence[Input] | Input | None]
EMITTERS: dict[str, list[Emitter]] = {}


def emits(*names: str, is_special: bool = False) -> Callable[[Emitter], Emitter]:
    """Registers an emitter of ops of these names: it returns an input for each result, or None if it does not fit.

    Special ones, which stand for an op and some of those before it, are asked before all others.
    """

    def register(emitter: Emitter) -> Emitter:
        for name in names:
            emitters = EMITTERS.setdefault(name, [])
            emitters.insert(0 if is_special else len(emitters), emitter)
        return emitter

    return register


def emitted(op: Op, scope: Scope) -> list[Input] | None:
    """What stands for the results of an op; None where no emitter fits."""
    for emitter in EMITTERS.get(op.name, ()):
        found = emitter(op, scope)
        if found is not None:
            return list(found) if isinstance(found, (list, tuple)) else [found]  # type: ignore[list-item]
    return None
