"""Buffers inside other buffers: parts of a concatenation are stored in the whole, slices in their operand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ircost.ir.graph import Block, Op, Value
from ircost.ir.parts import place_in_operand, places_of_parts

if TYPE_CHECKING:
    from ircost.cost_models.liveness import Lifetimes

# Positions that all tries together may look at, for each position of the program: what keeps long programs linear.
LOOKS_PER_OP = 1_000


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes [start, end) of a group that the op at ``position`` writes over."""

    position: int
    start: int
    end: int


@dataclass(slots=True, eq=False)
class Group:
    """A buffer in the making.

    Args:
        places: bytes from its start to each value that it holds.
        writes: where a value was written over another one.
        is_fixed: an input's or a weight's, or the caller's: never written over. is_counted: no one else counts it.
        is_result: of the model or function.
        inside: of the scratch of a call, the callee's own buffers.
    """

    size_bytes: int
    first: int
    last: int
    places: dict[Value, int] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    is_fixed: bool = False
    is_counted: bool = True
    is_result: bool = False
    inside: Lifetimes | None = None

    @property
    def counted_bytes(self) -> int:
        return self.size_bytes if self.is_counted else 0

    def take(self, other: Group, place: int = 0) -> None:
        """Holds all that ``other`` held, ``place`` bytes from its start."""
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)
        self.size_bytes = max(self.size_bytes, place + other.size_bytes)
        self.places |= {value: place + inner for value, inner in other.places.items()}
        self.writes += [Write(w.position, place + w.start, place + w.end) for w in other.writes]


@dataclass(frozen=True, slots=True)
class Part:
    """A group that may lie ``place`` bytes inside of another, from the op at ``position`` on or up to it."""

    group: Group
    place: int
    position: int

    @property
    def end(self) -> int:
        return self.place + self.group.size_bytes

    def overlaps(self, start: int, end: int) -> bool:
        return self.place < end and start < self.end


