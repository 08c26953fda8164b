"""Ops that move, regroup, select or repeat elements."""

from __future__ import annotations

import math

import numpy as np

from ircost.backends.onnx.emitter import Scope, emits
from ircost.backends.onnx.node import Array, Attributes, Input, node, number_like, outputs_of, whole_numbers
from ircost.ir.attributes import float_of, int_of, ints_of
from ircost.ir.graph import Op, Value
from ircost.ir.numpy_dtypes import numpy_dtype


@emits("reshape")
def emit_reshape(op: Op, scope: Scope) -> Input:
    """A shape with its one open extent, where that depends on data."""
    type = op.result.type
    shape = [-1 if axis in type.bounded else n for axis, n in enumerate(type.shape)]
    return node("Reshape", op.operands[0], whole_numbers(*shape), allowzero=int(0 in shape))


@emits("transpose")
def emit_transpose(op: Op, scope: Scope) -> Input:
    return node("Transpose", op.operands[0], perm=ints_of(op.attrs, "perm"))


@emits("broadcast")
def emit_broadcast(op: Op, scope: Scope) -> Input:
    """An axis that stays as it is is 1 in the shape: its extent may depend on data."""
    x, type = op.operands[0].type, op.result.type
    lead = type.rank - x.rank
    shape = [1 if axis >= lead and axis - lead in x.bounded else n for axis, n in enumerate(type.shape)]
    return node("Expand", op.operands[0], whole_numbers(*shape))


@emits("slice")
@emits("subview")
def emit_slice(op: Op, scope: Scope) -> Input:
    x, size = op.operands[0].type, op.result.type.shape
    starts = ints_of(op.attrs, "starts")
    steps = (ints_of(op.attrs, "steps") if "steps" in op.attrs else ()) or (1,) * x.rank
    axes = [i for i in range(x.rank) if (starts[i], size[i], steps[i]) != (0, x.shape[i], 1)]
    if any(axis in x.bounded for axis in axes):
        return None
    if not axes:
        return node("Identity", op.operands[0])
    ends = [starts[i] + size[i] * steps[i] for i in axes]
    # Below the first element there is no index but one that is clamped: -1 would be the last element.
    ends = [end if end >= 0 else -(2**31) for end in ends]
    places = [[starts[i] for i in axes], ends, axes, [steps[i] for i in axes]]
    if all(step == 1 for step in places[3]):
        places.pop()
    return node("Slice", op.operands[0], *(whole_numbers(*numbers) for numbers in places))


@emits("pad")
def emit_pad(op: Op, scope: Scope) -> Input:
    pads = op.attrs["pads"]
    assert isinstance(pads, tuple), "its kind was checked"
    flat: list[int] = [pair[side] for side in (0, 1) for pair in pads]  # type: ignore
    value = float_of(op.attrs, "value")
    more = [number_like(value, op.operands[0])] if value != 0.0 or not op.result.type.dtype.is_float else []
    return node("Pad", op.operands[0], whole_numbers(*flat), *more)


@emits("concat")
def emit_concat(op: Op, scope: Scope) -> Input:
    axis = int_of(op.attrs, "axis")
    return node("Concat", *op.operands, axis=axis) if len(op.operands) > 1 else node("Identity", op.operands[0])


@emits("gather", "gather_elements")
def emit_gather(op: Op, scope: Scope) -> Input:
    operator = "Gather" if op.name == "gather" else "GatherElements"
    return node(operator, op.operands[0], index_of(op, 1), axis=int_of(op.attrs, "axis"))


def index_of(op: Op, position: int) -> Input:
    """An operand that holds indices, in a format that ONNX takes."""
    value = op.operands[position]
    return value if value.type.dtype.name in ("i32", "i64") else node("Cast", value, to=7)


@emits("gather_nd")
def emit_gather_nd(op: Op, scope: Scope) -> Input:
    indices = node("Cast", op.operands[1], to=7) if op.operands[1].type.dtype.name != "i64" else op.operands[1]
    return node("GatherND", op.operands[0], indices, batch_dims=int_of(op.attrs, "batch_dims"))


@emits("dynamic_slice")
def emit_dynamic_slice(op: Op, scope: Scope) -> Input:
    starts, size = op.operands[1], ints_of(op.attrs, "size")
    ends = node("Add", starts, Array(np.array(size, numpy_dtype(starts.type.dtype))))
    return node("Slice", op.operands[0], starts, ends)


