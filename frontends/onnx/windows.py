"""Padding, strides and dilations of convolutions and pools, as ONNX writes them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ircost.frontends.onnx.node import Node
from ircost.ir.types import TensorType


@dataclass(frozen=True, slots=True)
class Window:
    """A window that slides over the spatial axes; one entry per axis.

    Args:
        pads: [begin, end] for each axis; auto_pad and ceil_mode are resolved.
    """

    size: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]

    def on(self, x: TensorType) -> Window:
        """The same, but no longer than an axis that it covers at its only place: pads add nothing to sum or maximum.

        Exporters write 1280 for "all of 7".
        """
        if x.bounded:
            return self
        rows = list(zip(x.shape[2:], self.size, self.strides, self.dilations, self.pads, strict=True))
        cut = [covers_once(*row) for row in rows]
        return Window(
            tuple(row[0] if is_cut else row[1] for row, is_cut in zip(rows, cut, strict=True)),
            tuple(1 if is_cut else row[2] for row, is_cut in zip(rows, cut, strict=True)),
            self.dilations,
            tuple((0, 0) if is_cut else row[4] for row, is_cut in zip(rows, cut, strict=True)),
        )


def covers_once(extent: int, size: int, stride: int, dilation: int, pads: tuple[int, int]) -> bool:
    """Whether a window has one place along an axis, and reads all of the axis there."""
    begin, end = pads
    return dilation == 1 and min(pads) >= 0 and begin + extent <= size and extent + begin + end - size < stride


def window_of(node: Node, size: tuple[int, ...], spatial: tuple[int, ...]) -> Window:
    """The window of a node.

    Args:
        size: extents of the window.
        spatial: extents of the input's spatial axes.
    """
    rank = len(size)
    if rank != len(spatial):
        raise node.error(f"a window of {rank} axes over an input with {len(spatial)} spatial axes")
    strides = node.ints("strides", (1,) * rank) or (1,) * rank
    dilations = node.ints("dilations", (1,) * rank) or (1,) * rank
    if min((*strides, *dilations, 1)) < 1:
        raise node.error(f"strides {strides} and dilations {dilations} must be 1 or more")
    pads = resolve_pads(node, size, spatial, strides, dilations)
    if node.int("ceil_mode", 0):
        pads = tuple(
            (begin, end + ceil_padding(extent, n, stride, dilation, begin, end))
            for extent, n, stride, dilation, (begin, end) in zip(spatial, size, strides, dilations, pads, strict=True)
        )
    for extent, n, dilation, (begin, end) in zip(spatial, size, dilations, pads, strict=True):
        if extent > 0 and extent + begin + end < (n - 1) * dilation + 1:
            raise node.error(
                f"a window of {n}, dilation {dilation}, has no place in {extent} elements padded by {begin} and {end}",
                help="was another size meant by --dim or --shape?",
            )
    return Window(size, strides, dilations, pads)


def resolve_pads(
    node: Node, size: tuple[int, ...], spatial: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    auto = node.string("auto_pad", "NOTSET")
    rank = len(size)
    if auto in ("NOTSET", ""):
        pads = node.ints("pads", (0,) * 2 * rank) or (0,) * 2 * rank
        if len(pads) != 2 * rank:
            raise node.error(f"pads has {len(pads)} entries, {2 * rank} expected")
        return tuple(zip(pads[:rank], pads[rank:], strict=True))
    if auto == "VALID":
        return ((0, 0),) * rank
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise node.error(f"auto_pad = '{auto}' is not known")
    pads_of = []
    for extent, n, stride, dilation in zip(spatial, size, strides, dilations, strict=True):
        total = max((math.ceil(extent / stride) - 1) * stride + (n - 1) * dilation + 1 - extent, 0)
        small, large = total // 2, total - total // 2
        pads_of.append((small, large) if auto == "SAME_UPPER" else (large, small))
    return tuple(pads_of)


def ceil_padding(extent: int, size: int, stride: int, dilation: int, begin: int, end: int) -> int:
    """End padding that makes the last window whole; it must begin inside of the input or its begin padding."""
    room = extent + begin + end - (size - 1) * dilation - 1
    outputs = math.ceil(room / stride) + 1
    if (outputs - 1) * stride >= extent + begin:
        outputs -= 1
    return max((outputs - 1) * stride - room, 0)
