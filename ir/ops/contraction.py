"""Contractions: sums of products, and their windowed kin. What matrix units are for."""

from __future__ import annotations

from collections.abc import Sequence

from ircost.ir.attributes import Attributes, Ints, Pairs
from ircost.ir.scalar import Scalar
from ircost.ir.structured import structured_op
from ircost.ir.types import DType, TensorType


@structured_op("... m k, ... k n -> ... m n", reduce="sum", types="N, N -> out|N")
def matmul(lhs: Scalar, rhs: Scalar, *, out: DType | None = None) -> Scalar:
    """Matrix product, one for each leading index; leading dims broadcast.

    Shapes: lhs [..., m, k], rhs [..., k, n], out [..., m, n].
    ``out`` is the result's number format, the operands' own where it is left out: narrow operands, wider result.
    Flops: 2*m*n*k for each leading index; a multiply and an add count as one each.
    Source: ONNX MatMul-13; its rank-1 cases are resolved by the frontend.
    """
    return lhs * rhs


def einsum_notation(operands: Sequence[TensorType], attrs: Attributes) -> str:
    return str(attrs["notation"])


@structured_op(einsum_notation, reduce="sum", types="N, N -> out|N")
def contract(lhs: Scalar, rhs: Scalar, *, notation: str, out: DType | None = None) -> Scalar:
    """Any contraction of two operands, by its own index notation: ``{notation = "b i k, b j k -> b i j"}``.

    Source: ONNX Einsum-12; BLAS gemm with transposed operands.
    """
    return lhs * rhs


@structured_op("... m k, ... k n -> ... m n", reduce="sum", types="I, I1 -> i32")
def matmul_integer(lhs: Scalar, rhs: Scalar) -> Scalar:
    """Matrix product of 8-bit integers, summed in 32 bits.

    Shapes: lhs [..., m, k], rhs [..., k, n], out [..., m, n]. Source: ONNX MatMulInteger-10 without zero points.
    """
    return lhs * rhs


WINDOWS = "(o..*strides + k..*dilations - pads)"


@structured_op(f"n (g c) {WINDOWS}, (g f) c k.. -> n (g f) o..", reduce="sum", types="N, N -> out|N")
def conv(
    x: Scalar, weight: Scalar, *, strides: Ints = (), dilations: Ints = (), pads: Pairs = (), out: DType | None = None
) -> Scalar:
    """Convolution with any number of spatial axes; the groups follow from the channels.

    Shapes: x [n, g*c, ...], weight [g*f, c, ...], out [n, g*f, ...]. ``pads`` holds [begin, end] for each spatial axis.
    Flops: 2*n*g*f*c*(product of out extents and window extents), padding included, as published counts have it.
    Source: ONNX Conv-22; bias is an `add`, auto_pad is resolved by the frontend.
    """
    return x * weight


@structured_op(f"n (g c) {WINDOWS}, (g f) c k.. -> n (g f) o..", reduce="sum", types="I, I1 -> i32", padding="outside")
def conv_integer(
    x: Scalar, weight: Scalar, *, strides: Ints = (), dilations: Ints = (), pads: Pairs = (), outside: int = 0
) -> Scalar:
    """Convolution of 8-bit integers, summed in 32 bits; ``outside`` is what padding counts as.

    Source: ONNX ConvInteger-10, which counts padding as the zero point of x, without zero points.
    """
    return x * weight


@structured_op(
    "n (g c) i.., (g c) f k.. -> n (g f) (i..*strides + k..*dilations - pads)",
    reduce="sum",
    types="N, N -> out|N",
)
def conv_transpose(
    x: Scalar,
    weight: Scalar,
    *,
    g: int = 1,
    strides: Ints = (),
    dilations: Ints = (),
    pads: Pairs = (),
    out: DType | None = None,
) -> Scalar:
    """Transposed convolution: the gradient of `conv` for its input; each element of x is spread over a window.

    Shapes: x [n, g*c, ...], weight [g*c, f, ...], out [n, g*f, (i-1)*stride + (k-1)*dilation + 1 - begin - end, ...].
    A negative end pad lengthens the output (ONNX output_padding).
    Source: ONNX ConvTranspose-22.
    """
    return x * weight
