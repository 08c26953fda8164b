"""How much work an op is: operations by kind, and bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields


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
