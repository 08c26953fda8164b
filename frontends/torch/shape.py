"""Operators that regroup, select or repeat elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ircost.frontends.torch.call import Call, lowering
from ircost.ir import ops
from ircost.ir.graph import Value


@lowering(
    *("view", "reshape", "_unsafe_view", "flatten.using_ints", "unflatten.int"),
    *("unsqueeze", "squeeze", "squeeze.dim", "squeeze.dims"),
)
def reshape(call: Call, x: Value, *arguments: Any) -> Value:
    """PyTorch has worked out the shape."""
    return call.reshaped(x)


@lowering("permute")
def permute(call: Call, x: Value, dims: Sequence[int]) -> Value:
    return transposed(x, [axis % x.type.rank for axis in dims])


@lowering("transpose.int")
def transpose(call: Call, x: Value, first: int, second: int) -> Value:
    perm = list(range(x.type.rank))
    if perm:
        perm[first], perm[second] = perm[second], perm[first]
    return transposed(x, perm)


@lowering("t")
def t(call: Call, x: Value) -> Value:
    return transposed(x, list(reversed(range(x.type.rank))))


def transposed(x: Value, perm: Sequence[int]) -> Value:
    return x if list(perm) == list(range(x.type.rank)) else ops.transpose(x, perm=tuple(perm))


@lowering("expand", "expand_as", "broadcast_to")
def expand(call: Call, x: Value, *arguments: Any, **options: Any) -> Value:
    return x if x.type.shape == call.type.shape else ops.broadcast(x, shape=call.type.shape)


@lowering("repeat")
def repeat(call: Call, x: Value, repeats: Sequence[int]) -> Value:
    """A broadcast along new axes: [n] as [1, n] as [r, n] as [r * n]."""
    shape = (1,) * (len(repeats) - x.type.rank) + x.type.shape
    apart = tuple(extent for n in shape for extent in (1, n))
    spread = tuple(extent for r, n in zip(repeats, shape, strict=True) for extent in (r, n))
    return call.reshaped(ops.broadcast(ops.reshape(x, shape=apart), shape=spread))


@lowering("cat")
def cat(call: Call, tensors: Sequence[Value], dim: int = 0) -> Value:
    axis = dim % call.type.rank
    parts = [call.operand(x) for x in tensors if x.type.shape != (0,)]
    return ops.concat(*parts, axis=axis) if len(parts) > 1 else parts[0]


@lowering("stack")
def stack(call: Call, tensors: Sequence[Value], dim: int = 0) -> Value:
    axis = dim % call.type.rank
    apart = [(*x.type.shape[:axis], 1, *x.type.shape[axis:]) for x in tensors]
    return ops.concat(*(ops.reshape(x, shape=s) for x, s in zip(tensors, apart, strict=True)), axis=axis)


def part(x: Value, axis: int, start: int, size: int, step: int = 1) -> Value:
    """Some elements along one axis."""
    if (start, size, step) == (0, x.type.shape[axis], 1):
        return x
    return ops.slice(
        x,
        starts=tuple(start if i == axis else 0 for i in range(x.type.rank)),
        size=tuple(size if i == axis else n for i, n in enumerate(x.type.shape)),
        steps=tuple(step if i == axis else 1 for i in range(x.type.rank)),
    )


@lowering("slice.Tensor")
def slice_(
    call: Call, x: Value, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Value:
    axis = dim % x.type.rank
    chosen = range(x.type.shape[axis])[start:end:step]
    return part(x, axis, chosen.start if len(chosen) else 0, len(chosen), step)


@lowering("narrow")
def narrow(call: Call, x: Value, dim: int, start: int, length: int) -> Value:
    axis = dim % x.type.rank
    return part(x, axis, start % x.type.shape[axis] if start < 0 else start, length)


@lowering("select.int")
def select(call: Call, x: Value, dim: int, index: int) -> Value:
    axis = dim % x.type.rank
    return call.reshaped(part(x, axis, index % x.type.shape[axis], 1))


@lowering("split.Tensor")
def split(call: Call, x: Value, size: int, dim: int = 0) -> list[Value]:
    extent = x.type.shape[dim % x.type.rank]
    return parts(x, [min(size, extent - start) for start in range(0, extent, size)], dim)


@lowering("split_with_sizes", "split_with_sizes_copy", "split.sizes")
def split_with_sizes(call: Call, x: Value, sizes: Sequence[int], dim: int = 0) -> list[Value]:
    return parts(x, sizes, dim)


@lowering("chunk")
def chunk(call: Call, x: Value, chunks: int, dim: int = 0) -> list[Value]:
    return parts(x, [type.shape[dim % x.type.rank] for type in call.types], dim)


def parts(x: Value, sizes: Sequence[int], dim: int) -> list[Value]:
    axis = dim % x.type.rank
    return [part(x, axis, sum(sizes[:i]), size) for i, size in enumerate(sizes)]


@lowering("unbind.int")
def unbind(call: Call, x: Value, dim: int = 0) -> list[Value]:
    axis = dim % x.type.rank
    rows = [part(x, axis, i, 1) for i in range(x.type.shape[axis])]
    return [ops.reshape(row, shape=type.shape) for row, type in zip(rows, call.types, strict=True)]


@lowering("flip")
def flip(call: Call, x: Value, dims: Sequence[int]) -> Value:
    axes = {axis % x.type.rank for axis in dims}
    return ops.slice(
        x,
        starts=tuple(n - 1 if i in axes else 0 for i, n in enumerate(x.type.shape)),
        size=x.type.shape,
        steps=tuple(-1 if i in axes else 1 for i in range(x.type.rank)),
    )


@lowering("roll")
def roll(call: Call, x: Value, shifts: Sequence[int], dims: Sequence[int] = ()) -> Value:
    flat = ops.reshape(x, shape=(x.type.elements,)) if not dims else x
    for shift, dim in zip(shifts, dims or (0,), strict=True):
        axis = dim % flat.type.rank
        extent = flat.type.shape[axis]
        start = -shift % max(extent, 1)
        if start:
            flat = ops.concat(part(flat, axis, start, extent - start), part(flat, axis, 0, start), axis=axis)
    return call.reshaped(flat)


@lowering("constant_pad_nd")
def constant_pad(call: Call, x: Value, pad: Sequence[int], value: float = 0) -> Value:
    """Pairs of begin and end, the last axis first."""
    pairs = [(0, 0)] * x.type.rank
    for i in range(0, len(pad), 2):
        pairs[x.type.rank - 1 - i // 2] = (pad[i], pad[i + 1])
    return ops.pad(x, pads=tuple(pairs), value=float(value))


def pad_by_index(x: Value, pad: Sequence[int], mode: str) -> Value:
    """Padding that repeats elements of x: a gather along each padded axis."""
    for i in range(0, len(pad), 2):
        axis, begin, end = x.type.rank - 1 - i // 2, pad[i], pad[i + 1]
        kept = np.arange(x.type.shape[axis])[max(-begin, 0) : x.type.shape[axis] - max(-end, 0)]
        index = np.pad(kept, (max(begin, 0), max(end, 0)), mode=mode)  # type: ignore[call-overload]
        x = ops.gather(x, ops.constant_of(index), axis=axis)
    return x


@lowering("reflection_pad1d", "reflection_pad2d", "reflection_pad3d")
def reflection_pad(call: Call, x: Value, padding: Sequence[int]) -> Value:
    return pad_by_index(x, padding, "reflect")


@lowering("replication_pad1d", "replication_pad2d", "replication_pad3d")
def replication_pad(call: Call, x: Value, padding: Sequence[int]) -> Value:
    return pad_by_index(x, padding, "edge")


@lowering("pixel_shuffle")
def pixel_shuffle(call: Call, x: Value, factor: int) -> Value:
    """[.., c r r, h, w] to [.., c, h r, w r]"""
    *lead, channels, h, w = x.type.shape
    rank = len(lead)
    apart = ops.reshape(x, shape=(*lead, channels // factor**2, factor, factor, h, w))
    perm = (*range(rank), rank, rank + 3, rank + 1, rank + 4, rank + 2)
    return call.reshaped(ops.transpose(apart, perm=perm))


@lowering("pixel_unshuffle")
def pixel_unshuffle(call: Call, x: Value, factor: int) -> Value:
    """[.., c, h r, w r] to [.., c r r, h, w]"""
    *lead, channels, h, w = x.type.shape
    rank = len(lead)
    apart = ops.reshape(x, shape=(*lead, channels, h // factor, factor, w // factor, factor))
    perm = (*range(rank), rank, rank + 2, rank + 4, rank + 1, rank + 3)
    return call.reshaped(ops.transpose(apart, perm=perm))


@lowering("slice_scatter", "select_scatter")
def written(call: Call, x: Value, source: Value, dim: int = 0, *where: int | None, **options: Any) -> Value:
    """x with other values in a part of it: what is before, the source, what is behind."""
    axis = dim % x.type.rank
    extent = x.type.shape[axis]
    if "select" in call.operator:
        index = int(where[0] or 0) % extent
        chosen = range(index, index + 1)
        source = ops.reshape(source, shape=(*x.type.shape[:axis], 1, *x.type.shape[axis + 1 :]))
    else:
        start, end, step = (*where, None, None, None)[:3]
        chosen = range(extent)[options.get("start", start) : options.get("end", end) : options.get("step", step)]
        if chosen.step != 1:
            raise call.error(f"a step of {chosen.step}", help="a step of 1 is supported")
    pieces = [part(x, axis, 0, chosen.start), source, part(x, axis, chosen.stop, extent - chosen.stop)]
    kept = [piece for piece in pieces if piece.type.shape[axis]]
    return ops.concat(*kept, axis=axis) if len(kept) > 1 else kept[0]
