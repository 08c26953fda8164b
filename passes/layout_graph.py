"""Regions of a graph that may be stored in either of two orders of axes, and what each choice has to transpose.

Two orders, A and B: B is A with its axes permuted. A transpose by that permutation, or back, changes nothing but the
order; values joined by such transposes are one *tensor*. Ops that compute the same on permuted axes are free to run in
either order. Products read each operand in either order, and are free to write their result so. All other ops, the
block's arguments and its results are fixed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ircost.ir.attributes import ints_of
from ircost.ir.graph import Block, Op, Value
from ircost.ir.load_time import load_time_ops
from ircost.passes.permuted_products import ProductDims, product_dims
from ircost.passes.permuting import Perm, drains, inverse, may_permute, moves_bytes

A, B = 0, 1
Order = int
# Bytes come first, then how many transposes there are: fewer of them than this in any graph.
COUNT = 1 << 32


@dataclass(slots=True, eq=False)
class Tensor:
    """Values that differ in the order of their axes only.

    Args:
        root: the one that is no result of a transpose.
        cost: of transposing it: bytes read and written; 0 for what is known at load.
        maker: the free op that makes it; None if it is fixed.
        readers: free ops that read it.
        fixed: orders in which others read it.
    """

    root: Value
    cost: int
    maker: Op | None = None
    readers: dict[Op, None] = field(default_factory=dict)
    fixed: set[Order] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class Region:
    """Tensors and free ops that hang together.

    Args:
        sides: the order that each value has as it is written.
        transposes: those that go if all is decided anew. paid: what they cost.
        products: the free ops that are products.
    """

    sides: dict[Value, Order] = field(default_factory=dict)
    ops: list[Op] = field(default_factory=list)
    tensors: dict[Value, Tensor] = field(default_factory=dict)
    transposes: list[Op] = field(default_factory=list)
    paid: int = 0
    orders: dict[Op, Order] = field(default_factory=dict)
    products: dict[Op, None] = field(default_factory=dict)

    def gains(self) -> bool:
        """Decides the order of each free op; whether that costs less than now."""
        cost, self.orders = cheapest_orders(self)
        return cost < self.paid

    def side_of(self, op: Op) -> Order:
        """The order in which a free op is written."""
        return next(self.sides[v] for v in (*op.results, *op.operands) if v in self.sides)

    def distinct_tensors(self) -> list[Tensor]:
        return list(dict.fromkeys(self.tensors.values()))


@dataclass(frozen=True, slots=True)
class Regions:
    """Args:
    perm: axis i of order B is axis perm[i] of order A.
    """

    perm: Perm
    regions: tuple[Region, ...]


def regions_of(block: Block, perm: Perm) -> Regions:
    """The regions around a block's transposes by a permutation or its inverse."""
    return Regions(perm, tuple(_Finder(block, perm).regions()))


