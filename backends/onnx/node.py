"""What an emitter returns: applications of ONNX operators to values, arrays and one another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from ircost.backends.onnx.element_types import LEAST_OPSET
from ircost.ir.graph import Region, Value
from ircost.ir.numpy_dtypes import numpy_dtype

# Numbers, text, lists of them, and regions, which become nested graphs.
Attribute: TypeAlias = int | float | str | tuple[Any, ...] | Region
Attributes: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Known:
    """A value that is computed at load, in another form: a bias as a vector, weights rounded to bytes.

    Args:
        form: words for the form; equal words on one value are one initializer.
    """

    value: Value
    form: str
    change: Callable[[np.ndarray], np.ndarray] = field(compare=False)


@dataclass(frozen=True, slots=True)
class Array:
    """Values that the emitter made itself: a shape, axes, a number."""

    array: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One application of an operator.

    Args:
        operator, domain: which one; the domain is empty for standard operators.
        inputs: None is an optional input left out.
        attributes: a `Region` becomes a nested graph.
        outputs: how many.
        opset: the first that has the operator in the form that is meant.
    """

    operator: str
    inputs: tuple[Input, ...]
    attributes: Attributes
    domain: str = ""
    outputs: int = 1
    opset: int = LEAST_OPSET


@dataclass(frozen=True, slots=True)
class Output:
    """One of several outputs of a node."""

    node: Node
    index: int


Input: TypeAlias = Value | Known | Array | Node | Output | None


def values_of(items: Sequence[Input]) -> Iterator[Value]:
    """Values that inputs need, through the nodes before them, each of which is looked at once; those known at load are
    looked up when they are written.
    """
    seen: set[Node] = set()
    pending = list(reversed(items))
    while pending:
        item = pending.pop()
        if isinstance(item, Value):
            yield item
        node = item.node if isinstance(item, Output) else item
        if isinstance(node, Node) and node not in seen:
            seen.add(node)
            pending += reversed(node.inputs)


def node(operator: str, *inputs: Input, outputs: int = 1, opset: int = LEAST_OPSET, **attributes: Attribute) -> Node:
    """A standard operator; attributes that are empty tuples are left out."""
    kept = {name: value for name, value in attributes.items() if value != ()}
    return Node(operator, inputs, kept, outputs=outputs, opset=opset)


def microsoft(operator: str, *inputs: Input, outputs: int = 1, **attributes: Attribute) -> Node:
    """An operator that onnxruntime has beyond the standard ones."""
    return Node(operator, inputs, attributes, domain="com.microsoft", outputs=outputs)


def outputs_of(of: Node) -> list[Input]:
    return [Output(of, i) for i in range(of.outputs)]


def whole_numbers(*numbers: int) -> Array:
    return Array(np.array(numbers, np.int64))


def number_like(value: float, like: Value) -> Array:
    """A scalar in the format of ``like``."""
    return Array(np.asarray(value).astype(numpy_dtype(like.type.dtype)))
