"""The order of axes in which tensors are stored, chosen for a whole graph at once so that least is moved."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ircost.ir.attributes import ints_of
from ircost.ir.graph import Block, Module
from ircost.ir.rewrite import apply_patterns, rewritable_ops
from ircost.passes.base import Pass, PassContext, register_pass
from ircost.passes.cancel_transposes import CancelTransposes
from ircost.passes.layout_graph import Regions, regions_of
from ircost.passes.layout_rewriting import store
from ircost.passes.permuting import Perm, inverse

# Each round moves less than the one before; more are never needed for one permutation, and few for several.
MOST_ROUNDS = 8


@register_pass("layout")
@dataclass(frozen=True, slots=True)
class Layout(Pass):
    """Store tensors in that order of axes in which least has to be transposed.

    relu(transpose(x))  ->  transpose(relu(x)), wherever transposes then meet and cancel, become fewer, or move less.

    For each permutation that a graph transposes by, every op that may as well run on permuted axes (element-wise ops,
    reductions, concatenation, slices, pads, softmax, cumulative sums) runs before or behind it. Which, is the minimum
    cut of a graph: ops whose axes are fixed, inputs and results on either side, between them tensors with the bytes
    that transposing them reads and writes. It is exact for one permutation; several are taken one after another. Never
    more bytes, and of as many never more transposes. Outputs stay, but for the order in which sums run.
    """

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        fired: Counter[str] = Counter()
        blocks = [function.block for function in module.functions.values()]
        for op in list(rewritable_ops(module)):
            if not op.definition.is_isolated:
                blocks += [region.block for region in op.regions]
        fired += apply_patterns(module, CancelTransposes().patterns())
        for block in blocks:
            for _ in range(MOST_ROUNDS):
                changes = sum(settle(block, perm) for perm in permutations(block))
                if not changes:
                    break
                fired["regions"] += changes
        fired += apply_patterns(module, CancelTransposes().patterns())
        return +fired


def permutations(block: Block) -> list[Perm]:
    """Permutations that a block transposes by, one of each with its inverse; those that move most come first."""
    moved: Counter[Perm] = Counter()
    for op in block.ops:
        if op.name == "transpose":
            perm = ints_of(op.attrs, "perm")
            moved[min(perm, inverse(perm))] += op.result.type.size_bytes
    return [perm for perm, _ in moved.most_common()]


def settle(block: Block, perm: Perm) -> int:
    """Decides for one permutation.

    Returns:
        How many regions of the graph were changed.
    """
    found: Regions = regions_of(block, perm)
    changed = [region for region in found.regions if region.gains()]
    if changed:
        store(block, found, changed)
    return len(changed)