class Nesting:
    """Puts groups inside of others wherever values stay whole and no moment gets fuller than the fullest one between.

    A kernel writes its result straight to where a concatenation will have it; a slice that is one run of its operand's
    bytes is read there. Only what is made in one block is nested: a loop or a branch may run more than once, or not.
    """

    def __init__(self, ops: Sequence[Op], groups: Sequence[Group], group_of: dict[Value, Group]) -> None:
        self.ops = ops
        self.group_of = group_of
        self.looks = LOOKS_PER_OP * len(ops)
        change = np.zeros(len(ops) + 1, dtype=np.int64)
        for group in groups:
            change[group.first] += group.counted_bytes
            change[group.last + 1] -= group.counted_bytes
        self.live = np.cumsum(change)[:-1]

    def run(self) -> None:
        for position, op in enumerate(self.ops):
            whole = self._concatenated(op, position)
            if whole is not None:
                self._nest_most(whole, sorted(self._parts(op, whole, position), key=lambda part: part.group.first))
        for slices in self._slices():
            parts = list(map(self._part, slices))
            if len(parts) < 2 or not self._nest_slices(parts):
                for op_at in slices:
                    self._nest_slices([self._part(op_at)])

    # ---- concatenations

    def _concatenated(self, op: Op, position: int) -> Group | None:
        """The group that holds a concatenation alone, made here."""
        if op.definition.is_terminator or len(op.results) != 1 or op.definition.joined_axis(op) is None:
            return None
        whole = self.group_of[op.result]
        is_made_here = whole.first == position and not whole.is_fixed and _made_in(whole, op.block)
        return whole if is_made_here and op.result.type.dtype.bits % 8 == 0 else None

    def _parts(self, op: Op, whole: Group, position: int) -> Iterator[Part]:
        """Operands that may be written into the result: nothing is read of them once the result is written over."""
        places = places_of_parts(op)
        if places is None:
            return
        until = min((write.position for write in whole.writes), default=len(self.ops))
        groups = [self.group_of.get(operand) for operand in op.operands]
        times = Counter(map(id, groups))
        for operand, group, place in zip(op.operands, groups, places, strict=True):
            if group is None or times[id(group)] > 1:
                continue
            is_free = not (group.is_fixed or group.is_result or group.inside) and group.is_counted
            is_alone = group.size_bytes == operand.type.size_bytes and _made_in(group, op.block)
            is_kept = all(write.position < position for write in group.writes) and group.last < until
            if is_free and is_alone and is_kept and group is not whole:
                yield Part(group, place * op.result.type.dtype.bits // 8, position)

    def _nest_most(self, whole: Group, parts: Sequence[Part]) -> None:
        """As many parts as no moment gets too full with: the earliest of them make the whole live longest."""
        for dropped in range(len(parts)):
            if self._nest(whole, parts[dropped:]):
                return

    # ---- slices

    def _slices(self) -> list[list[int]]:
        """Positions of slices that are one run of bytes of their operand, by the group that this is in."""
        found: dict[int, list[int]] = {}
        for position, op in enumerate(self.ops):
            if op.definition.is_move and self._is_slice(op, position):
                found.setdefault(id(self.group_of[op.operands[0]]), []).append(position)
        return list(found.values())

    def _is_slice(self, op: Op, position: int) -> bool:
        part, whole = self.group_of[op.result], self.group_of.get(op.operands[0])
        if whole is None or part is whole or part.first != position or part.size_bytes != op.result.type.size_bytes:
            return False
        is_free = not (part.is_fixed or part.is_result or part.inside) and _made_in(part, op.block)
        is_bytes = op.result.type.dtype.bits % 8 == 0
        return is_free and is_bytes and _is_steady(op) and place_in_operand(op) is not None

    def _part(self, position: int) -> Part:
        """A slice, as things stand: what it is a slice of may have become a part of something itself."""
        op = self.ops[position]
        start = place_in_operand(op)
        assert start is not None, "it was found to be a slice"
        within = self.group_of[op.operands[0]].places.get(op.operands[0], 0)
        return Part(self.group_of[op.result], within + start * op.result.type.dtype.bits // 8, position)

    def _nest_slices(self, parts: list[Part]) -> bool:
        whole = self.group_of[self.ops[parts[0].position].operands[0]]
        return all(self._may_read(whole, part, parts) for part in parts) and self._nest(whole, parts)

    def _may_read(self, whole: Group, part: Part, parts: Sequence[Part]) -> bool:
        """Whether a slice keeps its bytes as long as it is read, and the whole its own."""
        last = part.group.last
        if any(part.position <= w.position <= last and part.overlaps(w.start, w.end) for w in whole.writes):
            return False
        if part.end > whole.size_bytes:
            return False
        if not part.group.writes:
            return True
        first_write = min(write.position for write in part.group.writes)
        siblings = [other for other in parts if other is not part and part.overlaps(other.place, other.end)]
        is_own = not (whole.is_fixed or whole.is_result or siblings) and _made_in(whole, self.ops[part.position].block)
        return is_own and whole.last < first_write

    # ---- both

    def _nest(self, whole: Group, parts: Sequence[Part]) -> bool:
        """Puts parts in place, unless that fills some moment more than the fullest one between was."""
        members = [part.group for part in parts]
        if len(set(map(id, members))) < len(members):
            return False
        first = min(group.first for group in (whole, *members))
        last = max(group.last for group in (whole, *members))
        self.looks -= last - first + 1
        if self.looks < 0:
            return False
        before = self.live[first : last + 1]
        after = before + whole.counted_bytes
        for group in (whole, *members):
            after[group.first - first : group.last - first + 1] -= group.counted_bytes
        if after.max() > before.max():
            return False
        self.live[first : last + 1] = after
        for part in parts:
            whole.take(part.group, part.place)
            self.group_of.update(dict.fromkeys(part.group.places, whole))
            part.group.is_counted = False
        return True


def _made_in(group: Group, block: Block | None) -> bool:
    return bool(group.places) and all(v.producer is not None and v.producer.block is block for v in group.places)


def _is_steady(op: Op) -> bool:
    """Whether what it slices is the same each time it runs: what a loop hands on is written over by the next trip."""
    source = op.operands[0]
    while source.producer is not None and source.producer.definition.is_view:
        source = source.producer.operands[0]
    return source.producer is not None or source.block is None or source.block.parent_op is None
