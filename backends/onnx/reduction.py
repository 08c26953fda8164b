"""Reductions and pools."""

from __future__ import annotations

import math

import numpy as np

from ircost.backends.onnx.contraction import window
from ircost.backends.onnx.element_types import LEAST_OPSET
from ircost.backends.onnx.elementwise import is_number
from ircost.backends.onnx.emitter import Scope, emits
from ircost.backends.onnx.node import Input, node, number_like, whole_numbers
from ircost.ir.attributes import int_of, ints_of
from ircost.ir.graph import Op, Value, sole_producer
from ircost.ir.types import DType, f32

REDUCTIONS = {
    **{"reduce_sum": "ReduceSum", "reduce_prod": "ReduceProd", "reduce_max": "ReduceMax", "reduce_min": "ReduceMin"},
    **{"reduce_any": "ReduceMax", "reduce_all": "ReduceMin", "reduce_mean": "ReduceMean"},
}


@emits(*REDUCTIONS)
def emit_reduction(op: Op, scope: Scope) -> Input:
    """Over no axes at all, which ONNX takes for all of them, nothing happens."""
    axes, keepdims = ints_of(op.attrs, "axes"), int(bool(op.attrs["keepdims"]))
    if not axes:
        return node("Identity", op.operands[0])
    opset = 20 if op.operands[0].type.dtype.name == "bool" else LEAST_OPSET
    return node(REDUCTIONS[op.name], op.operands[0], whole_numbers(*axes), keepdims=keepdims, opset=opset)


@emits("reduce_sum", is_special=True)
def emit_sum_of_function(op: Op, scope: Scope) -> Input:
    """reduce_sum(x x)  ->  ReduceSumSquare(x), and reduce_sum(abs(x))  ->  ReduceL1(x)"""
    (x,) = op.operands
    magnitude, square = sole_producer(x, "abs"), squared(x)
    inner = square if magnitude is None else magnitude.operands[0]
    return reduced("ReduceSumSquare" if magnitude is None else "ReduceL1", inner, op)


@emits("sqrt", "log", is_special=True)
def emit_function_of_sum(op: Op, scope: Scope) -> Input:
    """sqrt(reduce_sum(x x))  ->  ReduceL2(x), and log(reduce_sum(exp(x)))  ->  ReduceLogSumExp(x)"""
    total = sole_producer(op.operands[0], "reduce_sum")
    if total is None:
        return None
    if op.name == "sqrt":
        return reduced("ReduceL2", squared(total.operands[0]), total)
    power = sole_producer(total.operands[0], "exp")
    return reduced("ReduceLogSumExp", power.operands[0] if power is not None else None, total)


def squared(value: Value) -> Value | None:
    """x of x times x, where nobody else reads that."""
    product = sole_producer(value, "mul")
    return product.operands[0] if product is not None and product.operands[0] is product.operands[1] else None


def reduced(operator: str, x: Value | None, total: Op) -> Input:
    """In place of the sum ``total``; None where there is no x, or no axis."""
    axes = ints_of(total.attrs, "axes")
    if x is None or not axes or x.type.dtype != f32:
        return None
    return node(operator, x, whole_numbers(*axes), keepdims=int(bool(total.attrs["keepdims"])))


@emits("reduce_mean", is_special=True)
def emit_global_average(op: Op, scope: Scope) -> Input:
    """The mean of all spatial axes is a pool, which runtimes have a kernel for."""
    x = op.operands[0].type
    spatial = tuple(range(2, x.rank))
    if not op.attrs["keepdims"] or x.rank < 3 or tuple(a % x.rank for a in ints_of(op.attrs, "axes")) != spatial:
        return None
    return node("GlobalAveragePool", op.operands[0]) if x.dtype == f32 else None


@emits("argmax", "argmin")
def emit_arg_extreme(op: Op, scope: Scope) -> Input:
    operator = "ArgMax" if op.name == "argmax" else "ArgMin"
    return node(operator, op.operands[0], axis=int_of(op.attrs, "axis"), keepdims=int(bool(op.attrs["keepdims"])))


# ---- pools


def pool(operator: str, op: Op, **more: int) -> Input:
    """Padding that runtimes refuse, as wide as the window, stands before it."""
    x, attributes = op.operands[0], {**window(op), "kernel_shape": ints_of(op.attrs, "window"), **more}
    opset = LEAST_OPSET
    if operator == "AveragePool" and any(step != 1 for step in ints_of(op.attrs, "dilations")):
        opset = 19
    elif operator == "AveragePool":
        attributes.pop("dilations", None)
    if is_inside_window(op):
        return node(operator, x, opset=opset, **attributes)
    pads = steps_and_pads(op)[2]
    around = [*(0, 0), *(begin for begin, _ in pads), *(0, 0), *(end for _, end in pads)]
    outside = number_like(least_number(x.type.dtype) if operator == "MaxPool" else 0, x)
    padded = node("Pad", x, whole_numbers(*around), outside)
    return node(operator, padded, opset=opset, **{**attributes, "pads": ()})


