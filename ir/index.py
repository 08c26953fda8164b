"""Iteration spaces: index notation bound to shapes. The one source of an op's shapes, counts, traffic and tiles.

An iteration space is a box of points, one for each value of its dims. At each point the op reads one element of each
operand, applies the scalar body, and combines the outcome into one element of the result. Which element is given
by an affine map for each axis.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, slots=True)
class Dim:
    """One loop of the iteration space. A reduction dim does not single out an element of the result."""

    name: str
    extent: int
    is_reduction: bool


@dataclass(frozen=True, slots=True)
class Affine:
    """Index along one axis: ``offset`` plus each (dim position, coefficient) in ``terms``.

    Args:
        extent: of the axis, in elements.
    """

    terms: tuple[tuple[int, int], ...]
    offset: int
    extent: int

    def span(self, sizes: Sequence[int]) -> int:
        """Elements from the first to the last that a box of these sizes reaches, halo included, clipped to the axis."""
        reach = 1 + sum((sizes[dim] - 1) * abs(coefficient) for dim, coefficient in self.terms)
        return min(reach, self.extent)

    def touched(self, sizes: Sequence[int]) -> int:
        """Distinct elements that a box of these sizes reaches: less than ``span`` where strides leave gaps."""
        if len(self.terms) <= 1 and all(abs(coefficient) == 1 for _, coefficient in self.terms):
            return min(sizes[self.terms[0][0]], self.extent) if self.terms else min(1, self.extent)
        divisor = math.gcd(*(coefficient for _, coefficient in self.terms)) or 1
        count = reach = 1
        for coefficient, size in sorted((abs(c) // divisor, sizes[dim]) for dim, c in self.terms):
            reach += (size - 1) * coefficient
            count = min(count * size, reach)
        return min(count, self.extent)


@dataclass(frozen=True, slots=True)
class Access:
    """Which element of an operand or result a point touches: an affine map for each axis."""

    axes: tuple[Affine, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(axis.extent for axis in self.axes)

    @property
    def dims(self) -> frozenset[int]:
        """Positions of the dims it depends on."""
        return frozenset(dim for axis in self.axes for dim, _ in axis.terms)


@dataclass(frozen=True)  # without slots: equal ops share a space, and what is derived from it is derived once
class IterationSpace:
    """Dims, and an access map for each operand and result.

    >>> from ircost.ir.bind import bind
    >>> from ircost.ir.notation import parse_notation
    >>> space = bind(parse_notation("b m k, b k n -> b m n"), [(8, 16, 32), (8, 32, 64)], {})
    >>> space.results[0].shape, [dim.name for dim in space.reduction_dims]
    ((8, 16, 64), ['k'])
    >>> space.footprint({"b": 1, "m": 16, "n": 8, "k": 4})
    ((1, 16, 4), (1, 4, 8))
    """

    dims: tuple[Dim, ...]
    operands: tuple[Access, ...]
    results: tuple[Access, ...]

    @cached_property
    def points(self) -> int:
        """Points in the box: how often the body runs."""
        return math.prod(dim.extent for dim in self.dims)

    @cached_property
    def fewest_products(self) -> int:
        """Multiplications that no bilinear algorithm of a contraction does without: fewer than points in windows.

        Along a window, outputs share what they read: m outputs of r taps need as many products as they read elements,
        m + r - 1 instead of m r, and those of several axes multiply; a transposed convolution as many as it writes.
        Algorithms that save along channels (Strassen's) are not considered.

        Source: Winograd, "Arithmetic Complexity of Computations", SIAM, 1980; Lavin, Gray, "Fast Algorithms for
        Convolutional Neural Networks", CVPR 2016.

        >>> from ircost.ir.bind import bind
        >>> from ircost.ir.notation import parse_notation
        >>> space = bind(parse_notation("c (h + i) (w + j), f c i j -> f h w"), [(8, 6, 6), (16, 8, 3, 3)], {})
        >>> space.points // (8 * 16), space.fewest_products // (8 * 16)
        (144, 36)
        """
        return min((self._products_along(access) for access in (*self.operands, *self.results)), default=self.points)

    def _products_along(self, access: Access) -> int:
        sizes, products = self.sizes(), self.points
        for axis in access.axes:
            if len(axis.terms) > 1 and products:
                products = products // math.prod(sizes[dim] for dim, _ in axis.terms) * axis.touched(sizes)
        return products

    @cached_property
    def result_points(self) -> int:
        """Points of the parallel dims: how many elements a reduction ends in."""
        return math.prod(dim.extent for dim in self.dims if not dim.is_reduction)

    @property
    def parallel_dims(self) -> tuple[Dim, ...]:
        return tuple(dim for dim in self.dims if not dim.is_reduction)

    @property
    def reduction_dims(self) -> tuple[Dim, ...]:
        return tuple(dim for dim in self.dims if dim.is_reduction)

    @property
    def is_pointwise(self) -> bool:
        """No reduction, no window: each element of the result comes from one element of each operand."""
        return not any(dim.is_reduction for dim in self.dims) and all(
            len(axis.terms) <= 1 for access in (*self.operands, *self.results) for axis in access.axes
        )

    def sizes(self, tile: Mapping[str, int] | None = None) -> tuple[int, ...]:
        """Extent of each dim in a tile; dims that it does not name are whole."""
        tile = tile or {}
        return tuple(min(tile.get(dim.name, dim.extent), dim.extent) for dim in self.dims)

    def footprint(self, tile: Mapping[str, int]) -> tuple[tuple[int, ...], ...]:
        """Shape of the box of each operand that a tile reads, halos included.

        Args:
            tile: extent of each dim, by name; a dim that is left out is whole.
        """
        sizes = self.sizes(tile)
        return tuple(tuple(axis.span(sizes) for axis in access.axes) for access in self.operands)

    def result_footprint(self, tile: Mapping[str, int]) -> tuple[tuple[int, ...], ...]:
        """Shape of the box of each result that a tile writes."""
        sizes = self.sizes(tile)
        return tuple(tuple(axis.span(sizes) for axis in access.axes) for access in self.results)

    @cached_property
    def elements_read(self) -> tuple[int, ...]:
        """Distinct elements of each operand that are read at all: the compulsory traffic."""
        sizes = self.sizes()
        if not all(sizes):
            return tuple(0 for _ in self.operands)
        return tuple(math.prod(axis.touched(sizes) for axis in access.axes) for access in self.operands)
