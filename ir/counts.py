"""How much work an op is: operations by kind, and bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ircost.ir.graph import Op, Region


@dataclass(frozen=True, slots=True)
class Counts:
    """Operations by kind, of one execution of an op.

    A multiply-add is one count here and two flops; one MAC.

    >>> Counts(multiply_add=10, add=3).flops
    23
    """

    multiply_add: int = 0
    add: int = 0
    multiply: int = 0
    divide: int = 0
    transcendental: int = 0
    compare: int = 0
    logic: int = 0

    @property
    def flops(self) -> int:
        """Arithmetic operations: a multiply-add is two, others one each; logic is none."""
        return 2 * self.multiply_add + self.add + self.multiply + self.divide + self.transcendental + self.compare

    @property
    def macs(self) -> int:
        """Multiply-accumulates of contractions."""
        return self.multiply_add

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def times(self, factor: int) -> Counts:
        """The counts of ``factor`` executions."""
        return Counts(*(getattr(self, f.name) * factor for f in fields(self)))

    def share(self, part: int, whole: int) -> Counts:
        """``part`` of ``whole`` equal shares, rounded up."""
        return Counts(*(-(-getattr(self, f.name) * part // whole) for f in fields(self)))


NO_COUNTS = Counts()


def total(counts: Iterable[Counts]) -> Counts:
    """The sum."""
    return sum(counts, NO_COUNTS)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes that must be read and written at least, each once: the compulsory traffic of one execution."""

    read_bytes: int
    write_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.read_bytes + self.write_bytes


def work_of(op: Op) -> Iterator[tuple[Op, int, Counts]]:
    """The ops without a region that ``op`` comes down to, how often each runs, and its counts of one run.

    A scan multiplies by its length, a `while` by its trip bound (once where there is none), and of an `if` the
    branch with more flops counts. A `call` is itself such an op: its callee is known to the module only. A composite
    leaves out what its kernel skips.
    """
    if not op.regions:
        yield op, 1, op.definition.counts(op)
    elif op.name == "if":
        yield from max((list(_body_work(region)) for region in op.regions), key=_flops)
    else:
        trips = op.attrs.get("length") if op.name == "scan" else op.attrs.get("trip_bound") or 1
        assert isinstance(trips, int)
        for region in op.regions:
            for inner, times, counts in _body_work(region):
                yield inner, times * trips, op.definition.counts_within(op, inner, counts)


def _body_work(region: Region) -> Iterator[tuple[Op, int, Counts]]:
    for op in region.block.ops:
        yield from work_of(op)


def _flops(work: list[tuple[Op, int, Counts]]) -> int:
    return sum(counts.flops * times for _, times, counts in work)
