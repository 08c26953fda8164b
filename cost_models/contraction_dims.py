"""The dims of a product by what they are for, and its windows: what makes it a convolution."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from ircost.cost_models.gpu.winograd import TILES
from ircost.ir.index import Access, IterationSpace


def is_product(space: IterationSpace) -> bool:
    return len(space.operands) == 2 and len(space.results) == 1


@dataclass(slots=True)
class Dims:
    """The dims of a product by role: ``b`` where both operands and the result have them, ``m`` the first and the
    result, ``n`` the second and the result, ``k`` what is summed.

    >>> from ircost.ir.bind import bind
    >>> from ircost.ir.notation import parse_notation
    >>> dims = Dims(bind(parse_notation("b m k, b k n -> b m n"), [(8, 16, 32), (8, 32, 64)], {}))
    >>> [dims.extent(role) for role in "bmnk"]
    [8.0, 16.0, 64.0, 32.0]
    """

    space: IterationSpace
    roles: list[str] = field(init=False)
    windows: list[tuple[int, int, int, int]] = field(init=False)  # m dim, k dim, extent of the axis, stride
    is_scattered: bool = field(init=False)  # windows are in the result: a transposed convolution

    def __post_init__(self) -> None:
        lhs, rhs = (access.dims for access in self.space.operands)
        out = self.space.results[0].dims
        self.roles = [_role(i in lhs, i in rhs, i in out) for i in range(len(self.space.dims))]
        self.windows = list(self._windows(self.space.operands[0], "k"))
        self.is_scattered = not self.windows
        if self.is_scattered:
            found = list(self._windows(self.space.results[0], "n"))
            self.windows = [] if all(self._is_composed(window) for window in found) else found

    def _windows(self, access: Access, role: str) -> Iterable[tuple[int, int, int, int]]:
        for axis in access.axes:
            if len(axis.terms) < 2:
                continue
            by_role = {self.roles[dim]: (dim, abs(step)) for dim, step in axis.terms}
            if "m" in by_role and role in by_role:
                (outer, stride), (inner, dilation) = by_role["m"], by_role[role]
                yield outer, inner, axis.extent, max(stride, dilation)

    def _is_composed(self, window: tuple[int, int, int, int]) -> bool:
        outer, inner, extent, _ = window
        return self.space.dims[outer].extent * self.space.dims[inner].extent == extent

    def extent(self, role: str, inside: bool = True) -> float:
        """Of all dims of a role together.

        Args:
            inside: with those of windows.
        """
        left_out = set() if inside else {dim for window in self.windows for dim in window[:2]}
        extents = [
            dim.extent
            for i, (dim, own) in enumerate(zip(self.space.dims, self.roles, strict=True))
            if own == role and i not in left_out
        ]
        return float(math.prod(extents))

    @property
    def is_depthwise(self) -> bool:
        """Whether windows see one channel each, of several or the only one, whatever they make of it.

        Of an only channel many may be made, by an ordinary product. Source: PyTorch 2.9, ``ConvParams::is_depthwise``,
        of which channels have kernels of their own.
        """
        is_alone = bool(self.windows) and self.extent("k", inside=False) == 1
        return is_alone and (self.extent("n") == 1 or self.extent("b") > 1)

    def convolution(self, *, is_float: bool) -> tuple[float, ...]:
        """Sizes of a convolution up to ``is_winograd``; axes beyond two are folded into the first."""
        axes = [
            (self.space.dims[outer].extent, self.space.dims[inner].extent, extent)
            for outer, inner, extent, _ in self.windows
        ]
        is_square = len(axes) == 2 and axes[0][1] == axes[1][1] and axes[0][1] in TILES
        is_plain = is_square and all(stride == 1 for *_, stride in self.windows)
        *lead, (out_width, kernel_width, in_width) = axes
        out_height, kernel_height, in_height = (
            (math.prod(column) for column in zip(*lead, strict=True)) if lead else (1, 1, 1)
        )
        groups, batch = self.extent("b"), self.extent("m", inside=False)
        summed, made = groups * self.extent("k", inside=False), groups * self.extent("n", inside=False)
        is_winograd = is_plain and groups == 1 and is_float and not self.is_scattered
        if self.is_scattered:  # the gradient of a convolution that reads the result
            return (
                batch,
                groups,
                made,
                in_height,
                in_width,
                summed,
                out_height,
                out_width,
                kernel_height,
                kernel_width,
                1.0,
                0.0,
            )
        return (
            batch,
            groups,
            summed,
            in_height,
            in_width,
            made,
            out_height,
            out_width,
            kernel_height,
            kernel_width,
            0.0,
            float(is_winograd),
        )


def _role(in_lhs: bool, in_rhs: bool, in_out: bool) -> str:
    if not in_out:
        return "k"
    if in_lhs and in_rhs:
        return "b"
    return "m" if in_lhs else "n"
