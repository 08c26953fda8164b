"""Fusion, its first and simplest form: element-wise ops run in the kernel that makes their operand."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ircost.ir import ops
from ircost.ir.clone import clone_op
from ircost.ir.graph import Block, Module, Op, Region, Value, replace_value
from ircost.ir.load_time import load_time_ops
from ircost.ir.location import merge_locations
from ircost.ir.rewrite import rewritable_ops
from ircost.ir.structured import StructuredOp
from ircost.passes.base import Pass, PassContext, register_pass


@register_pass("fuse")
@dataclass(frozen=True, slots=True)
class Fuse(Pass):
    """Put element-wise ops into the kernel of their producer, when nothing else reads what passes between them.

    relu(add(conv(x, w), bias))  ->  kernel(x, w, bias) { conv; add; relu }. A kernel holds one op that is not
    element-wise at most, and results of one shape. Each fusion saves a write and a read of what passes between.

    Args:
        max_ops: most ops in one kernel.
    """

    max_ops: int = 16

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        blocks = dict.fromkeys(function.block for function in module.functions.values())
        for op in list(rewritable_ops(module)):
            if op.name in ("if", "while", "scan"):
                blocks.update(dict.fromkeys(region.block for region in op.regions))
        return Counter({"kernels": sum(fuse_block(block, self.max_ops) for block in blocks)})


@dataclass(slots=True, eq=False)
class Group:
    """Ops that will be one kernel, in program order; the last one's result leaves it."""

    ops: list[Op] = field(default_factory=list)
    heavy: int = 0  # ops that are not element-wise


def fuse_block(block: Block, max_ops: int) -> int:
    """Fuses within one block; linear in its ops.

    Returns:
        How many kernels were made.
    """
    groups = find_groups(block, max_ops)
    for group in groups:
        make_kernel(group)
    return len(groups)


def find_groups(block: Block, max_ops: int) -> list[Group]:
    """Which ops of a block go together, by the place of the last of each."""
    at_load = load_time_ops(block)
    group_of: dict[Op, Group] = {}
    order = {op: i for i, op in enumerate(block.ops)}
    for op in block.ops:
        if op in at_load or not can_fuse(op):
            continue
        group = group_of[op] = Group([op], int(not is_elementwise(op)))
        if not is_elementwise(op):
            continue
        for producer in producers_inside(op, group_of):
            other = group_of[producer]
            if other is not group and len(other.ops) + len(group.ops) <= max_ops and other.heavy + group.heavy <= 1:
                group = merge(other, group, group_of)
    groups = [group for group in dict.fromkeys(group_of.values()) if len(group.ops) > 1]
    for group in groups:
        group.ops.sort(key=order.__getitem__)
    return groups


def producers_inside(op: Op, group_of: dict[Op, Group]) -> list[Op]:
    """Producers of operands that only ``op`` reads, and that have the shape of its result."""
    shape = op.result.type.shape
    found = []
    for operand in dict.fromkeys(op.operands):
        producer = operand.producer
        if producer in group_of and operand.type.shape == shape and is_only_user(op, operand):
            assert producer is not None
            found.append(producer)
    return found


def is_only_user(op: Op, value: Value) -> bool:
    """Whether nothing else reads the value; looks at two users at most."""
    return all(user is op for user, _ in value.uses)


def merge(first: Group, second: Group, group_of: dict[Op, Group]) -> Group:
    first.ops.extend(second.ops)
    first.heavy += second.heavy
    group_of.update(dict.fromkeys(second.ops, first))
    return first


def can_fuse(op: Op) -> bool:
    """A single result of known extents, by index notation or by a composite that is one kernel."""
    if len(op.results) != 1 or op.result.type.bounded:
        return False
    if op.definition.is_composite:
        return not any(inner.name in ("scan", "while", "if") for inner in op.regions[0].block.ops)
    return isinstance(op.definition, StructuredOp)


def is_elementwise(op: Op) -> bool:
    return isinstance(op.definition, StructuredOp) and op.definition.is_elementwise


def make_kernel(group: Group) -> Op:
    """One kernel op in place of the group; scalar constants move inside."""
    last = group.ops[-1]
    members = set(group.ops)
    outside = dict.fromkeys(v for op in group.ops for v in op.operands if v.producer not in members)
    inputs = [value for value in outside if not is_scalar_constant(value)]
    body = Block(value.type for value in inputs)
    mapping: dict[Value, Value] = dict(zip(inputs, body.arguments, strict=True))
    for value in outside:
        if value not in mapping and value.producer is not None:
            body.append(clone_op(value.producer, mapping))
    for op in group.ops:
        body.append(clone_op(op, mapping))
    body.append(ops.yield_.create([mapping[last.result]]))
    location = merge_locations(op.location for op in group.ops)
    kernel = ops.kernel.create(inputs, regions=[Region(body)], location=location)
    assert last.block is not None
    last.block.insert_before(kernel, last)
    kernel.result.name = last.result.name
    replace_value(last.result, kernel.result)
    for op in reversed(group.ops):
        assert op.block is not None
        op.block.remove(op)
    return kernel


def is_scalar_constant(value: Value) -> bool:
    return value.type.elements == 1 and ops.constant_value(value) is not None
