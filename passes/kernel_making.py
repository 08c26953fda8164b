"""Wraps ops that run as one unit into a kernel op."""

from __future__ import annotations

from collections.abc import Sequence

from ircost.ir import ops
from ircost.ir.clone import clone_op
from ircost.ir.graph import Block, Op, Region, Value, replace_value
from ircost.ir.location import merge_locations
from ircost.ir.structured import StructuredOp


def make_kernel(members: Sequence[Op], results: Sequence[Value], schedule: str = "") -> Op:
    """One kernel op in place of ``members``, where the last of them stood.

    Args:
        members: of one block, in program order; whoever reads their results from outside stands below the last.
        results: what is read from outside. schedule: how it runs, where that is known.
    """
    last = members[-1]
    kernel = kernel_of(members, results, schedule)
    assert last.block is not None, "members stand in a block"
    last.block.insert_before(kernel, last)
    for old, new in zip(results, kernel.results, strict=True):
        new.name = old.name
        replace_value(old, new)
    for op in reversed(members):
        assert op.block is not None, "members stand in a block"
        op.block.remove(op)
    return kernel


def kernel_of(members: Sequence[Op], results: Sequence[Value], schedule: str = "") -> Op:
    """A detached kernel that does what ``members`` do; scalar constants move inside."""
    inside = set(members)
    outside = dict.fromkeys(v for op in members for v in op.operands if v.producer not in inside)
    inputs = [value for value in outside if not is_scalar_constant(value)]
    body = Block(value.type for value in inputs)
    mapping: dict[Value, Value] = dict(zip(inputs, body.arguments, strict=True))
    for value in outside:
        if value not in mapping and value.producer is not None:
            body.append(clone_op(value.producer, mapping))
    for op in members:
        body.append(clone_op(op, mapping))
    body.append(ops.yield_.create([mapping[result] for result in results]))
    location = merge_locations(op.location for op in members)
    return ops.kernel.create(inputs, {"schedule": schedule}, regions=[Region(body)], location=location)


def is_scalar_constant(value: Value) -> bool:
    return value.type.elements == 1 and ops.constant_value(value) is not None


def can_fuse(op: Op) -> bool:
    """A single result of known extents, by index notation or by a composite that is one kernel."""
    if len(op.results) != 1 or op.result.type.bounded:
        return False
    if op.definition.is_composite:
        return not any(inner.name in ("scan", "while", "if") for inner in op.regions[0].block.ops)
    return isinstance(op.definition, StructuredOp)


def is_elementwise(op: Op) -> bool:
    return isinstance(op.definition, StructuredOp) and op.definition.is_elementwise
