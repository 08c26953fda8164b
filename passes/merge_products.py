"""Horizontal fusion: products of one operand with several weights become one product with all of them."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ircost.backends import Target
from ircost.cost_models.automatic import search_model
from ircost.cost_models.contraction_dims import Dims
from ircost.cost_models.interface import CostModel
from ircost.cost_models.kernel_table import Cold, ColdValues, Key, structural_key, table_of_kernels
from ircost.ir import ops
from ircost.ir.clone import clone_op
from ircost.ir.graph import Block, Module, Op, Region, Value, replace_value
from ircost.ir.load_time import load_time_ops
from ircost.ir.location import merge_locations
from ircost.passes.base import Pass, PassContext, register_pass
from ircost.passes.chosen_target import chosen_target

MOST_PRODUCTS = 8  # that one kernel joins, counted by their results


@register_pass("merge-products")
@dataclass(frozen=True, slots=True)
class MergeProducts(Pass):
    """Run products that share an operand, and whose other operands are weights, as one wider product.

    x @ wq, x @ wk, x @ wv  ->  kernel(x, concat(wq, wk, wv)) { matmul; slice; slice; slice }. The weights are joined
    once, at load; what was fused behind each product follows its slice. Run it after `fuse`.

    With a target and a cost model only what is predicted to be faster is merged; without, all that may be.

    Args:
        target: machine to merge for, in place of the one that the module is compiled for.
    """

    target: str = ""

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        target = chosen_target(self.name, self.target, context)
        model = context.cost_model or (search_model(target) if self.target and target is not None else None)
        judge = Judge(model, target) if model is not None and target is not None else None
        merged = 0
        for function in module.functions.values():
            is_main = module.functions.get("main") is function
            cold = ColdValues.of_main(function) if is_main else ColdValues(set(), set(), set())
            merged += merge_in_block(function.block, judge, cold)
        return Counter({"merged": merged} if merged else {})


@dataclass(frozen=True, slots=True)
class Branch:
    """A kernel, or an op alone, that ends or begins with a product with a weight.

    Args:
        op: that stands in the block. product: in it.
        shared, weight: the product's operands as seen from the block.
        weight_axis, result_axis: which run over the columns that only the weight has.
    """

    op: Op
    product: Op
    shared: Value
    weight: Value
    weight_axis: int
    result_axis: int

    @property
    def key(self) -> Key:
        """Equal for branches that can be merged."""
        shape = list(self.weight.type.shape)
        shape[self.weight_axis] = 0
        own = (self.product.name, tuple(self.product.attrs.values()), tuple(shape), self.weight.type.dtype)
        return self.shared, self.weight_axis, self.result_axis, *own


@dataclass(slots=True)
class Judge:
    """Whether one kernel is predicted to be faster than several; remembers those alike."""

    model: CostModel
    target: Target
    known: dict[Key, bool] = field(default_factory=dict)

    def faster(self, candidates: Sequence[tuple[Sequence[Branch], Op]], cold: ColdValues) -> list[bool]:
        """Of each (branches, merged kernel), with one call of the model for all that are new."""
        keys: list[Key] = []
        new: dict[Key, list[tuple[Op, Cold]]] = {}
        for branches, merged in candidates:
            rows = [(branch.op, cold.of(branch.op)) for branch in branches]
            # The joined weight stands in no block yet: it is as cold as its parts.
            leaves = any(own[-1] for _, own in rows)
            flags = (*[cold.has(v) or v.producer is joined_weight(merged) for v in merged.operands], leaves)
            rows.append((merged, flags))
            key: Key = tuple([(structural_key(op), own) for op, own in rows])
            keys.append(key)
            if key not in self.known:
                new[key] = rows
        flat = [row for rows in new.values() for row in rows]
        if flat:
            table = table_of_kernels([op for op, _ in flat], [own for _, own in flat])
            times_s = iter(self.model.estimate(table, self.target).latency_s.tolist())
            for key, rows in new.items():
                *apart_s, together_s = [next(times_s) for _ in rows]
                self.known[key] = together_s < sum(apart_s)
        return [self.known[key] for key in keys]


def merge_in_block(block: Block, judge: Judge | None, cold: ColdValues) -> int:
    """How many kernels took the place of several."""
    at_load = load_time_ops(block)
    cold.weights |= at_load
    order = {op: place for place, op in enumerate(block.ops)}
    found: dict[Key, list[Branch]] = defaultdict(list)
    for op in block.ops:
        branch = branch_of(op, at_load)
        if branch is not None:
            found[branch.key].append(branch)
    candidates = []
    for branches in found.values():
        for together in groups_of(branches, order, at_load):
            candidates.append((together, merged_kernel(together)))
    wanted = judge.faster(candidates, cold) if judge is not None else [True] * len(candidates)
    replaced: dict[Value, Value] = {}
    for (branches, kernel), is_wanted in zip(candidates, wanted, strict=True):
        if is_wanted:
            kernel.set_operands([replaced.get(value, value) for value in kernel.operands])
            replaced.update(put(branches, kernel, order, at_load))
    return sum(wanted)


def branch_of(op: Op, at_load: set[Op]) -> Branch | None:
    """An op as a branch, if it has just one product, of something computed with something that is there at load."""
    if op in at_load or not (op.name == "kernel" or op.definition.is_contraction):
        return None
    inner = list(op.regions[0].block.ops) if op.name == "kernel" else [op]
    products = [o for o in inner if o.definition.is_contraction]
    if len(products) != 1 or any(o.regions and any(i.definition.is_contraction for i in o.walk()) for o in inner):
        return None
    (product,) = products
    outer = dict(zip(op.regions[0].block.arguments, op.operands, strict=True)) if op.name == "kernel" else {}
    shared, weight = (outer.get(value, value) for value in product.operands)
    if (
        weight.producer not in at_load
        or shared.producer in at_load
        or not all(is_outside(v, op) for v in (shared, weight))
    ):
        return None
    axes = column_axes(product)
    return Branch(op, product, shared, weight, *axes) if axes is not None else None


def is_outside(value: Value, op: Op) -> bool:
    return value.producer is None or value.producer.block is op.block


def column_axes(product: Op) -> tuple[int, int] | None:
    """Axes of the second operand and of the result that are the one dim that only they have; None if there is none."""
    space = product.definition.iteration_space(product)
    assert space is not None, "contractions have iteration spaces"
    long = [dim.extent > 1 for dim in space.dims]
    columns = [dim for dim, role in enumerate(Dims(space).roles) if role == "n" and long[dim]]
    if len(columns) != 1:
        return None
    whole = [(columns[0], 1)]
    places = [
        [i for i, axis in enumerate(access.axes) if [t for t in axis.terms if long[t[0]]] == whole and not axis.offset]
        for access in (space.operands[1], space.results[0])
    ]
    return (places[0][0], places[1][0]) if all(len(found) == 1 for found in places) else None


def groups_of(branches: Sequence[Branch], order: dict[Op, int], at_load: set[Op]) -> list[list[Branch]]:
    """Branches that can run where the first of each group stands, up to `MOST_PRODUCTS` results in all.

    Each joins the first group that it can; n log n in the branches.
    """
    groups: list[list[Branch]] = []
    open_groups: list[int] = []  # by place of their first branch, which is the order of their numbers
    places: list[int] = []
    results: list[int] = []
    for branch in branches:
        at = bisect_right(places, ready_at(branch.op, order, at_load))
        while at < len(open_groups) and results[open_groups[at]] + len(branch.op.results) > MOST_PRODUCTS:
            at += 1
        if at == len(open_groups):
            open_groups.append(len(groups))
            places.append(order[branch.op])
            groups.append([])
            results.append(0)
        number = open_groups[at]
        groups[number].append(branch)
        results[number] += len(branch.op.results)
        if results[number] >= MOST_PRODUCTS:
            del open_groups[at], places[at]
    return [group for group in groups if len(group) > 1]


def ready_at(op: Op, order: dict[Op, int], at_load: set[Op]) -> int:
    """The place of the last op that this one waits for; -1 for none."""
    producers = [value.producer for value in op.operands if value.producer not in at_load]
    return max((order.get(producer, -1) for producer in producers if producer is not None), default=-1)


def merged_kernel(branches: Sequence[Branch]) -> Op:
    """A detached kernel that does what all branches do, on a detached concatenation of their weights."""
    first = branches[0]
    joined = ops.concat(*[branch.weight for branch in branches], axis=first.weight_axis)
    others = [value for branch in branches for value in inputs_beside_product(branch)]
    inputs = list(dict.fromkeys([first.shared, joined, *others]))
    body = Block(value.type for value in inputs)
    outer = dict(zip(inputs, body.arguments, strict=True))
    product = first.product
    wide = product.definition.create(
        [outer[first.shared], outer[joined]], dict(product.attrs), location=product.location
    )
    body.append(wide)
    results: list[Value] = []
    start = 0
    for branch in branches:
        results.extend(copy_branch(branch, body, outer, wide.result, start))
        start += branch.weight.type.shape[branch.weight_axis]
    body.append(ops.yield_.create(results))
    location = merge_locations(branch.op.location for branch in branches)
    return ops.kernel.create(inputs, regions=[Region(body)], location=location)


def inputs_beside_product(branch: Branch) -> Iterator[Value]:
    """Operands of a branch that something beside its product's second operand reads."""
    if branch.op is branch.product:
        return
    for argument, operand in zip(branch.op.regions[0].block.arguments, branch.op.operands, strict=True):
        if any(user is not branch.product for user in argument.users):
            yield operand