def least_number(dtype: DType) -> float:
    return -math.inf if dtype.is_float else dtype.integer_range[0]


@emits("max_pool")
def emit_max_pool(op: Op, scope: Scope) -> Input:
    return pool("MaxPool", op)


@emits("sum_pool")
def emit_sum_pool(op: Op, scope: Scope) -> Input:
    """The average that counts padding, times the size of the window."""
    if not op.result.type.dtype.is_float:
        return None
    size = math.prod(ints_of(op.attrs, "window"))
    return node("Mul", pool("AveragePool", op, count_include_pad=1), number_like(size, op.operands[0]))


@emits("mul", "div", is_special=True)
def emit_average_pool(op: Op, scope: Scope) -> Input:
    """sum_pool(x) / n  ->  AveragePool(x), for a known n: the size of the window, or what of it lies in x"""
    orders = (op.operands, op.operands[::-1]) if op.name == "mul" else (op.operands,)
    for total, factor in orders if op.result.type.dtype.is_float else ():
        summed = sole_producer(total, "sum_pool")
        if (
            summed is None
            or total.type != op.result.type
            or not scope.is_known(factor)
            or not total.type.dtype.is_float
            or not is_inside_window(summed)
        ):
            continue
        known = scope.array(factor)
        for included in (1, 0):
            counts = window_counts(summed, bool(included))
            wanted = counts if op.name == "div" else reciprocal(counts)
            if is_close(known, wanted, factor.type.dtype):
                return pool("AveragePool", summed, count_include_pad=included)
    return None


def reciprocal(counts: np.ndarray) -> np.ndarray:
    """Infinite for windows of nothing but padding, which dilated ones may be."""
    with np.errstate(divide="ignore"):
        return np.asarray(1 / counts)


def is_close(known: np.ndarray, wanted: np.ndarray, dtype: DType) -> bool:
    """Whether numbers broadcast to those that are wanted, but for the rounding to their format: half of its last place.

    >>> wanted = np.array(9.0)
    >>> [is_close(np.array(n), wanted, f32) for n in (9.0, 9.000001, 9.008)]
    [True, False, False]
    """
    if known.ndim > wanted.ndim:
        return False
    shape = (1,) * (wanted.ndim - known.ndim) + known.shape
    if any(have not in (1, want) for have, want in zip(shape, wanted.shape, strict=True)):
        return False
    return bool(np.allclose(known.astype(np.float64), wanted, rtol=0.5 ** (dtype.mantissa_bits + 1), atol=0))


def window_counts(op: Op, included: bool) -> np.ndarray:
    """How many elements each window sums up [1, 1, ..], with its padding or without."""
    size, out = ints_of(op.attrs, "window"), op.result.type.shape
    counts = np.ones((1, 1, *(1,) * len(size)))
    for axis, (n, stride, dilation, (begin, _)) in enumerate(zip(size, *steps_and_pads(op), strict=True)):
        places = np.arange(out[2 + axis])[:, None] * stride - begin + np.arange(n) * dilation
        inside = (places >= 0) & (places < op.operands[0].type.shape[2 + axis])
        along = (inside | included).sum(axis=1).reshape([-1 if i == 2 + axis else 1 for i in range(2 + len(size))])
        counts = counts * along
    return counts


def steps_and_pads(op: Op) -> tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Strides, dilations and [begin, end] of each axis, as written or by default."""
    ones, pads = (1,) * len(ints_of(op.attrs, "window")), op.attrs["pads"]
    assert isinstance(pads, tuple), "its kind was checked"
    return (
        ints_of(op.attrs, "strides") or ones,
        ints_of(op.attrs, "dilations") or ones,
        pads or ((0, 0),) * len(ones),  # type: ignore[return-value]
    )


def is_inside_window(op: Op) -> bool:
    """Runtimes refuse windows that may lie in the padding alone."""
    return all(max(pair) < n for n, pair in zip(ints_of(op.attrs, "window"), steps_and_pads(op)[2], strict=True))


@emits("div", is_special=True)
def emit_mean(op: Op, scope: Scope) -> Input:
    """reduce_sum(x) / count  ->  ReduceMean(x)"""
    total, count = op.operands
    summed = sole_producer(total, "reduce_sum")
    if summed is None or not total.type.dtype.is_float or count.type.elements != 1 or total.type != op.result.type:
        return None
    x = summed.operands[0].type
    axes = ints_of(summed.attrs, "axes")
    if x.bounded or not axes or not is_number(scope, count, math.prod(x.shape[axis] for axis in axes)):
        return None
    keepdims = int(bool(summed.attrs["keepdims"]))
    return node("ReduceMean", summed.operands[0], whole_numbers(*axes), keepdims=keepdims)
