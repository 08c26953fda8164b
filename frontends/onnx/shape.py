"""Operators that regroup, select or repeat elements."""

from __future__ import annotations

import math

import numpy as np

from ircost.frontends.onnx.node import Node, lowering
from ircost.frontends.onnx.running_window import running_slice
from ircost.ir import ops
from ircost.ir.graph import Value


@lowering("Reshape")
def reshape(node: Node) -> Value:
    x, wanted = node[0], list(node.known_ints(1, "the new shape"))
    if not node.int("allowzero", 0):
        if any(extent == 0 and axis >= x.type.rank for axis, extent in enumerate(wanted)):
            raise node.error(f"shape {wanted} copies a dim that {x.type} lacks")
        wanted = [x.type.shape[axis] if extent == 0 else extent for axis, extent in enumerate(wanted)]
    return ops.reshape(x, shape=without_unknown(node, wanted, x))


def without_unknown(node: Node, wanted: list[int], x: Value) -> tuple[int, ...]:
    """The shape with its -1 filled in."""
    known = math.prod(extent for extent in wanted if extent != -1)
    if wanted.count(-1) > 1 or (-1 in wanted and (known == 0 or x.type.elements % known)):
        raise node.error(f"{x.type} cannot take shape {wanted}", help="was another size meant by --dim or --shape?")
    return tuple(x.type.elements // known if extent == -1 else extent for extent in wanted)


@lowering("Flatten")
def flatten(node: Node) -> Value:
    x, axis = node[0], node.int("axis", 1)
    axis = axis + x.type.rank if axis < 0 else axis
    return ops.reshape(x, shape=(math.prod(x.type.shape[:axis]), math.prod(x.type.shape[axis:])))


@lowering("Squeeze")
def squeeze(node: Node) -> Value:
    x, axes = node[0], node.ints_from("axes", 1)
    rank = x.type.rank
    drop = {axis % rank for axis in axes} if axes is not None else {i for i, n in enumerate(x.type.shape) if n == 1}
    if any(x.type.shape[axis] != 1 for axis in drop):
        raise node.error(f"axes {sorted(drop)} of {x.type} are not all 1 long")
    return ops.reshape(x, shape=tuple(n for i, n in enumerate(x.type.shape) if i not in drop))


@lowering("Unsqueeze")
def unsqueeze(node: Node) -> Value:
    x, axes = node[0], node.ints_from("axes", 1) or ()
    rank = x.type.rank + len(axes)
    added = {axis % rank for axis in axes}
    extents = iter(x.type.shape)
    return ops.reshape(x, shape=tuple(1 if i in added else next(extents) for i in range(rank)))


@lowering("Transpose")
def transpose(node: Node) -> Value:
    x = node[0]
    return ops.transpose(x, perm=node.ints("perm", tuple(reversed(range(x.type.rank)))))


@lowering("Concat")
def concat(node: Node) -> Value:
    return ops.concat(*node.given, axis=node.int("axis", 0))


@lowering("Split")
def split(node: Node) -> list[Value]:
    """Equal parts, or the parts that an attribute (an input since opset 13) gives; the last may be smaller."""
    x = node[0]
    axis = node.int("axis", 0) % x.type.rank
    count = node.int("num_outputs", 0) or len(node.proto.output)
    step = math.ceil(x.type.shape[axis] / count)
    sizes = node.ints_from("split", 1) or tuple(min(step, x.type.shape[axis] - i * step) for i in range(count))
    if sum(sizes) != x.type.shape[axis] or min(sizes) < 0:
        raise node.error(f"parts of {sizes} do not make up axis {axis} of {x.type}")
    parts, start = [], 0
    for size in sizes:
        starts = tuple(start if i == axis else 0 for i in range(x.type.rank))
        parts.append(ops.slice(x, starts=starts, size=(*x.type.shape[:axis], size, *x.type.shape[axis + 1 :])))
        start += size
    return parts


@lowering("Slice")
def slice_(node: Node) -> Value:
    """Attributes up to opset 9, inputs since; ends are clamped as NumPy does, starts of steps back to an element."""
    x = node[0]
    axes = node.ints_from("axes", 3)
    if len(node.inputs) > 2 and (node.constant(1) is None or node.constant(2) is None):
        return slice_by_data(node, x, axes or tuple(range(node[1].type.elements)))
    starts, ends = node.ints_from("starts", 1), node.ints_from("ends", 2)
    assert starts is not None and ends is not None, "the schema requires both"
    axes = axes or tuple(range(len(starts)))
    steps = node.known_ints(4, "steps") if node.get(4) is not None else (1,) * len(starts)
    ranges = [range(extent) for extent in x.type.shape]
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if not -x.type.rank <= axis < x.type.rank or step == 0:
            raise node.error(f"axis {axis} with step {step} does not fit {x.type}")
        first = start if step > 0 else max(start, -x.type.shape[axis])
        ranges[axis] = range(x.type.shape[axis])[first:end:step]
    if x.type.bounded:
        return picked(node, x, ranges)
    return ops.slice(
        x,
        starts=tuple(r.start if len(r) else 0 for r in ranges),
        size=tuple(len(r) for r in ranges),
        steps=tuple(r.step if len(r) else 1 for r in ranges),
    )


def slice_by_data(node: Node, x: Value, axes: tuple[int, ...]) -> Value:
    """x[start:end] where either depends on data: of a known length if that follows, else as long as data make it."""
    if node.get(4) is not None and any(step != 1 for step in node.known_ints(4, "steps")):
        raise node.error("starts or ends depend on the model's inputs, and steps are not 1", help=node.how_to_bind(1))
    starts, ends = node[1], node[2]
    if any(not -x.type.rank <= axis < x.type.rank for axis in axes) or len(axes) > starts.type.elements:
        raise node.error(f"axes {list(axes)} do not fit {x.type} and {starts.type.elements} starts")
    if len(axes) == 1 and (running := running_slice(x, starts, ends, axes[0] % x.type.rank)) is not None:
        return running
    for i, axis in enumerate(axes):
        start, end = (ops.slice(v, starts=(i,), size=(1,)) if v.type.elements > 1 else v for v in (starts, ends))
        x = ops.slice_between(x, start, end, axis=axis, bound=node.bound(x.type.shape[axis], f"steps on axis {axis}"))
    return x


def picked(node: Node, x: Value, ranges: list[range]) -> Value:
    """A slice of axes whose extent is known, as gathers: they follow an extent that depends on data."""
    for axis, chosen in enumerate(ranges):
        if chosen == range(x.type.shape[axis]):
            continue
        if axis in x.type.bounded:
            raise node.error(f"axis {axis} of {x.type} is sliced, and its extent depends on data")
        x = ops.gather(x, ops.constant_of(np.arange(chosen.start, chosen.stop, chosen.step)), axis=axis)
    return x


@lowering("Expand")
def expand(node: Node) -> Value:
    x, wanted = node[0], node.known_ints(1, "the new shape")
    try:
        shape = np.broadcast_shapes(x.type.shape, wanted)
    except ValueError:
        raise node.error(f"{x.type} does not broadcast to {list(wanted)}") from None
    return x if shape == x.type.shape else ops.broadcast(x, shape=shape)


@lowering("Tile")
def tile(node: Node) -> Value:
    """Repeats as a broadcast along new axes: [n] as [1, n] as [r, n] as [r * n]."""
    x, repeats = node[0], node.known_ints(1, "repeats")
    shape = x.type.shape
    apart = tuple(extent for n in shape for extent in (1, n))
    spread = tuple(extent for r, n in zip(repeats, shape, strict=True) for extent in (r, n))
    wide = ops.broadcast(ops.reshape(x, shape=apart), shape=spread)
    return ops.reshape(wide, shape=tuple(r * n for r, n in zip(repeats, shape, strict=True)))


@lowering("Pad")
def pad(node: Node) -> Value:
    x, mode = node[0], node.string("mode", "constant")
    rank = x.type.rank
    widths = node.ints_from("pads", 1) or (0,) * 2 * rank
    axes = node.known_ints(3, "axes") if node.get(3) is not None else tuple(range(rank))
    pads = [(0, 0)] * rank
    for i, axis in enumerate(axes):
        pads[axis] = (widths[i], widths[len(axes) + i])
    if mode != "constant":
        return pad_by_index(node, x, pads, mode)
    value = node.float("value", 0.0)
    if node.get(2) is not None:
        value = float(node.known_number(2, "the padding value").item())
    return ops.pad(x, pads=tuple(pads), value=value)


def pad_by_index(node: Node, x: Value, pads: list[tuple[int, int]], mode: str) -> Value:
    """Padding that repeats elements of x: a gather along each padded axis."""
    numpy_mode = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}.get(mode)
    if numpy_mode is None:
        raise node.error(f"mode = '{mode}' is not known")
    for axis, (begin, end) in enumerate(pads):
        if begin or end:
            kept = np.arange(x.type.shape[axis])[max(-begin, 0) : x.type.shape[axis] - max(-end, 0)]
            indices = np.pad(kept, (max(begin, 0), max(end, 0)), mode=numpy_mode)  # type: ignore[call-overload]
            x = ops.gather(x, ops.constant_of(indices.astype(np.int64)), axis=axis)
    return x


@lowering("DepthToSpace")
def depth_to_space(node: Node) -> Value:
    x, block = node[0], node.int("blocksize", 1)
    n, c, h, w = x.type.shape
    inner = c // block**2
    if node.string("mode", "DCR") == "DCR":
        split_up = ops.reshape(x, shape=(n, block, block, inner, h, w))
        moved = ops.transpose(split_up, perm=(0, 3, 4, 1, 5, 2))
    else:
        split_up = ops.reshape(x, shape=(n, inner, block, block, h, w))
        moved = ops.transpose(split_up, perm=(0, 1, 4, 2, 5, 3))
    return ops.reshape(moved, shape=(n, inner, h * block, w * block))


@lowering("SpaceToDepth")
def space_to_depth(node: Node) -> Value:
    x, block = node[0], node.int("blocksize", 1)
    n, c, h, w = x.type.shape
    split_up = ops.reshape(x, shape=(n, c, h // block, block, w // block, block))
    perm = (0, 3, 5, 1, 2, 4) if node.string("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    moved = ops.transpose(split_up, perm=perm)
    return ops.reshape(moved, shape=(n, c * block**2, h // block, w // block))
