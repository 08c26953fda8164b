"""One node of an ONNX graph, as a lowering sees it."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import onnx

from ircost.frontends.onnx.deciding_inputs import how_to_bind
from ircost.frontends.onnx.errors import OnnxError
from ircost.frontends.onnx.sequence_value import Absent, OnnxValue, SequenceValue
from ircost.frontends.onnx.tensors import array_of, element_type
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import DType

if TYPE_CHECKING:
    from ircost.frontends.onnx.graph_importer import GraphImporter

Kind = onnx.AttributeProto


class Node:
    """Typed access to inputs and attributes.

    Args:
        proto: the node.
        inputs: a value for each input; None for those left out.
        opset: version of the node's domain.
        importer: of the graph that the node stands in.
    """

    __slots__ = ("_attributes", "importer", "inputs", "opset", "proto")

    def __init__(
        self, proto: onnx.NodeProto, inputs: list[OnnxValue | None], opset: int, importer: GraphImporter
    ) -> None:
        self.proto = proto
        self.inputs = inputs
        self.opset = opset
        self.importer = importer
        self._attributes: dict[str, onnx.AttributeProto] | None = None

    @property
    def attributes(self) -> dict[str, onnx.AttributeProto]:
        if self._attributes is None:
            self._attributes = {attribute.name: attribute for attribute in self.proto.attribute}
        return self._attributes

    @property
    def name(self) -> str:
        """The node's name, or that of its first output; what a terminal would act on is written as an escape."""
        name = self.proto.name or next(iter(self.proto.output), "") or self.proto.op_type
        return name if name.isprintable() else name.encode("unicode_escape").decode()

    @property
    def operator(self) -> str:
        """``Conv``, or ``com.example::Fancy`` of another domain."""
        domain = "" if self.proto.domain == "ai.onnx" else self.proto.domain
        return f"{domain}::{self.proto.op_type}" if domain else self.proto.op_type

    @property
    def output_count(self) -> builtins.int:
        """Outputs that somebody may want, counted up to the last one that has a name."""
        return max((i + 1 for i, name in enumerate(self.proto.output) if name), default=0)

    def __getitem__(self, index: int) -> Value:
        """An input that must be there.

        Raises:
            OnnxError: it is left out.
        """
        value = self.get(index)
        if value is None:
            raise self.error(f"input {index} is missing")
        return value

    def get(self, index: int) -> Value | None:
        """An optional input, a tensor.

        Raises:
            OnnxError: it is a sequence.
        """
        value = self.raw(index)
        if isinstance(value, SequenceValue):
            raise self.error(f"input {index} is a sequence, a tensor expected")
        return None if isinstance(value, Absent) else value

    def raw(self, index: int) -> OnnxValue | None:
        """An input of any kind; None where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def sequence(self, index: int) -> tuple[Value, ...]:
        """The tensors of an input that must be a sequence.

        Raises:
            OnnxError: it is none.
        """
        value = self.raw(index)
        if not isinstance(value, SequenceValue):
            raise self.error(f"input {index} is no sequence")
        return value.items

    @property
    def given(self) -> list[Value]:
        """All inputs that are there, tensors."""
        values = (self.get(index) for index in range(len(self.inputs)))
        return [value for value in values if value is not None]

    def bound(self, most: builtins.int, what: str) -> builtins.int:
        """How many of something there are at most, where data decide: what the user says, or all that can be."""
        return self.importer.context.bounds.take(self.name, most, what, self.operator)

    def constant(self, index: int) -> np.ndarray | None:
        """The value of an input that is known; None where it is left out or not known."""
        value = self.get(index)
        return None if value is None else ops.constant_value(value)

    def known(self, index: int, what: str) -> np.ndarray:
        """The value of an input that must be known.

        Raises:
            OnnxError: it depends on an input of the model.
        """
        array = self.constant(index)
        if array is None:
            raise self.error(
                f"{what} (input {index}) depends on the model's inputs",
                help=self.how_to_bind(index),
            )
        return array

    def how_to_bind(self, index: builtins.int) -> str:
        """The help line where an input should be known and is not."""
        return how_to_bind(self[index], [info.name for info in self.importer.context.model.graph.input])

    def known_number(self, index: builtins.int, what: str) -> np.generic:
        """The one element of an input that must be known, in the input's own format."""
        array = self.known(index, what)
        if array.size != 1:
            raise self.error(f"{what} (input {index}) has {array.size} elements, 1 expected")
        number: np.generic = array.reshape(-1)[0]
        return number

    def known_int(self, index: builtins.int, what: str) -> builtins.int:
        return builtins.int(self.known_number(index, what).item())

    def known_ints(self, index: int, what: str) -> tuple[int, ...]:
        return tuple(int(n) for n in self.known(index, what).reshape(-1))

    def int(self, name: str, default: builtins.int) -> builtins.int:
        attribute = self._attribute(name, Kind.INT)
        return default if attribute is None else attribute.i

    def float(self, name: str, default: builtins.float) -> builtins.float:
        attribute = self._attribute(name, Kind.FLOAT)
        return default if attribute is None else attribute.f

    def string(self, name: str, default: str) -> str:
        attribute = self._attribute(name, Kind.STRING)
        return default if attribute is None else attribute.s.decode("utf-8", "replace")

    def strings(self, name: str, default: Sequence[str]) -> tuple[str, ...]:
        attribute = self._attribute(name, Kind.STRINGS)
        return tuple(default if attribute is None else (s.decode("utf-8", "replace") for s in attribute.strings))

    def ints(self, name: str, default: Sequence[builtins.int]) -> tuple[builtins.int, ...]:
        attribute = self._attribute(name, Kind.INTS)
        return tuple(default if attribute is None else attribute.ints)

    def floats(self, name: str, default: Sequence[builtins.float]) -> tuple[builtins.float, ...]:
        attribute = self._attribute(name, Kind.FLOATS)
        return tuple(default if attribute is None else attribute.floats)

    def graph(self, name: str) -> onnx.GraphProto:
        """A nested graph that must be there."""
        return self._needed(name, Kind.GRAPH).g

    def _attribute(self, name: str, kind: builtins.int) -> onnx.AttributeProto | None:
        """An attribute of that kind; None where it is left out. Old files do not say of which kind theirs are.

        Raises:
            OnnxError: it is of another kind.
        """
        attribute = self.attributes.get(name)
        if attribute is not None and attribute.type not in (kind, Kind.UNDEFINED):
            kinds = [Kind.AttributeType.Name(n).lower() for n in (attribute.type, kind)]
            raise self.error(f"attribute {name} is of kind {kinds[0]}, {kinds[1]} expected")
        return attribute

    def _needed(self, name: str, kind: builtins.int) -> onnx.AttributeProto:
        attribute = self._attribute(name, kind)
        if attribute is None:
            raise self.error(f"attribute {name} is missing")
        return attribute

    def ints_from(self, name: str, index: builtins.int) -> tuple[builtins.int, ...] | None:
        """What was an attribute once and is an input now; None where it is neither."""
        if name in self.attributes:
            return self.ints(name, ())
        return None if self.get(index) is None else self.known_ints(index, name)

    def array(self, name: str) -> np.ndarray:
        """A tensor attribute that must be there."""
        return array_of(self._needed(name, Kind.TENSOR).t, self.importer.context.file)

    def error(self, message: str, help: str | None = None) -> OnnxError:
        return OnnxError(f"{self.operator} (opset {self.opset}): {message}", at=self.importer.location(self), help=help)

    def element_type(self, number: builtins.int) -> DType:
        """The number format of one of ONNX's element types."""
        return element_type(number, f"{self.operator}: element type", self.importer.location(self))

    def like(self, number: builtins.float, value: Value) -> Value:
        """A scalar constant in the number format of ``value``."""
        return ops.scalar_like(number, value)


Lowering: TypeAlias = Callable[[Node], OnnxValue | Sequence[OnnxValue]]
LOWERINGS: dict[tuple[str, str], Lowering] = {}


def lowering(*op_types: str, domain: str = "") -> Callable[[Lowering], Lowering]:
    """Declares how operators become ops. The function handles all opsets from 7 on."""

    def register(function: Lowering) -> Lowering:
        for op_type in op_types:
            assert (domain, op_type) not in LOWERINGS, f"two lowerings of {op_type}"
            LOWERINGS[domain, op_type] = function
        return function

    return register
