"""Values that come from numbers alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from ircost.frontends.torch.call import Call, lowering
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.numpy_dtypes import numpy_dtype


@lowering("full")
def full(call: Call, size: object, fill_value: float, **options: Any) -> Value:
    return ops.splat(in_format(call, fill_value), call.type)


@lowering("full_like", "new_full")
def full_like(call: Call, x: Value, *arguments: Any, **options: Any) -> Value:
    return ops.splat(in_format(call, arguments[-1]), call.type)


@lowering("zeros", "zeros_like", "new_zeros", "empty.memory_format", "empty_like", "new_empty")
def zeros(call: Call, *arguments: Any, **options: Any) -> Value:
    """What is empty has any values; it is about to be overwritten."""
    return ops.splat(in_format(call, 0), call.type)


@lowering("ones", "ones_like", "new_ones")
def ones(call: Call, *arguments: Any, **options: Any) -> Value:
    return ops.splat(in_format(call, 1), call.type)


@lowering("scalar_tensor")
def scalar_tensor(call: Call, number: float, **options: Any) -> Value:
    return call.operand(number)


def in_format(call: Call, number: float) -> float | int | bool:
    """A number as the result's format has it."""
    found: float | int | bool = np.asarray(number).astype(numpy_dtype(call.dtype)).item()
    return found


@lowering("arange", "arange.start", "arange.start_step")
def arange(call: Call, *bounds: float, **options: Any) -> Value:
    start = bounds[0] if len(bounds) > 1 else 0
    step = bounds[2] if len(bounds) > 2 else 1
    counted = call.operand(ops.ramp(call.type.shape, 0))
    stretched = counted if step == 1 else ops.mul(counted, call.operand(step))
    return stretched if start == 0 else ops.add(stretched, call.operand(start))


@lowering("tril", "triu")
def triangle(call: Call, x: Value, diagonal: int = 0) -> Value:
    """Zero above (below) a diagonal of the last two axes."""
    m, n = x.type.shape[-2:]
    rows, columns = ops.add(ops.ramp((m, 1), 0), ops.constant_of(np.array(diagonal))), ops.ramp((1, n), 1)
    compare = ops.less_equal if "tril" in call.operator else ops.greater_equal
    return ops.where(compare(columns, rows), x, call.operand(0))


@lowering("eye", "eye.m")
def eye(call: Call, *sizes: int, **options: Any) -> Value:
    m, n = call.type.shape
    return call.operand(ops.equal(ops.ramp((m, 1), 0), ops.ramp((1, n), 1)))


@lowering("_assert_tensor_metadata", "_assert_async.msg", "_assert_scalar")
def nothing(call: Call, *arguments: Any, **options: Any) -> list[Value]:
    """Checks at run time that the export has made already."""
    return []
