"""Loop-invariant code motion: what is the same on every trip of a loop is computed once, before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ircost.ir.attributes import int_of
from ircost.ir.clone import Mapping, clone_op
from ircost.ir.graph import Block, Module, Op, Region, Value
from ircost.ir.rewrite import RewritePattern, apply_patterns, is_erasable
from ircost.passes.base import Pass, PassContext, register_pass

LOOPS = ("while", "scan")


class InvariantState(RewritePattern):
    """while(s, ..) { .. yield s, .. }  ->  while(..) { .. }, whose body reads s from around; so for a scan"""

    root = LOOPS

    def rewrite(self, op: Op) -> Sequence[Value] | None:
        states = int_of(op.attrs, "states") if op.name == "scan" else len(op.operands)
        body = op.regions[-1].block
        pairs = zip(body.arguments[:states], body.terminator.operands[:states], strict=True)
        same = {i for i, (before, after) in enumerate(pairs) if before is after}
        if not same:
            return None
        attrs = {**op.attrs, "states": states - len(same)} if op.name == "scan" else op.attrs
        kept = [i for i in range(len(op.results)) if i not in same]
        operands = [x for i, x in enumerate(op.operands) if i not in same]
        regions = [without(region, same, op.operands, region is op.regions[-1]) for region in op.regions]
        made = Op(op.definition, operands, attrs, [op.results[i].type for i in kept], regions, op.location)
        results = dict(zip(kept, made.results, strict=True))
        for i, result in results.items():
            result.name = op.results[i].name
        return [results.get(i, op.operands[i] if i in same else op.results[i]) for i in range(len(op.results))]


def without(region: Region, dropped: set[int], outer: Sequence[Value], drops_results: bool) -> Region:
    """A copy of a body that reads some of its arguments from around it, and does not hand them back."""
    old = region.block
    kept = [argument for i, argument in enumerate(old.arguments) if i not in dropped]
    block = Block([argument.type for argument in kept])
    mapping: Mapping = {old.arguments[i]: outer[i] for i in dropped}
    for argument, copy in zip(kept, block.arguments, strict=True):
        copy.name = argument.name
        mapping[argument] = copy
    for op in old.ops:
        block.append(clone_op(op, mapping))
    if drops_results:
        end = block.terminator
        block.remove(end)
        results = [value for i, value in enumerate(end.operands) if i not in dropped]
        block.append(Op(end.definition, results, end.attrs, (), (), end.location))
    return Region(block)


@register_pass("loop-invariants")
@dataclass(frozen=True, slots=True)
class LoopInvariants(Pass):
    """Take states that no trip changes out of loops, and what follows from such before them.

    Each state taken out saves a copy a trip, and lets weights be seen as such. Of ops that move out, a loop of no trips
    runs one that it did not run before; what follows from constants alone stays, since it runs at load in any case.
    """

    def patterns(self) -> tuple[RewritePattern, ...]:
        return (InvariantState(),)

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        fired = apply_patterns(module, self.patterns())
        for function in module.functions.values():
            fired["hoisted"] += hoist(function.block, set())
        return +fired


def hoist(block: Block, at_load: set[Op]) -> int:
    """Moves invariant ops out of the loops of a block, innermost loops first; how many."""
    moved = 0
    for op in block.ops:
        if op.name == "constant" or runs_at_load(op, at_load):
            at_load.add(op)
        if not op.regions or op.definition.is_isolated:
            continue
        for region in op.regions:
            moved += hoist(region.block, at_load)
            if op.name in LOOPS:
                moved += hoist_from(region.block, op, at_load)
    return moved


def hoist_from(block: Block, loop: Op, at_load: set[Op]) -> int:
    assert loop.block is not None, "the loop stands in a block"
    inside = {*block.arguments}
    moved = 0
    for op in block.ops:
        if can_move(op) and op not in at_load and inside.isdisjoint(op.operands):
            block.remove(op)
            loop.block.insert_before(op, loop)
            moved += 1
        else:
            inside.update(op.results)
    return moved


def can_move(op: Op) -> bool:
    return is_erasable(op) and (op.definition.is_isolated or not op.regions) and op.name != "call"


def runs_at_load(op: Op, at_load: set[Op]) -> bool:
    return can_move(op) and all(operand.producer in at_load for operand in op.operands)
