"""Common subexpressions: of two equal ops on equal operands, one is enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ircost.ir.attributes import Attribute
from ircost.ir.constant import Splat
from ircost.ir.graph import Block, Module, Op, Value
from ircost.ir.location import merge_locations
from ircost.ir.rewrite import drop_regions, is_erasable
from ircost.passes.base import Pass, PassContext, register_pass

Key = tuple[object, ...]


@register_pass("cse")
@dataclass(frozen=True, slots=True)
class MergeEqualOps(Pass):
    """Merge pure ops that have the same name, operands, attributes and bodies.

    An op in a body may be merged into one above that body, never the other way round.
    """

    is_exact = True

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        return Counter({"merged": merge_equal_ops(module)})


def merge_equal_ops(module: Module) -> int:
    """Merges equal ops; linear in the number of ops.

    Returns:
        How many were taken out.
    """
    copies: dict[Op, list[Op]] = {}
    merged = sum(_merge(function.block, {}, {}, {}, copies) for function in module.functions.values())
    for first, others in copies.items():
        if first.name != "constant":
            first.location = merge_locations([op.location for op in (first, *others)])
    return merged


def _merge(
    block: Block,
    visible: dict[Key, Op],
    numbers: dict[Value, int],
    merged_into: dict[Value, Value],
    copies: dict[Op, list[Op]],
) -> int:
    """Top to bottom; each op is told of all operands that are gone when its turn comes, and before its bodies'.

    Args:
        copies: of each op that stays, those that are taken out for it; where they came from is told of it at the end.
    """
    added: list[Key] = []
    merged = 0
    for op in block.ops:
        if merged_into and any(operand in merged_into for operand in op.operands):
            op.set_operands([merged_into.get(operand, operand) for operand in op.operands])
        if op.regions and not op.definition.is_isolated:
            merged += sum(_merge(region.block, visible, numbers, merged_into, copies) for region in op.regions)
        if op.name == "kernel":
            merged += _merge(op.regions[0].block, {}, {}, {}, copies)
        if not is_erasable(op) or (op.regions and not op.definition.is_isolated):
            continue
        key = op_key(op, numbers)
        first = visible.get(key)
        if first is None:
            visible[key] = op
            added.append(key)
            continue
        if not have_equal_bodies(op, first):
            continue
        merged_into.update(zip(op.results, first.results, strict=True))
        copies.setdefault(first, []).append(op)
        _take_out(op)
        merged += 1
    for key in added:
        del visible[key]
    return merged


def _take_out(op: Op) -> None:
    drop_regions(op)
    assert op.block is not None
    op.block.remove(op)


def op_key(op: Op, numbers: dict[Value, int]) -> Key:
    """Equal for ops that compute the same, but for their bodies; numbers each value at its first mention."""
    operands = tuple([numbers.setdefault(operand, len(numbers)) for operand in op.operands])
    if op.definition.is_commutative:
        operands = tuple(sorted(operands))
    results = tuple([result.type for result in op.results])
    return op.name, operands, attribute_keys(op.attrs.values()), results


def have_equal_bodies(op: Op, other: Op) -> bool:
    pairs = zip(op.regions, other.regions, strict=True)
    return all(body_key(region.block) == body_key(first.block) for region, first in pairs)


def body_key(block: Block) -> Key:
    """Equal for bodies that compute the same from their arguments."""
    numbers: dict[Value, int] = {argument: i for i, argument in enumerate(block.arguments)}
    keys: list[Key] = []
    for op in block.ops:
        bodies = tuple([body_key(region.block) for region in op.regions])
        keys.append((op_key(op, numbers), bodies))
        for result in op.results:
            numbers.setdefault(result, len(numbers))
    return tuple(keys)


def attribute_keys(values: Iterable[Attribute]) -> Key:
    """Attribute values such that 0.0, -0.0 and 0 differ, which Python holds for equal."""
    return tuple([repr(v) if isinstance(v, (float, bool, Splat)) else v for v in values])
