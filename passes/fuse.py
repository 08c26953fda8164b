"""Fusion: ops that run as one kernel, chosen by a simple rule or by predicted time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ircost.backends import TargetError
from ircost.cost_models.automatic import search_model
from ircost.cost_models.kernel_table import ColdValues
from ircost.ir.graph import Block, Module, Op, Value
from ircost.ir.load_time import load_time_ops
from ircost.ir.rewrite import rewritable_ops
from ircost.passes import fusion_search
from ircost.passes.base import Pass, PassContext, check_least, register_pass
from ircost.passes.chosen_target import chosen_target
from ircost.passes.fusion_legality import Room, is_product
from ircost.passes.fusion_search import Pricer
from ircost.passes.kernel_making import can_fuse, is_elementwise, make_kernel


@register_pass("fuse")
@dataclass(frozen=True, slots=True)
class Fuse(Pass):
    """Put ops into one kernel, so that what passes between them stays on chip.

    relu(add(conv(x, w), bias))  ->  kernel(x, w, bias) { conv; add; relu }. Each fusion saves a write and a read of
    what passes between, and a launch.

    By cost, those fusions are made that are predicted to be faster, of all that iteration spaces and the memory of a
    processor allow: chains, epilogues of products, reductions with what surrounds them, several results. Else, and
    where no target is known, element-wise ops join the kernel of their producer when nothing else reads what passes
    between.

    Args:
        max_ops: most ops in one kernel.
        by_cost: search by predicted time on the target that the module is compiled for.
        chains: by cost, also kernels with several products, chained through tiles on chip: convolutions between which
            channels are narrow, feed-forward layers, attention that is not recognised as such. Of these, only attention
            was measured.
        products: products take in what is beside them. Where they do not, they are a library's kernels and everything
            else is fused: what torch.compile does by default.
        target: machine to fuse for by cost, in place of that.
        residuals: by the plain rule, also ops that read a second activation; else a bias or a relu joins its producer,
            and the sum of a residual stands alone, as in CMSIS-NN and its kin.
    """

    is_exact = True
    is_idempotent = False  # by cost: a copy in its reader may open a merge that was no gain before

    max_ops: int = 16
    by_cost: bool = False
    chains: bool = False
    products: bool = True
    target: str = ""
    residuals: bool = True

    def __post_init__(self) -> None:
        check_least(self, "max_ops", 1)

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        return Counter({"kernels": self.run_together([module], context)})

    def run_together(self, modules: Sequence[Module], context: PassContext) -> int:
        """Rewrites modules side by side: by cost, a round of all of them takes one call of the model.

        Returns:
            How many kernels were made.
        """
        blocks = {block: cold for module in modules for block, cold in blocks_of(module).items()}
        pricer = self._pricer(context)
        if pricer is None:
            return self._fuse_plainly(blocks)
        try:
            groups = [group for own in fusion_search.find_groups(blocks, pricer, self.max_ops) for group in own]
        except TargetError:  # no estimate on this target: whoever asks for one is told why
            return self._fuse_plainly(blocks)
        for group in groups:
            make_kernel(group.ops, group.results, group.schedule)
        return len(groups)

    def _fuse_plainly(self, blocks: Iterable[Block]) -> int:
        asked = {"products": self.products, "residuals": self.residuals}
        return sum(fuse_block(block, self.max_ops, **asked) for block in blocks)

    def _pricer(self, context: PassContext) -> Pricer | None:
        if not (self.by_cost or self.target):
            return None
        target = chosen_target(self.name, self.target, context)
        if target is None or (context.cost_model is None and not self.target):
            return None
        model = context.cost_model or search_model(target)
        return Pricer(model, target, Room.of(target), self.chains, self.products)


def blocks_of(module: Module) -> dict[Block, ColdValues]:
    """Every block whose ops are kernels of their own, with what is cold in it."""
    blocks = {function.block: ColdValues(set(), set(), set()) for function in module.functions.values()}
    if "main" in module.functions:
        blocks[module.main.block] = ColdValues.of_main(module.main)
    for op in list(rewritable_ops(module)):
        if op.name in ("if", "while", "scan"):
            blocks.update({region.block: ColdValues(set(), set(), set()) for region in op.regions})
    return blocks


@dataclass(slots=True, eq=False)
class Group:
    """Ops that will be one kernel, in program order; the last one's result leaves it."""

    ops: list[Op] = field(default_factory=list)
    heavy: int = 0  # ops that are not element-wise


def fuse_block(block: Block, max_ops: int, *, products: bool = True, residuals: bool = True) -> int:
    """Fuses within one block by the plain rule; linear in its ops.

    Args:
        products, residuals: see ``Fuse``.

    Returns:
        How many kernels were made.
    """
    groups = find_groups(block, max_ops, products=products, residuals=residuals)
    for group in groups:
        make_kernel(group.ops, group.ops[-1].results)
    return len(groups)


def find_groups(block: Block, max_ops: int, *, products: bool = True, residuals: bool = True) -> list[Group]:
    """Which ops of a block go together, by the place of the last of each."""
    at_load = load_time_ops(block)
    group_of: dict[Op, Group] = {}
    order = {op: i for i, op in enumerate(block.ops)}
    for op in block.ops:
        if op in at_load or not can_fuse(op) or (is_product(op) and not products):
            continue
        group = group_of[op] = Group([op], int(not is_elementwise(op)))
        if not is_elementwise(op) or not (residuals or reads_one_activation(op, at_load)):
            continue
        for producer in producers_inside(op, group_of):
            other = group_of[producer]
            if other is not group and len(other.ops) + len(group.ops) <= max_ops and other.heavy + group.heavy <= 1:
                group = merge(other, group, group_of)
    groups = [group for group in dict.fromkeys(group_of.values()) if len(group.ops) > 1]
    for group in groups:
        group.ops.sort(key=order.__getitem__)
    return groups


def reads_one_activation(op: Op, at_load: set[Op]) -> bool:
    return len({operand for operand in op.operands if operand.producer not in at_load}) == 1


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
