"""Readers of values during fusion, kept sorted: they are asked for at every possible merge."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from operator import itemgetter

from ircost.ir.graph import Op, Value

Reader = tuple[float, Op]
_place = itemgetter(0)


@dataclass(slots=True, eq=False)
class Readers:
    """Readers of the values of a block, top to bottom: sorted once, then kept so.

    Args:
        order: place of each op of the block.
    """

    order: Mapping[Op, float]
    known: dict[Value, list[Reader]] = field(default_factory=dict)

    def first_outside(self, value: Value, inside: Collection[Op]) -> float | None:
        """Place of the first reader that is none of some ops, all of which come to be one; None where there is none."""
        return next((place for place, user in self.of(value) if user not in inside), None)

    def of(self, value: Value) -> list[Reader]:
        found = self.known.get(value)
        if found is None:
            found = self.known[value] = sorted(((self.place_of(user), user) for user in value.users), key=_place)
        return found

    def place_of(self, user: Op) -> float:
        """Where in the block a reader stands, or the op whose body it is in."""
        while user not in self.order:
            assert user.block is not None and user.block.parent_op is not None, "readers stand below what they read"
            user = user.block.parent_op
        return self.order[user]

    def add(self, op: Op) -> None:
        """Takes note of an op that has come into the block."""
        for value in dict.fromkeys(op.operands):
            if value in self.known:
                insort(self.known[value], (self.order[op], op), key=_place)

    def remove(self, op: Op) -> None:
        """Forgets an op that leaves the block."""
        for value in dict.fromkeys(op.operands):
            if value in self.known:
                found = self.known[value]
                i = bisect_left(found, self.order[op], key=_place)
                while found[i][1] is not op:
                    i += 1
                del found[i]
