"""A kernel as a nest of loops: its dims, and which part of each operand and result a tile of them touches.

``nest_reading`` reads one off a kernel's access maps.
"""

from __future__ import annotations

from dataclasses import dataclass

from ircost.ir.index import IterationSpace


@dataclass(frozen=True, slots=True)
class NestDim:
    """One loop.

    Args:
        is_splittable: tiles may hold a part of it.
    """

    name: str
    extent: int
    is_reduction: bool
    is_splittable: bool


@dataclass(frozen=True, slots=True)
class Run:
    """What a tile touches along one axis: ``base`` elements, and ``slope`` more for each further step of a dim.

    Args:
        extent: of the axis, which no run exceeds.
        slopes: (dim, elements).
    """

    base: int
    slopes: tuple[tuple[int, int], ...]
    extent: int


@dataclass(frozen=True, slots=True)
class Stream:
    """An operand or a result of a kernel.

    Args:
        index: which operand or result.
        runs: along each of its axes.
        element_bytes: a format below a byte is a fraction.
    """

    index: int
    runs: tuple[Run, ...]
    element_bytes: float
    is_result: bool

    @property
    def dims(self) -> frozenset[int]:
        """Positions of the dims that its tiles move along."""
        return frozenset(dim for run in self.runs for dim, _ in run.slopes)


@dataclass(frozen=True, slots=True)
class Nest:
    """Loops of a kernel.

    Args:
        dims: the axes of the result, then what is summed.
        streams: operands that are read, then results.
        kept: what a tile holds beside them of what passes between ops; nothing where that stays in registers, element
            by element.
        product: access maps of the product in it, if it has one.
        attention: (heads, queries, keys, width) of the attention that it is, if it is one.
    """

    dims: tuple[NestDim, ...]
    streams: tuple[Stream, ...]
    kept: tuple[Stream, ...] = ()
    product: IterationSpace | None = None
    attention: tuple[int, int, int, int] | None = None

    @property
    def extents(self) -> dict[str, int]:
        return {dim.name: dim.extent for dim in self.dims}

    @property
    def reductions(self) -> tuple[str, ...]:
        return tuple(dim.name for dim in self.dims if dim.is_reduction)
