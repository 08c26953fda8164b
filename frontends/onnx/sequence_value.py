"""Values of ONNX that are no tensors: sequences of tensors, and optionals that hold nothing.

They exist during the import only: the tensors in a sequence are known one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import onnx

from ircost.frontends.onnx.element_types import type_proto
from ircost.ir.graph import Value


@dataclass(frozen=True, slots=True)
class SequenceValue:
    """Tensors in order."""

    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Absent:
    """An optional without a value. One with a value is that value."""


OnnxValue: TypeAlias = Value | SequenceValue | Absent


def tensors_of(value: OnnxValue) -> tuple[Value, ...]:
    """The tensors that a value consists of."""
    if isinstance(value, Value):
        return (value,)
    return value.items if isinstance(value, SequenceValue) else ()


def with_tensors(value: OnnxValue, tensors: list[Value]) -> OnnxValue:
    """The same kind of value with its tensors taken from the front of a list."""
    if isinstance(value, Value):
        return tensors.pop(0)
    if isinstance(value, SequenceValue):
        return SequenceValue(tuple(tensors.pop(0) for _ in value.items))
    return value


def type_of(value: OnnxValue) -> onnx.TypeProto:
    """A value's type as ONNX writes it; shapes of tensors in a sequence are left open, they may differ."""
    if isinstance(value, Value):
        return type_proto(value.type)
    if isinstance(value, Absent):
        return onnx.helper.make_optional_type_proto(onnx.TypeProto())
    element = type_proto(value.items[0].type) if value.items else onnx.helper.make_tensor_type_proto(1, None)
    element.tensor_type.ClearField("shape")
    return onnx.helper.make_sequence_type_proto(element)


def flat_names(name: str, value: OnnxValue) -> tuple[str, ...]:
    """A name for each tensor: those of a sequence ``x`` are ``x.0``, ``x.1`` and so on."""
    if isinstance(value, SequenceValue):
        return tuple(f"{name}.{i}" for i in range(len(value.items)))
    return (name,) if isinstance(value, Value) else ()
