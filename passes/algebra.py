"""Algebraic identities on element-wise ops."""

from __future__ import annotations

from dataclasses import dataclass

from ircost.ir import ops
from ircost.ir.graph import Op, Value
from ircost.ir.rewrite import RewritePattern
from ircost.ir.types import DType, NumberKind
from ircost.passes.base import Pass, register_pass
from ircost.passes.match import uniform


class _Neutral(RewritePattern):
    """x . neutral -> x, where the result has x's type."""

    neutral: float
    both_sides = False

    def rewrite(self, op: Op) -> Value | None:
        lhs, rhs = op.operands
        if lhs.type == op.result.type and uniform(rhs) == self.neutral:
            return lhs
        if self.both_sides and rhs.type == op.result.type and uniform(lhs) == self.neutral:
            return rhs
        return None


class AddZero(_Neutral):
    """x + 0  ->  x"""

    root, neutral, both_sides = "add", 0.0, True


class SubtractZero(_Neutral):
    """x - 0  ->  x"""

    root, neutral = "sub", 0.0


class MultiplyByOne(_Neutral):
    """x * 1  ->  x"""

    root, neutral, both_sides = "mul", 1.0, True


class DivideByOne(_Neutral):
    """x / 1  ->  x"""

    root, neutral = "div", 1.0


class PowerOfOne(_Neutral):
    """x ** 1  ->  x"""

    root, neutral = "pow", 1.0


class PowerOfTwo(RewritePattern):
    """x ** 2  ->  x * x"""

    root = "pow"

    def rewrite(self, op: Op) -> Value | None:
        base, exponent = op.operands
        return ops.mul(base, base) if uniform(exponent) == 2.0 and base.type == op.result.type else None


class PowerOfHalf(RewritePattern):
    """x ** 0.5  ->  sqrt(x)"""

    root = "pow"

    def rewrite(self, op: Op) -> Value | None:
        base, exponent = op.operands
        is_root = uniform(exponent) == 0.5 and base.type == op.result.type and base.type.dtype.is_float
        return ops.sqrt(base) if is_root else None


class DoubleInverse(RewritePattern):
    """f(f(x))  ->  x, for f that undoes itself: neg, not"""

    root = ("neg", "logical_not")

    def rewrite(self, op: Op) -> Value | None:
        inner = op.operands[0].producer
        return inner.operands[0] if inner is not None and inner.name == op.name else None


class Idempotent(RewritePattern):
    """f(f(x))  ->  f(x), for f that changes nothing the second time: relu, abs, floor, ceil, round, sign"""

    root = ("relu", "abs", "floor", "ceil", "round", "sign")

    def rewrite(self, op: Op) -> Value | None:
        inner = op.operands[0].producer
        return op.operands[0] if inner is not None and inner.name == op.name else None


class SameTwice(RewritePattern):
    """f(x, x)  ->  x, for f in max, min, and, or"""

    root = ("maximum", "minimum", "logical_and", "logical_or")

    def rewrite(self, op: Op) -> Value | None:
        lhs, rhs = op.operands
        return lhs if lhs is rhs else None


class WhereConstant(RewritePattern):
    """where(true, x, y)  ->  x;  where(false, x, y)  ->  y;  where(c, x, x)  ->  x"""

    root = "where"

    def rewrite(self, op: Op) -> Value | None:
        condition, x, y = op.operands
        chosen = x if x is y else {1.0: x, 0.0: y, None: None}[uniform(condition)]
        return chosen if chosen is not None and chosen.type == op.result.type else None


class CastToSame(RewritePattern):
    """cast(x) to the format of x  ->  x"""

    root = "cast"

    def rewrite(self, op: Op) -> Value | None:
        return op.operands[0] if op.operands[0].type == op.result.type else None


class CastOfCast(RewritePattern):
    """cast(cast(x, a), b)  ->  cast(x, b), where a holds every value of x's format"""

    root = "cast"

    def rewrite(self, op: Op) -> Value | None:
        inner = op.operands[0].producer
        if inner is None or inner.name != "cast":
            return None
        source = inner.operands[0]
        if not holds_all(inner.result.type.dtype, source.type.dtype):
            return None
        return ops.cast(source, to=op.result.type.dtype)


def holds_all(wide: DType, narrow: DType) -> bool:
    """Whether every value of ``narrow`` is one of ``wide``."""
    if wide == narrow:
        return True
    if wide.name.endswith("fnuz"):
        return False  # -0 becomes 0
    if narrow.kind is NumberKind.BOOL:
        return wide.name != "f8e8m0"  # powers of two only: there is no 0
    if narrow.is_float:
        fits = wide.exponent_bits >= narrow.exponent_bits and wide.mantissa_bits >= narrow.mantissa_bits
        return (
            wide.is_float and fits and narrow.name != "f8e4m3" and narrow.name != "f8e8m0" and wide.bits > narrow.bits
        )
    digits = narrow.bits - int(narrow.kind is NumberKind.SIGNED)
    if wide.is_float:
        return wide.mantissa_bits + 1 >= digits and wide.exponent_bits >= 8
    return wide.is_integer and wide.bits > narrow.bits and (wide.is_signed or not narrow.is_signed)


ALGEBRA: tuple[type[RewritePattern], ...] = (
    *(AddZero, SubtractZero, MultiplyByOne, DivideByOne, PowerOfOne, PowerOfTwo, PowerOfHalf),
    *(DoubleInverse, Idempotent, SameTwice, WhereConstant, CastToSame, CastOfCast),
)


@register_pass("algebra")
@dataclass(frozen=True, slots=True)
class Algebra(Pass):
    """Drop and simplify element-wise ops by algebraic identities; each saves a kernel."""

    def patterns(self) -> tuple[RewritePattern, ...]:
        return tuple(pattern() for pattern in ALGEBRA)
