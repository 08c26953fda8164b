"""Operations on the bits of integers, element by element."""

from __future__ import annotations

from ircost.ir.ops.elementwise import BINARY, UNARY
from ircost.ir.scalar import Scalar, call
from ircost.ir.structured import structured_op


@structured_op(BINARY, types="I, I -> I", commutative=True)
def bitwise_and(lhs: Scalar, rhs: Scalar) -> Scalar:
    """Bits set in both. Source: ONNX BitwiseAnd-18."""
    return call("bit_and", lhs, rhs)


@structured_op(BINARY, types="I, I -> I", commutative=True)
def bitwise_or(lhs: Scalar, rhs: Scalar) -> Scalar:
    """Bits set in either or both. Source: ONNX BitwiseOr-18."""
    return call("bit_or", lhs, rhs)


@structured_op(BINARY, types="I, I -> I", commutative=True)
def bitwise_xor(lhs: Scalar, rhs: Scalar) -> Scalar:
    """Bits set in one but not both. Source: ONNX BitwiseXor-18."""
    return call("bit_xor", lhs, rhs)


@structured_op(UNARY, types="I -> I")
def bitwise_not(x: Scalar) -> Scalar:
    """Each bit the other way. Source: ONNX BitwiseNot-18."""
    return call("bit_not", x)


@structured_op(BINARY, types="I, I -> I")
def shift_left(x: Scalar, count: Scalar) -> Scalar:
    """x * 2^count, what leaves the format dropped. Source: ONNX BitShift-11, direction LEFT."""
    return call("shift_left", x, count)


@structured_op(BINARY, types="I, I -> I")
def shift_right(x: Scalar, count: Scalar) -> Scalar:
    """x / 2^count, rounded down. Source: ONNX BitShift-11, direction RIGHT."""
    return call("shift_right", x, count)
