"""NumPy meaning of an iteration space: gather operands point by point, apply the body, reduce.

Operands are gathered as strided views with one axis for each dim, so nothing is copied that need not be.
Sums of products run as matrix products.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
from numpy.lib.stride_tricks import as_strided

from ircost.ir.attributes import Attributes
from ircost.ir.index import Access, IterationSpace
from ircost.ir.numpy_dtypes import dtype_of, numpy_dtype, to_format
from ircost.ir.types import DType

if TYPE_CHECKING:
    from ircost.ir.structured import StructuredOp

# Elements of the iteration space that are held at once where a body cannot run as a matrix product.
CHUNK_ELEMENTS = 1 << 24

REDUCERS: dict[str, Callable[..., Any]] = {
    **{"sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min, "any": np.any, "all": np.all},
    **{"argmax": np.argmax, "argmin": np.argmin},
}
# What a reduction over nothing gives.
IDENTITIES = {"max": -math.inf, "min": math.inf}


def evaluate_space(
    op: StructuredOp, space: IterationSpace, operands: Sequence[np.ndarray], attrs: Attributes, dtype: DType
) -> np.ndarray:
    """The result of a structured op.

    Low-precision floats are widened to float32 first and rounded once, at the end, as matrix units do.

    Args:
        op: its body, reduction and padding.
        space: bound to the operands' shapes.
        operands: arrays.
        attrs: the op's attributes.
        dtype: of the result.
    """
    padding = attrs[op.padding] if isinstance(op.padding, str) else op.padding
    assert isinstance(padding, (int, float))
    wide = [_widen(array) for array in operands]
    views = [_gather(array, access, space, padding) for array, access in zip(wide, space.operands, strict=True)]
    with np.errstate(all="ignore"):
        result = _contract(op, space, views) if op.is_contraction else _apply(op, space, views, attrs, dtype)
        return to_format(_place(np.asarray(result), space), dtype)


def _widen(array: np.ndarray) -> np.ndarray:
    """float32 for formats below it; integers narrower than 32 bits become int32."""
    dtype = dtype_of(array)
    if dtype.bits >= 32 or not (dtype.is_float or dtype.is_integer):
        return array
    return array.astype(np.float32 if dtype.is_float else np.int32)


def _gather(array: np.ndarray, access: Access, space: IterationSpace, padding: float) -> np.ndarray:
    """A view with one axis for each dim of the space; 1 long for dims that this operand does not depend on."""
    array, offsets = _pad(array, access, space, padding)
    strides = [0] * len(space.dims)
    start = 0
    for axis, (affine, offset) in enumerate(zip(access.axes, offsets, strict=True)):
        start += offset * array.strides[axis]
        for dim, coefficient in affine.terms:
            strides[dim] += coefficient * array.strides[axis]
    shape = [dim.extent if i in access.dims else 1 for i, dim in enumerate(space.dims)]
    if array.size == 0 or 0 in shape:
        return np.zeros(shape, array.dtype)
    flat = array.reshape(-1)
    return as_strided(flat[start // array.itemsize :], shape=shape, strides=strides)


def _pad(array: np.ndarray, access: Access, space: IterationSpace, padding: float) -> tuple[np.ndarray, list[int]]:
    """The operand, contiguous, extended where the space reads outside of it; and the offset of each axis in it."""
    widths, offsets = [], []
    for axis, affine in enumerate(access.axes):
        low = affine.offset + sum(min(c * (space.dims[d].extent - 1), 0) for d, c in affine.terms)
        high = affine.offset + sum(max(c * (space.dims[d].extent - 1), 0) for d, c in affine.terms)
        before, after = max(-low, 0), max(high - (array.shape[axis] - 1), 0)
        widths.append((before, after))
        offsets.append(affine.offset + before)
    if any(width != (0, 0) for width in widths):
        fill = padding if array.dtype.kind == "f" or math.isfinite(padding) else _integer_limit(array.dtype, padding)
        array = np.pad(array, widths, constant_values=fill)
    return np.ascontiguousarray(array), offsets


def _integer_limit(dtype: np.dtype, padding: float) -> int:
    limits = ml_dtypes.iinfo(dtype)  # type: ignore[no-untyped-call]  # knows integers of 2 and 4 bits, too
    return int(limits.max if padding > 0 else limits.min)


def _contract(op: StructuredOp, space: IterationSpace, views: list[np.ndarray]) -> np.ndarray:
    """A sum of products as batched matrix products: [batch, m, k] @ [batch, k, n]."""
    left, right = views
    first, second = (space.operands[0].dims, space.operands[1].dims)
    kept = _kept_dims(space)
    reduced = [i for i in range(len(space.dims)) if i not in kept]
    groups = {
        "batch": [i for i in kept if i in first and i in second],
        "m": [i for i in kept if i in first and i not in second],
        "n": [i for i in kept if i not in first],
        "k": [i for i in reduced if i in first and i in second],
    }
    # A reduction dim that only one operand has is summed out of it beforehand.
    left = _sum_lone(left, [i for i in reduced if i in first and i not in second])
    right = _sum_lone(right, [i for i in reduced if i in second and i not in first])
    sizes = {name: math.prod(space.dims[i].extent for i in dims) for name, dims in groups.items()}
    lhs = _arranged(left, space, groups["batch"] + groups["m"] + groups["k"]).reshape(
        sizes["batch"], sizes["m"], sizes["k"]
    )
    rhs = _arranged(right, space, groups["batch"] + groups["k"] + groups["n"]).reshape(
        sizes["batch"], sizes["k"], sizes["n"]
    )
    product = np.matmul(lhs, rhs)
    order = groups["batch"] + groups["m"] + groups["n"]
    product = product.reshape([space.dims[i].extent for i in order])
    return np.transpose(product, [order.index(i) for i in kept])


def _kept_dims(space: IterationSpace) -> list[int]:
    """Dims that the result's index depends on: the parallel ones and, in a scatter, those of its windows."""
    return sorted(space.results[0].dims | {i for i, dim in enumerate(space.dims) if not dim.is_reduction})