class _Finder:
    def __init__(self, block: Block, perm: Perm) -> None:
        self.block, self.perm, self.back = block, perm, inverse(perm)
        self.rank = len(perm)
        self.at_load = load_time_ops(block)
        self.order = {op: place for place, op in enumerate(block.ops)}
        self.free: dict[Op, bool] = {}
        self.products: dict[Op, ProductDims | None] = {}

    def regions(self) -> Iterator[Region]:
        seen: set[Value] = set()
        for op in self.order:
            if self.is_turn(op) and op.result not in seen:
                region = self.grown(op)
                seen.update(region.sides)
                yield region

    def is_turn(self, op: Op | None) -> bool:
        """Whether an op is a transpose from one of the two orders to the other."""
        return (
            op is not None
            and op.name == "transpose"
            and op in self.order
            and op not in self.at_load
            and not op.result.type.bounded
            and ints_of(op.attrs, "perm") in (self.perm, self.back)
        )

    def turn_of(self, op: Op, known: Value, side: Order) -> Order | None:
        """The order at the other end of a transpose; None where it does not lead from this one."""
        if self.perm == self.back:
            return 1 - side
        starts = A if ints_of(op.attrs, "perm") == self.perm else B
        own = starts if known is op.operands[0] else 1 - starts
        return 1 - side if side == own else None

    def is_free(self, op: Op | None) -> bool:
        if op is None or op not in self.order or op in self.at_load:
            return False
        if op not in self.free:
            self.free[op] = may_permute(op, self.rank) or (drains(op, self.perm) and drains(op, self.back))
        return self.free[op]

    def full(self, op: Op) -> list[Value]:
        """Operands and results of a free op that have all axes."""
        return [v for v in (*op.operands, *op.results) if v.type.rank == self.rank]

    def grown(self, start: Op) -> Region:
        """All that hangs together with a transpose."""
        region = Region()
        first = A if ints_of(start.attrs, "perm") == self.perm else B
        region.sides[start.operands[0]] = first
        pending = deque([start.operands[0]])
        ops: dict[Op, None] = {}
        turns: dict[Op, None] = {}
        while pending:
            value = pending.popleft()
            side = region.sides[value]
            for op in [*([value.producer] if value.producer else []), *value.users]:
                if self.is_free(op):
                    ops[op] = None
                    found = [(v, side) for v in self.full(op)]
                elif self.is_turn(op):
                    other = self.turn_of(op, value, side)
                    if other is None:
                        continue
                    turns[op] = None
                    found = [(op.result if value is op.operands[0] else op.operands[0], other)]
                else:
                    continue
                for v, own in found:
                    if v not in region.sides:
                        region.sides[v] = own
                        pending.append(v)
        # Where two ways to a value disagree, the ops between them stay as they are.
        region.transposes = sorted(
            (op for op in turns if region.sides[op.operands[0]] != region.sides[op.result]), key=self.order.__getitem__
        )
        agreed = [op for op in ops if len({region.sides[v] for v in self.full(op)}) == 1]
        region.ops = sorted(agreed, key=self.order.__getitem__)
        self.take_tensors(region)
        return region

    def take_tensors(self, region: Region) -> None:
        turns, free = set(region.transposes), set(region.ops)
        for value, side in region.sides.items():
            root = value
            while root.producer in turns:
                root = root.producer.operands[0]
            tensor = region.tensors.get(root) or Tensor(root, self.cost(root, region.sides[root]))
            region.tensors[root] = region.tensors[value] = tensor
            if root.producer in free or self.writes_either(root, region.sides[root]):
                tensor.maker = root.producer
            for user in value.users:
                if user in free:
                    tensor.readers[user] = None
                elif user not in turns and not self.reads_either(user, value, side):
                    tensor.fixed.add(side)
        made = dict.fromkeys(t.maker for t in region.distinct_tensors() if t.maker is not None and t.maker not in free)
        region.products = made
        region.ops = sorted((*region.ops, *made), key=self.order.__getitem__)
        region.paid = sum(region.tensors[op.result].cost for op in region.transposes)

    def product(self, op: Op | None) -> ProductDims | None:
        if op is None or op not in self.order or op in self.at_load:
            return None
        if op not in self.products:
            self.products[op] = product_dims(op)
        return self.products[op]

    def writes_either(self, root: Value, side: Order) -> bool:
        dims = self.product(root.producer)
        return dims is not None and dims.may_write(self.perm if side == A else self.back)

    def reads_either(self, user: Op, value: Value, side: Order) -> bool:
        dims, perm = self.product(user), self.perm if side == A else self.back
        places = [index for index, operand in enumerate(user.operands) if operand is value]
        return dims is not None and all(dims.may_read(index, perm) for index in places)

    def cost(self, root: Value, side: Order) -> int:
        if root.producer in self.at_load:
            return 0
        perm = self.perm if side == A else self.back
        return (2 * root.type.size_bytes * COUNT if moves_bytes(root.type.shape, perm) else 0) + 1


# ---- the choice


def cheapest_orders(region: Region) -> tuple[int, dict[Op, Order]]:
    """The order of each free op for which least is transposed, and what that costs: a minimum cut.

    A tensor is transposed once, if any reader wants it in another order than it is made in. Source: of the cut as the
    exact choice between two labels, Greig, Porteous, Seheult, J. Royal Statistical Society B 51(2), 1989.
    """
    import networkx as nx  # takes longer to import than most models to cost

    if not region.ops:
        cost = sum(t.cost for t in region.distinct_tensors() if t.fixed - {region.sides[t.root]})
        return cost, {}
    graph: nx.DiGraph[object] = nx.DiGraph()
    ends = ("A", "B")
    graph.add_nodes_from(ends)

    def add(source: object, sink: object, cost: int | None) -> None:
        if cost is None:
            graph.add_edge(source, sink)  # without capacity: never cut
        elif graph.has_edge(source, sink):
            graph[source][sink]["capacity"] += cost
        else:
            graph.add_edge(source, sink, capacity=cost)

    for tensor in region.distinct_tensors():
        if not tensor.cost:
            continue
        maker: object = tensor.maker or ends[region.sides[tensor.root]]
        readers: Sequence[object] = [*tensor.readers, *(ends[order] for order in sorted(tensor.fixed))]
        add(maker, (tensor, B), tensor.cost)
        add((tensor, A), maker, tensor.cost)
        for reader in readers:
            if reader is not maker:
                add((tensor, B), reader, None)
                add(reader, (tensor, A), None)
    for op in region.ops:
        graph.add_node(op)
        cost = sum(2 * v.type.size_bytes * COUNT + 1 for v in spread_operands(op, region) if v.type.elements > 1)
        if cost:
            if region.side_of(op) == A:
                add(ends[A], op, cost)
            else:
                add(op, ends[B], cost)
    cost, (first, _) = nx.minimum_cut(graph, *ends)
    return int(cost), {op: A if op in first else B for op in region.ops}


def spread_operands(op: Op, region: Region) -> list[Value]:
    """Operands of fewer axes that are not known at load: they have to be transposed where the op's order changes."""
    if op in region.products:
        return []
    return [v for v in op.operands if v not in region.sides and not _is_known(v)]


def _is_known(value: Value) -> bool:
    return value.producer is not None and value.producer.name == "constant"
