"""Products of com.microsoft with quantised operands."""

from __future__ import annotations

import math

import numpy as np

from ircost.frontends.onnx.contraction import zero_point
from ircost.frontends.onnx.microsoft_fused import MICROSOFT, with_bias
from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.ops.quantised import integer_product, quantised_dynamically
from ircost.ir.types import DTYPES, DType, TensorType


@lowering("MatMulNBits", domain=MICROSOFT)
def matmul_n_bits(node: Node) -> Value:
    """A times the transpose of weights [N, K] of a few bits, each block of a row with a scale and a zero point.

    Shapes: A [.., K], weights [N, blocks, bytes], scales [N, blocks], zero points packed as the weights are, or in the
    format of A. The weights are read at their own width and brought to the format of A on the way into the product.
    Source: com.microsoft::MatMulNBits-1.
    """
    a = node[0]
    inner, outer, bits = node.int("K", 0), node.int("N", 0), node.int("bits", 4)
    block = node.int("block_size", 32)
    blocks = -(-inner // block)
    if bits not in (2, 4, 8) or node.get(4) is not None:
        raise node.error(f"{bits} bits, or an order of the groups, are not supported", help="2, 4 or 8 bits in order")
    narrow = DTYPES[f"u{bits}"]
    weights = packed(node[1], (outer, blocks, block), narrow)
    scales = ops.reshape(node[2], shape=(outer, blocks, 1))
    zeros = zero_points(node, outer, blocks, narrow, scales.type.dtype)
    return with_bias(node, ops.block_quantised_matmul(a, weights, scales, zeros, inner=inner), 5)


def zero_points(node: Node, outer: int, blocks: int, narrow: DType, dtype: DType) -> Value:
    """[N, blocks, 1] in the format of the scales; the middle of the range where there are none."""
    zero = node.get(3)
    if zero is None:
        return middle(narrow, dtype)
    if zero.type.dtype.is_float:
        return ops.reshape(zero, shape=(outer, blocks, 1))
    row_bytes = math.ceil(blocks * narrow.bits / 8)
    rows = ops.reshape(zero, shape=(outer, row_bytes))
    wide = packed(rows, (outer, row_bytes * 8 // narrow.bits), narrow)
    kept = ops.slice(ops.cast(wide, to=dtype), starts=(0, 0), size=(outer, blocks))
    return ops.reshape(kept, shape=(outer, blocks, 1))


def middle(narrow: DType, dtype: DType) -> Value:
    return ops.cast(ops.constant_of(np.array(2 ** (narrow.bits - 1), np.float32)), to=dtype)


def packed(value: Value, shape: tuple[int, ...], dtype: DType) -> Value:
    """Bytes as the narrow integers that lie in them, the lowest bits first."""
    return ops.unpack.create((value,), {"to": dtype}, result_types=(TensorType(shape, dtype),)).result


@lowering("DynamicQuantizeMatMul", domain=MICROSOFT)
def dynamic_quantize_matmul(node: Node) -> Value:
    """A quantised by its range, times quantised weights."""
    a, a_scale, a_zero = quantised_dynamically(node[0])
    total = integer_product(a, node[1], a_zero, zero_point(node, 3, -1))
    scale = ops.mul(a_scale, node[2])
    return with_bias(node, ops.mul(ops.cast(total, to=node[0].type.dtype), scale), 4)


@lowering("MatMulIntegerToFloat", domain=MICROSOFT)
def matmul_integer_to_float(node: Node) -> Value:
    """The product of two quantised tensors, scaled."""
    total = integer_product(node[0], node[1], zero_point(node, 4, -2), zero_point(node, 5, -1))
    scale = ops.mul(node[2], node[3])
    return with_bias(node, ops.mul(ops.cast(total, to=scale.type.dtype), scale), 6)