def _is_scatter(space: IterationSpace) -> bool:
    return any(space.dims[dim].is_reduction for dim in space.results[0].dims)


def _sum_lone(view: np.ndarray, dims: list[int]) -> np.ndarray:
    return view.sum(axis=tuple(dims), keepdims=True) if dims else view


def _arranged(view: np.ndarray, space: IterationSpace, order: list[int]) -> np.ndarray:
    """Axes in ``order``, each as long as its dim; all others are 1 long and dropped."""
    rest = [i for i in range(view.ndim) if i not in order]
    full = np.broadcast_to(view, [space.dims[i].extent if i in order else view.shape[i] for i in range(view.ndim)])
    return np.transpose(full, order + rest)


def _apply(op: StructuredOp, space: IterationSpace, views: list[np.ndarray], attrs: Attributes, dtype: DType) -> Any:
    """Body at all points, then the reduction; in slices of the first dim where all points at once are too many."""
    extent = space.dims[0].extent if space.dims else 1
    step = max(1, CHUNK_ELEMENTS * max(extent, 1) // max(space.points, 1))
    if step >= extent or space.dims[0].is_reduction:
        return _apply_whole(op, space, views, attrs, extent, dtype)
    slices = [range(start, min(start + step, extent)) for start in range(0, extent, step)]
    parts = [
        _apply_whole(op, space, [v[r.start : r.stop] if v.shape[0] > 1 else v for v in views], attrs, len(r), dtype)
        for r in slices
    ]
    return np.concatenate(parts, axis=0)


def _apply_whole(
    op: StructuredOp,
    space: IterationSpace,
    views: list[np.ndarray],
    attrs: Attributes,
    extent: int,
    dtype: DType,
) -> Any:
    values = np.asarray(op.body.evaluate(views, attrs))
    shape = [extent if i == 0 else dim.extent for i, dim in enumerate(space.dims)]
    values = np.broadcast_to(values, shape)
    kept = _kept_dims(space)
    axes = tuple(i for i in range(len(space.dims)) if i not in kept)
    if not op.reduce or not axes:
        return values
    return _reduce(op.reduce, values, axes, dtype)


def _reduce(reduce: str, values: np.ndarray, axes: tuple[int, ...], dtype: DType) -> Any:
    if reduce.startswith("arg"):
        return REDUCERS[reduce](_merge_last(values, axes), axis=-1)
    if reduce in IDENTITIES and math.prod(values.shape[axis] for axis in axes) == 0:
        identity = IDENTITIES[reduce] if dtype.is_float else _integer_limit(numpy_dtype(dtype), IDENTITIES[reduce])
        return np.full([n for i, n in enumerate(values.shape) if i not in axes], identity, numpy_dtype(dtype))
    if reduce in ("sum", "prod") and values.dtype.kind in "iu":
        return REDUCERS[reduce](values, axis=axes, dtype=values.dtype)
    return REDUCERS[reduce](values, axis=axes)


def _merge_last(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The reduced axes, flattened in order, at the end: the position that argmax returns."""
    moved = np.moveaxis(values, axes, range(values.ndim - len(axes), values.ndim))
    kept = moved.shape[: values.ndim - len(axes)]
    return moved.reshape(*kept, math.prod(moved.shape[len(kept) :]))


def _place(values: np.ndarray, space: IterationSpace) -> np.ndarray:
    """Values by dim -> the result array: axes in order, compositions joined, windows scattered with a sum."""
    result = space.results[0]
    if _is_scatter(space):
        return _scatter(values, space)
    kept = _kept_dims(space)
    order = [kept.index(dim) for axis in result.axes for dim, _ in axis.terms]
    return np.transpose(values, order).reshape(result.shape)


def _scatter(values: np.ndarray, space: IterationSpace) -> np.ndarray:
    """Adds each value where its point lands; what lands outside is dropped."""
    result = space.results[0]
    kept = _kept_dims(space)
    out = np.zeros(result.shape, values.dtype)
    indices, inside = [], np.ones((1,) * len(kept), bool)
    for axis in result.axes:
        index = np.full((1,) * len(kept), axis.offset, np.int64)
        for dim, coefficient in axis.terms:
            ramp = np.arange(space.dims[dim].extent) * coefficient
            index = index + ramp.reshape([-1 if i == dim else 1 for i in kept])
        inside = inside & (index >= 0) & (index < axis.extent)
        indices.append(index)
    full = np.broadcast_to(inside, values.shape)
    places = [np.broadcast_to(index, values.shape)[full] for index in indices]
    np.add.at(out, tuple(places), values[full])
    return out
