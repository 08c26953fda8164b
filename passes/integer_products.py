"""Products of dequantised tensors (QDQ) as products of the integers themselves, scaled once for each result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ircost.ir import ops
from ircost.ir.graph import Module, Op, Value
from ircost.ir.ops.normalization import per_channel
from ircost.ir.ops.quantised import integer_convolution, integer_product
from ircost.ir.rewrite import RewritePattern
from ircost.passes.base import Pass, register_pass
from ircost.passes.match import uniform

NARROW = frozenset({"i8", "u8", "i4", "u4"})


@dataclass(frozen=True, slots=True)
class Dequantised:
    """(narrow - zero) * scale: what DequantizeLinear comes down to.

    Args:
        zero: of one element; None where there is none.
        scale: of one element, or of each result's channel.
    """

    narrow: Value
    zero: Value | None
    scale: Value

    @staticmethod
    def of(value: Value) -> Dequantised | None:
        """None where a value is nothing of the kind."""
        product = value.producer
        if product is None or product.name != "mul":
            return None
        for whole, scale in (product.operands, product.operands[::-1]):
            if whole.type != value.type or scale.type.dtype != value.type.dtype:
                continue
            found = _integers(whole)
            if found is not None:
                return Dequantised(*found, scale)
        return None


def _integers(whole: Value) -> tuple[Value, Value | None] | None:
    """What a value is a cast of: a narrow tensor, and the zero point taken from it, in i32 where there is one."""
    inner = _cast_operand(whole)
    if inner is None or inner.type.dtype.name in NARROW:
        return None if inner is None else (inner, None)
    narrow = _cast_operand(inner)
    if inner.type.dtype.name != "i32":
        return None
    if narrow is not None:
        return (narrow, None) if narrow.type.dtype.name in NARROW else None
    if inner.producer is None or inner.producer.name != "sub":
        return None
    wide, zero = inner.producer.operands
    narrow = _cast_operand(wide)
    if narrow is None or narrow.type.dtype.name not in NARROW or wide.type != inner.type:
        return None
    if uniform(zero) == 0.0:
        return narrow, None
    return (narrow, zero) if zero.type.elements == 1 else None


def _cast_operand(value: Value) -> Value | None:
    """What a value is cast from, if it is."""
    return value.producer.operands[0] if value.producer is not None and value.producer.name == "cast" else None


class IntegerConvolution(RewritePattern):
    """conv((x - z) s, w t)  ->  conv(x - z, w) s t, for narrow x and w; z and s of one element, t of one a channel"""

    root = "conv"

    def rewrite(self, op: Op) -> Value | None:
        x, weight = map(Dequantised.of, op.operands)
        if x is None or weight is None or weight.zero is not None or x.scale.type.elements != 1:
            return None
        channels, *rest = weight.narrow.type.shape
        if weight.scale.type.elements != 1 and weight.scale.type.shape != (channels, *(1 for _ in rest)):
            return None
        return _scaled(_integer_convolution(op, x, weight.narrow), x, weight, channels, op)


class IntegerMatmul(RewritePattern):
    """matmul((x - z) s, (w - y) t)  ->  matmul(x - z, w - y) s t, for narrow x and w; t one a column"""

    root = "matmul"

    def rewrite(self, op: Op) -> Value | None:
        return _integer_product(op, 1) if op.operands[1].type.rank == 2 else None


class IntegerContraction(RewritePattern):
    """The same of a contraction of rows with a matrix, whichever way round that lies: ``m k, n k -> m n``"""

    root = "contract"

    def rewrite(self, op: Op) -> Value | None:
        column = _column_axis(op)
        return None if column is None else _integer_product(op, column)


def _integer_convolution(op: Op, x: Dequantised, weight: Value) -> Value:
    """The sum of the integers, zero points taken out."""
    window: dict[str, Any] = {name: op.attrs[name] for name in ("strides", "dilations", "pads")}
    if x.zero is None:
        return integer_convolution(x.narrow, weight, **window)
    known = uniform(x.zero)
    window["outside"] = None if known is None else int(known)
    return integer_convolution(x.narrow, weight, ops.reshape(x.zero, shape=()), **window)


def _integer_product(op: Op, column: int) -> Value | None:
    """Of rows [.., m, k] with a matrix whose axis ``column`` the result ends in."""
    x, weight = map(Dequantised.of, op.operands)
    if x is None or weight is None or x.scale.type.elements != 1 or x.narrow.type.rank < 2:
        return None
    extent = weight.narrow.type.shape[column]
    if weight.scale.type.elements != 1 and weight.scale.type.shape != ((extent, 1) if column == 0 else (1, extent)):
        return None
    narrow = weight.narrow if column == 1 else ops.transpose(weight.narrow, perm=(1, 0))
    zeros = [zero if zero is None else ops.reshape(zero, shape=()) for zero in (x.zero, weight.zero)]
    total = integer_product(x.narrow, narrow, *zeros)
    return _scaled(total, x, weight, extent, op)


def _scaled(total: Value, x: Dequantised, weight: Dequantised, channels: int, op: Op) -> Value:
    """By both scales; the weight's, where there are several, is put where the results' channels are."""
    each = ops.reshape(weight.scale, shape=(channels,) if weight.scale.type.elements > 1 else ())
    scale = ops.mul(ops.reshape(x.scale, shape=()), each)
    if scale.type.rank and op.name == "conv":
        scale = per_channel(scale, op.result.type.rank)
    return ops.mul(ops.cast(total, to=op.result.type.dtype), scale)


def _column_axis(op: Op) -> int | None:
    """Of a product of rows with a matrix, which of the matrix's axes the result ends in; None of other contractions."""
    notation = op.attrs["notation"]
    assert isinstance(notation, str)
    operands, _, result = notation.partition("->")
    lhs, rhs, out = (part.split() for part in (*operands.split(","), result))
    if not lhs or len(rhs) != 2 or lhs[-1] not in rhs:
        return None
    if len(out) != len(lhs) or out[:-1] != lhs[:-1] or out[-1] == lhs[-1]:
        return None
    return rhs.index(out[-1]) if out[-1] in rhs else None


PRODUCTS = frozenset({"conv", "conv_transpose", "matmul", "contract"})


def dequantised_products(module: Module) -> tuple[int, int, str]:
    """How many products of two dequantised tensors there are, how many the pass takes, and their format as they are."""
    patterns = {pattern.root: pattern for pattern in IntegerProducts().patterns()}
    found = [op for op in module.walk() if op.name in PRODUCTS and all(map(Dequantised.of, op.operands))]
    taken = [op for op in found if op.name in patterns and patterns[op.name].rewrite(op) is not None]
    return len(found), len(taken), str(found[0].result.type.dtype) if found else ""


@register_pass("integer-products")
@dataclass(frozen=True, slots=True)
class IntegerProducts(Pass):
    """Multiply the integers of dequantised tensors (QDQ), as runtimes with integer kernels do.

    Results differ by rounding.
    """

    def patterns(self) -> tuple[RewritePattern, ...]:
        return IntegerConvolution(), IntegerMatmul(), IntegerContraction()
