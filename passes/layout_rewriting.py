"""Puts a choice of layouts into effect: ops on permuted axes, and transposes only where orders meet."""

from __future__ import annotations

from collections.abc import Sequence

from ircost.ir import ops
from ircost.ir.builder import detached_ops
from ircost.ir.graph import Block, Op, Value, replace_value
from ircost.passes.layout_graph import A, Order, Region, Regions, Tensor
from ircost.passes.permuted_products import permuted_product, product_dims
from ircost.passes.permuting import Perm, identity, inverse, permuted, spread


def store(block: Block, found: Regions, changed: Sequence[Region]) -> None:
    """Rewrites some regions of a block as has been decided for them."""
    _Writer(block, found.perm, changed).run()


class _Writer:
    def __init__(self, block: Block, perm: Perm, changed: Sequence[Region]) -> None:
        self.block = block
        self.perms = {A: perm, 1 - A: inverse(perm)}  # from that order to the other
        self.region_of = {value: region for region in changed for value in region.sides}
        self.orders = {op: order for region in changed for op, order in region.orders.items()}
        self.gone = {op for region in changed for op in region.transposes}
        self.stored: dict[Tensor, dict[Order, Value]] = {}
        self.replaced: set[Op] = set()

    def run(self) -> None:
        for op in list(self.block.ops):
            if op in self.gone:
                continue
            if product_dims(op) is not None and any(v in self.region_of for v in (*op.operands, *op.results)):
                self.rewrite_product(op)
            elif op in self.orders:
                self.rewrite(op, self.orders[op])
            else:
                for inner in op.walk():
                    self.keep(inner, op)
        for op in reversed(list(self.block.ops)):
            if (op in self.gone or op in self.orders or op in self.replaced) and not op.has_uses:
                self.block.remove(op)

    def value_in(self, value: Value, order: Order, anchor: Op) -> Value:
        """A tensor in an order; transposed above ``anchor`` where nobody has wanted it so before."""
        region = self.region_of[value]
        tensor = region.tensors[value]
        known = self.stored.setdefault(tensor, {region.sides[tensor.root]: tensor.root})
        if order not in known:
            made = ops.transpose(known[1 - order], perm=self.perms[1 - order])
            assert made.producer is not None, "it was made just now"
            made.producer.location = anchor.location
            self.block.insert_before(made.producer, anchor)
            known[order] = made
        return known[order]

    def keep(self, op: Op, anchor: Op) -> None:
        """An op whose axes are fixed reads each value as it is written."""
        for index, operand in enumerate(op.operands):
            if operand in self.region_of:
                wanted = self.value_in(operand, self.region_of[operand].sides[operand], anchor)
                if wanted is not operand:
                    op.set_operand(index, wanted)

    def rewrite(self, op: Op, order: Order) -> None:
        region = next(self.region_of[v] for v in (*op.results, *op.operands) if v in self.region_of)
        side = region.side_of(op)
        perm = self.perms[side]
        operands = []
        for operand in op.operands:
            if operand in self.region_of:
                operands.append(self.value_in(operand, order, op))
            elif order == side:
                operands.append(operand)
            else:
                operands.append(self.placed(spread(operand, len(perm), perm), op))
        new = permuted(op, operands, perm) if order != side else op.definition.create(operands, op.attrs)
        new.location = op.location
        self.block.insert_before(new, op)
        new.result.name = op.result.name
        if op.result in region.sides:
            self.stored[region.tensors[op.result]] = {order: new.result}
        else:
            replace_value(op.result, new.result)

    def rewrite_product(self, op: Op) -> None:
        """A product reads what is there, and writes what has been decided."""
        found = [self.at_hand(op, index) for index in range(len(op.operands))]
        operands, read = [value for value, _ in found], [perm for _, perm in found]
        written = identity(op.result.type.rank)
        region = self.region_of.get(op.result)
        if region is not None and self.orders.get(op, region.sides[op.result]) != region.sides[op.result]:
            written = self.perms[region.sides[op.result]]
        if all(perm == identity(len(perm)) for perm in (*read, written)):
            for index, value in enumerate(operands):
                if value is not op.operands[index]:
                    op.set_operand(index, value)
            return
        new = permuted_product(op, operands, read, written)
        self.block.insert_before(new, op)
        new.result.name = op.result.name
        self.replaced.add(op)
        if region is None:
            replace_value(op.result, new.result)
        else:
            self.stored[region.tensors[op.result]] = {self.orders.get(op, region.sides[op.result]): new.result}

    def at_hand(self, op: Op, index: int) -> tuple[Value, Perm]:
        """An operand as it is written, or in the other order if it is there in that one only."""
        value = op.operands[index]
        region = self.region_of.get(value)
        same = identity(value.type.rank)
        if region is None:
            return value, same
        side, tensor = region.sides[value], region.tensors[value]
        known = self.stored.get(tensor, {region.sides[tensor.root]: tensor.root})
        dims = product_dims(op)
        assert dims is not None, "asked of products"
        if side in known or not dims.may_read(index, self.perms[side]):
            return self.value_in(value, side, op), same
        return known[1 - side], self.perms[side]

    def placed(self, value: Value, anchor: Op) -> Value:
        for op in detached_ops([value]):
            op.location = anchor.location
            self.block.insert_before(op, anchor)
        return value