@emits("scatter_elements")
def emit_scatter_elements(op: Op, scope: Scope) -> Input:
    data, _, updates = op.operands
    attributes: Attributes = {"axis": int_of(op.attrs, "axis"), "reduction": str(op.attrs["reduction"])}
    return node("ScatterElements", data, index_of(op, 1), updates, **attributes)


@emits("scatter_nd")
def emit_scatter_nd(op: Op, scope: Scope) -> Input:
    data, indices, updates = op.operands
    places = node("Cast", indices, to=7) if indices.type.dtype.name != "i64" else indices
    return node("ScatterND", data, places, updates, reduction=str(op.attrs["reduction"]))


@emits("update_cache")
def emit_update_cache(op: Op, scope: Scope) -> list[Input]:
    """What lies before the new rows, they themselves, and what lies behind: ONNX writes over nothing."""
    caches, rows = op.operands[: len(op.results)], op.operands[len(op.results) :]
    axis, begin = int_of(op.attrs, "axis") % caches[0].type.rank, int_of(op.attrs, "at")

    def piece(cache: Value, start: int, end: int) -> list[Input]:
        bounds = [whole_numbers(place) for place in (start, end, axis)]
        return [node("Slice", cache, *bounds)] if start < end else []

    def updated(cache: Value, new: Value) -> Input:
        end = begin + new.type.shape[axis]
        parts = [*piece(cache, 0, begin), new, *piece(cache, end, cache.type.shape[axis])]
        return node("Concat", *parts, axis=axis) if len(parts) > 1 else node("Identity", new)

    return [updated(cache, new) for cache, new in zip(caches, rows, strict=True)]


@emits("top_k")
def emit_top_k(op: Op, scope: Scope) -> list[Input]:
    attributes = {"axis": int_of(op.attrs, "axis"), "largest": int(bool(op.attrs["largest"]))}
    return outputs_of(node("TopK", op.operands[0], whole_numbers(int_of(op.attrs, "k")), outputs=2, **attributes))


@emits("cumsum")
def emit_cumsum(op: Op, scope: Scope) -> Input:
    axis = Array(np.array(int_of(op.attrs, "axis"), np.int64))
    flags = {name: int(bool(op.attrs[name])) for name in ("exclusive", "reverse")}
    return node("CumSum", op.operands[0], axis, **flags)


@emits("cumprod")
def emit_cumprod(op: Op, scope: Scope) -> Input:
    axis = Array(np.array(int_of(op.attrs, "axis"), np.int64))
    flags = {name: int(bool(op.attrs[name])) for name in ("exclusive", "reverse")}
    return node("CumProd", op.operands[0], axis, opset=26, **flags)


# ---- as long as data make it


@emits("nonzero")
def emit_nonzero(op: Op, scope: Scope) -> Input:
    return node("NonZero", op.operands[0])


@emits("compress")
def emit_compress(op: Op, scope: Scope) -> Input:
    return node("Compress", *op.operands, axis=int_of(op.attrs, "axis"))


@emits("slice_between")
def emit_slice_between(op: Op, scope: Scope) -> Input:
    x, *ends = op.operands
    bounds = [node("Reshape", node("Cast", end, to=7), whole_numbers(1)) for end in ends]
    return node("Slice", x, *bounds, whole_numbers(int_of(op.attrs, "axis")))


@emits("unique")
def emit_unique(op: Op, scope: Scope) -> list[Input]:
    attributes = {"axis": int_of(op.attrs, "axis"), "sorted": int(bool(op.attrs["is_sorted"]))}
    return outputs_of(node("Unique", op.operands[0], outputs=4, **attributes))


@emits("shape_of")
def emit_shape_of(op: Op, scope: Scope) -> Input:
    return node("Shape", op.operands[0])


@emits("non_max_suppression")
def emit_non_max_suppression(op: Op, scope: Scope) -> Input:
    return node("NonMaxSuppression", *op.operands, center_point_box=int(bool(op.attrs["is_centred"])))


@emits("iota")
def emit_iota(op: Op, scope: Scope) -> Input:
    """Large ones only: all others are folded."""
    type = op.result.type
    axis = int_of(op.attrs, "axis") % type.rank
    ramp = np.arange(type.shape[axis]).astype(numpy_dtype(type.dtype))
    row = ramp.reshape([-1 if i == axis else 1 for i in range(type.rank)])
    return node("Expand", Array(row), whole_numbers(*type.shape)) if math.prod(type.shape) else None


@emits("det")
def emit_det(op: Op, scope: Scope) -> Input:
    return node("Det", op.operands[0])
