"""Several products in one kernel, chained through tiles on chip: what one tile needs, and what is computed again.

The kernel goes tile by tile over the result of its last product, the *anchor*. For each tile it makes what that product
reads, box by box (``dependency``), and may do so in *steps*: a part of the anchor's reduction at a time, as the hidden
columns of a feed-forward layer, or the channels between two convolutions. Neighbouring tiles both compute the halo
between them, and tiles of other columns the whole hidden row: the recomputation, which follows from the boxes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ircost.ir.dependency import Box, box_bytes, boxes_behind, on_chip_bytes
from ircost.ir.graph import Op, Value
from ircost.ir.index import IterationSpace
from ircost.ir.structured import StructuredOp

Tile = Mapping[str, int]  # extent of each dim of the anchor's iteration space, by name; those left out are whole


@dataclass(frozen=True, eq=False)  # without slots: what is stored is asked for several times
class Chain:
    """A kernel under one tile.

    Args:
        ops: in program order. results: what leaves it.
        anchor: the last product. body: what it reads, in program order. tail: what reads its result.
        blocks: tiles. steps: parts of the reduction that each tile goes through.
        boxes: of one tile, and in it of one step.
        stepped: values of which each step makes or reads another part.
    """

    ops: tuple[Op, ...]
    results: tuple[Value, ...]
    anchor: Op
    body: tuple[Op, ...]
    tail: tuple[Op, ...]
    sizes: tuple[int, ...]  # of the anchor's dims, in a step
    blocks: int
    steps: int
    boxes: Mapping[Value, Box]
    stepped: frozenset[Value]

    def runs(self, op: Op) -> int:
        """How often one tile runs an op."""
        return self.steps if op is self.anchor or op.result in self.stepped else 1

    def recomputed(self, op: Op) -> float:
        """How often each element of an op's result is computed, in the mean over the result: 1 where nothing is twice.

        Counted in whole tiles: what lies beyond the last element counts as computed again.
        """
        if op is self.anchor or op in self.tail:
            return 1.0
        made = self.blocks * self.runs(op) * math.prod(self.boxes[op.result])
        return max(made / max(op.result.type.elements, 1), 1.0)

    @property
    def on_chip_bytes(self) -> float:
        """Most that one tile keeps of what passes between ops, accumulators apart.

        Before the first step, what all steps read is made; it stays while they run.
        """
        stored = {value: self.boxes[value] for value in self.stored}
        once = [op for op in self.body if op.result not in self.stepped]
        often = [op for op in self.body if op.result in self.stepped]
        looped = {*often, self.anchor}
        kept = [op.result for op in once if op.result in stored and not looped.isdisjoint(readers(op.result))]
        resident = sum(box_bytes(value.type, stored[value]) for value in kept)
        before = on_chip_bytes(once, stored, kept)
        during = resident + on_chip_bytes((*often, self.anchor), stored, self.anchor.results)
        return max(before, during)

    @cached_property
    def stored(self) -> frozenset[Value]:
        """What is made before the anchor and goes through memory on chip: all that not only element-wise ops read.

        The thread that makes an element of the rest reads it.
        """
        inside = {*self.body, self.anchor}
        return frozenset(
            op.result
            for op in self.body
            if op.name != "constant"
            and not op.definition.is_view
            and any(not acts_on_elements(user) for user in readers(op.result) if user in inside)
        )


def readers(value: Value) -> Iterator[Op]:
    """Ops that read a value, or a view of it."""
    views = [value]
    for shown in views:
        for user in shown.users:
            if user.definition.is_view:
                views.append(user.result)
            else:
                yield user


def acts_on_elements(op: Op) -> bool:
    """Whether each element of the result comes from one of each operand, in composites by all that is in them."""
    if op.definition.is_composite:
        *inner, _ = op.regions[0].block.ops
        return all(o.name == "constant" or acts_on_elements(o) for o in inner)
    return isinstance(op.definition, StructuredOp) and op.definition.is_elementwise


def chain_of(ops: Sequence[Op], results: Sequence[Value], anchor: Op, tile: Tile) -> Chain | None:
    """Ops as a chain under a tile; None where the tile does not say what each op computes.

    All that leaves must come from the anchor, and what is behind it may read nothing else that is made inside.

    >>> from ircost.ir.parser import parse_module
    >>> text = "func @main(%x: 64x32xf16, %u: 32x128xf16, %v: 128x32xf16) -> 64x32xf16 { %h = matmul %x, %u "
    >>> *ops, _ = parse_module(text + "%a = relu %h %y = matmul %a, %v return %y }").main.block.ops
    >>> chain = chain_of(ops, ops[2].results, ops[2], {"m": 16, "n": 16, "k": 64})
    >>> chain.blocks, chain.steps, chain.boxes[ops[1].result], chain.recomputed(ops[0])
    (8, 2, (16, 64), 2.0)
    """
    space = anchor.definition.iteration_space(anchor)
    split = split_at(ops, anchor)
    if space is None or split is None or any(result.producer not in (anchor, *split[1]) for result in results):
        return None
    body, tail = split
    sizes = space.sizes(tile)
    whole = tuple(d.extent if d.is_reduction else size for d, size in zip(space.dims, sizes, strict=True))
    boxes = _behind(body, anchor, space, sizes)
    of_whole = boxes if whole == sizes else _behind(body, anchor, space, whole)
    if boxes is None or of_whole is None:
        return None
    stepped = frozenset(value for value, box in boxes.items() if box != of_whole[value])
    boxes[anchor.result] = tuple(axis.span(sizes) for axis in space.results[0].axes)
    counts = [math.ceil(dim.extent / max(size, 1)) for dim, size in zip(space.dims, sizes, strict=True)]
    blocks = math.prod(n for n, dim in zip(counts, space.dims, strict=True) if not dim.is_reduction)
    steps = math.prod(n for n, dim in zip(counts, space.dims, strict=True) if dim.is_reduction)
    return Chain(tuple(ops), tuple(results), anchor, body, tail, sizes, blocks, steps, boxes, stepped)


def split_at(ops: Sequence[Op], anchor: Op) -> tuple[tuple[Op, ...], tuple[Op, ...]] | None:
    """Ops that the anchor depends on, and those that depend on it; None where there are others."""
    tail: dict[Op, None] = {anchor: None}
    for op in ops:
        if any(value.producer in tail for value in op.operands):
            tail[op] = None
    body = tuple([op for op in ops if op not in tail])
    behind = {anchor}
    for op in reversed(body):
        if any(user in behind for user in op.result.users):
            behind.add(op)
    inside = {op for op in body if op.name != "constant"}
    reads = {value.producer for op in tail if op is not anchor for value in op.operands}
    if inside & reads or inside - behind:
        return None
    return body, tuple(op for op in tail if op is not anchor)


def _behind(body: Sequence[Op], anchor: Op, space: IterationSpace, sizes: Sequence[int]) -> dict[Value, Box] | None:
    wanted: dict[Value, Box] = {}
    for value, access in zip(anchor.operands, space.operands, strict=True):
        box = tuple(axis.span(sizes) for axis in access.axes)
        wanted[value] = tuple(map(max, box, wanted[value])) if value in wanted else box
    boxes = boxes_behind(body, wanted)
    return boxes if all(op.result in boxes for op in body if op.name != "constant") else None