def copy_branch(branch: Branch, body: Block, outer: dict[Value, Value], wide: Value, start: int) -> list[Value]:
    """Appends a branch's slice of the wide product and all that follows it; what it yields."""
    shape = branch.product.result.type.shape
    starts = tuple(start if axis == branch.result_axis else 0 for axis in range(len(shape)))
    part = ops.slice(wide, starts=starts, size=shape)
    assert part.producer is not None, "a slice is made by an op"
    body.append(part.producer)
    if branch.op is branch.product:
        return [part]
    own = branch.op.regions[0].block
    mapping = {a: outer[v] for a, v in zip(own.arguments, branch.op.operands, strict=True) if v in outer}
    for op in own.ops:
        if op is branch.product:
            mapping[op.result] = part
        elif op.definition.is_terminator:
            return [mapping[value] for value in op.operands]
        else:
            body.append(clone_op(op, mapping))
    raise AssertionError("a body ends with a terminator")


def joined_weight(kernel: Op) -> Op | None:
    """The concatenation that a merged kernel reads, as long as it stands in no block."""
    made = (value.producer for value in kernel.operands)
    return next((op for op in made if op is not None and op.block is None and op.name == "concat"), None)


def put(branches: Sequence[Branch], kernel: Op, order: dict[Op, int], at_load: set[Op]) -> dict[Value, Value]:
    """The kernel in place of the first branch, with what it reads that is there at load above it.

    Returns:
        What replaced each result of a branch: merged kernels that stand nowhere yet may read those.
    """
    first = branches[0].op
    block, joined = first.block, joined_weight(kernel)
    assert block is not None and joined is not None, "branches stand in a block, and their weights are joined"
    for op in made_later([*joined.operands, *kernel.operands], order, at_load, order[first]):
        block.remove(op)
        block.insert_before(op, first)
    block.insert_before(joined, first)
    block.insert_before(kernel, first)
    replaced = dict(zip((old for branch in branches for old in branch.op.results), kernel.results, strict=True))
    for old, new in replaced.items():
        new.name = old.name
        replace_value(old, new)
    for branch in branches:
        block.remove(branch.op)
    return replaced


def made_later(values: Sequence[Value], order: dict[Op, int], at_load: set[Op], place: int) -> list[Op]:
    """Load-time ops behind some values that stand below a place, in program order."""
    found: set[Op] = set()
    stack = [value.producer for value in values]
    while stack:
        op = stack.pop()
        if op is not None and op in at_load and order[op] > place and op not in found:
            found.add(op)
            stack.extend(operand.producer for operand in op.operands)
    return sorted(found, key=order.__getitem__)
