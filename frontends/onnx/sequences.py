"""Operators on sequences and optionals: resolved while the model is read, they leave tensors only."""

from __future__ import annotations

import numpy as np

from ircost.frontends.onnx.node import Node, lowering
from ircost.frontends.onnx.sequence_value import Absent, OnnxValue, SequenceValue
from ircost.ir import ops
from ircost.ir.graph import Value

MOST_PARTS = 4096  # of a sequence: each is a value of its own


@lowering("SequenceEmpty")
def sequence_empty(node: Node) -> SequenceValue:
    return SequenceValue(())


@lowering("SequenceConstruct")
def sequence_construct(node: Node) -> SequenceValue:
    return SequenceValue(tuple(node[i] for i in range(len(node.inputs))))


@lowering("SequenceAt")
def sequence_at(node: Node) -> Value:
    items = node.sequence(0)
    return items[position(node, 1, len(items))]


@lowering("SequenceInsert")
def sequence_insert(node: Node) -> SequenceValue:
    """At the end where no position is given."""
    items = node.sequence(0)
    at = len(items) if node.get(2) is None else position(node, 2, len(items) + 1)
    return SequenceValue((*items[:at], node[1], *items[at:]))


@lowering("SequenceErase")
def sequence_erase(node: Node) -> SequenceValue:
    """The last one where no position is given."""
    items = node.sequence(0)
    at = position(node, 1, len(items)) if node.get(1) is not None else len(items) - 1
    return SequenceValue((*items[:at], *items[at + 1 :]))


def position(node: Node, index: int, count: int) -> int:
    """A place in a sequence, counted from the front."""
    at = node.known_int(index, "the position in the sequence")
    # Behind the last one of n to insert is n, and -1 is before the last one: negative ones count from the sequence.
    length = count - 1 if node.proto.op_type == "SequenceInsert" else count
    if not -length <= at < count:
        raise node.error(f"position {at} is outside of a sequence of {length}")
    return at + length if at < 0 else at


@lowering("SequenceLength")
def sequence_length(node: Node) -> Value:
    return ops.constant_of(np.array(len(node.sequence(0)), np.int64))


@lowering("SplitToSequence")
def split_to_sequence(node: Node) -> SequenceValue:
    """Pieces of a known size, or of known sizes; of 1 without that axis, unless keepdims, where none is given."""
    x = node[0]
    axis = node.int("axis", 0) % x.type.rank
    extent = x.type.shape[axis]
    check_count(node, extent if node.get(1) is None else 0)
    sizes = [1] * extent if node.get(1) is None else []
    if node.get(1) is not None:
        split = node.known(1, "sizes of the parts")
        each = int(split.reshape(-1)[0]) if split.ndim == 0 else 0
        if split.ndim == 0 and each < 1:
            raise node.error(f"parts of {each} elements")
        check_count(node, extent // each if each else split.size)
        sizes = [int(n) for n in split] if split.ndim else [min(each, extent - at) for at in range(0, extent, each)]
    if sum(sizes) != extent or min(sizes, default=0) < 0:
        raise node.error(f"parts of {sizes} do not make up axis {axis} of {x.type}")
    parts = [part(x, axis, sum(sizes[:i]), n) for i, n in enumerate(sizes)]
    if node.get(1) is None and not node.int("keepdims", 1):
        parts = [ops.reshape(p, shape=(*p.type.shape[:axis], *p.type.shape[axis + 1 :])) for p in parts]
    return SequenceValue(tuple(parts))


def check_count(node: Node, count: int) -> None:
    if count > MOST_PARTS:
        raise node.error(f"{count:,} parts; {MOST_PARTS:,} can be told apart")


def part(x: Value, axis: int, start: int, size: int) -> Value:
    starts = tuple(start if i == axis else 0 for i in range(x.type.rank))
    return ops.slice(x, starts=starts, size=(*x.type.shape[:axis], size, *x.type.shape[axis + 1 :]))


@lowering("ConcatFromSequence")
def concat_from_sequence(node: Node) -> Value:
    """Along an axis they have, or along a new one."""
    items = node.sequence(0)
    if not items:
        raise node.error("the sequence is empty")
    axis = node.int("axis", 0)
    if node.int("new_axis", 0):
        rank = items[0].type.rank + 1
        at = axis + rank if axis < 0 else axis
        items = tuple(ops.reshape(x, shape=(*x.type.shape[:at], 1, *x.type.shape[at:])) for x in items)
    return ops.concat(*items, axis=axis)


@lowering("Optional")
def optional(node: Node) -> OnnxValue:
    given = node.raw(0)
    return Absent() if given is None else given


@lowering("OptionalHasElement")
def optional_has_element(node: Node) -> Value:
    return ops.constant_of(np.array(not isinstance(node.raw(0) or Absent(), Absent)))


@lowering("OptionalGetElement")
def optional_get_element(node: Node) -> OnnxValue:
    given = node.raw(0)
    if given is None or isinstance(given, Absent):
        raise node.error("the optional holds nothing")
    return given
