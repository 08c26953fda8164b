"""Reductions and pools."""

from __future__ import annotations

import math

from ircost.backends.onnx.contraction import window
from ircost.backends.onnx.element_types import LEAST_OPSET
from ircost.backends.onnx.elementwise import is_number
from ircost.backends.onnx.emitter import Scope, emits, only_use
from ircost.backends.onnx.node import Attributes, Input, node, number_like, whole_numbers
from ircost.ir.attributes import int_of, ints_of
from ircost.ir.graph import Op, Value
from ircost.ir.types import f32

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


def pool(operator: str, op: Op, outputs: int = 1, **more: int) -> Input:
    attributes: Attributes = {**window(op), "kernel_shape": ints_of(op.attrs, "window"), **more}
    opset = LEAST_OPSET
    if operator == "AveragePool" and any(step != 1 for step in ints_of(op.attrs, "dilations")):
        opset = 19
    elif operator == "AveragePool":
        del attributes["dilations"]
    return node(operator, op.operands[0], outputs=outputs, opset=opset, **attributes)


@emits("max_pool")
def emit_max_pool(op: Op, scope: Scope) -> Input:
    return pool("MaxPool", op)


@emits("sum_pool")
def emit_sum_pool(op: Op, scope: Scope) -> Input:
    """The average that counts padding, times the size of the window; the pads must be small for ONNX."""
    if not op.result.type.dtype.is_float:
        return None
    size = math.prod(ints_of(op.attrs, "window"))
    return node("Mul", pool("AveragePool", op, count_include_pad=1), number_like(size, op.operands[0]))


@emits("mul", is_special=True)
def emit_average_pool(op: Op, scope: Scope) -> Input:
    """sum_pool(x) / size  ->  AveragePool(x)"""
    for total, factor in (op.operands, op.operands[::-1]):
        summed = only_use(total, "sum_pool")
        if summed is not None and factor.type.elements == 1 and total.type == op.result.type:
            size = math.prod(ints_of(summed.attrs, "window"))
            if is_inverse(scope, factor, size):
                return pool("AveragePool", summed, count_include_pad=1)
    return None


def is_inverse(scope: Scope, factor: Value, size: int) -> bool:
    if not scope.is_known(factor) or not factor.type.dtype.is_float:
        return False
    return math.isclose(float(scope.array(factor).reshape(())), 1 / size, rel_tol=1e-3)


@emits("div", is_special=True)
def emit_mean(op: Op, scope: Scope) -> Input:
    """reduce_sum(x) / count  ->  ReduceMean(x)"""
    total, count = op.operands
    summed = only_use(total, "reduce_sum")
    if summed is None or not total.type.dtype.is_float or count.type.elements != 1 or total.type != op.result.type:
        return None
    x = summed.operands[0].type
    axes = ints_of(summed.attrs, "axes")
    if x.bounded or not axes or not is_number(scope, count, math.prod(x.shape[axis] for axis in axes)):
        return None
    keepdims = int(bool(summed.attrs["keepdims"]))
    return node("ReduceMean", summed.operands[0], whole_numbers(*axes), keepdims=keepdims)
