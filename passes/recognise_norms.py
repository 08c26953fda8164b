"""Softmax and the norms that somebody wrote out, as the composites that they are."""

from __future__ import annotations

from ircost.ir import ops
from ircost.ir.attributes import int_of, ints_of
from ircost.ir.constant import Splat
from ircost.ir.graph import Op, Value
from ircost.ir.rewrite import RewritePattern
from ircost.ir.types import TensorType
from ircost.passes.match import Form, Match, Operand, call, product, total
from ircost.passes.recognise_activations import FormPattern

X, SCALE, BIAS = Operand("x"), Operand("scale"), Operand("bias")


def mean(of: Form) -> Form:
    return call("reduce_mean", of, keepdims=True)


def deviation(of: Form) -> Form:
    """sqrt(mean(x^2) + epsilon)"""
    return call("sqrt", total(mean(product(of, of)), plus="epsilon"))


CENTRED = total(X, less=[mean(X)])


class WrittenSoftmax(FormPattern):
    """exp(x - max(x)) / sum(exp(x - max(x)))  ->  softmax(x)"""

    root = "div"
    POWERS = call("exp", total(X, less=[call("reduce_max", X, keepdims=True)]))
    forms = (product(POWERS, by=[call("reduce_sum", POWERS, keepdims=True)]),)

    def replacement(self, op: Op, found: Match) -> Value | None:
        axes = reduced_axes(found, found.values["x"])
        return ops.softmax(found.values["x"], axis=axes[0]) if len(axes) == 1 else None


class WrittenLayerNorm(FormPattern):
    """(x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) scale + bias  ->  layer_norm(x, scale, bias)"""

    root = "add"
    forms = (total(product(CENTRED, SCALE, by=[deviation(CENTRED)]), BIAS),)

    def replacement(self, op: Op, found: Match) -> Value | None:
        x, scale, bias = (found.values[name] for name in ("x", "scale", "bias"))
        wide = (x.type.shape[-1],)
        if not is_over_last_axis(found, x) or scale.type.shape != wide or bias.type.shape != wide:
            return None
        return ops.layer_norm(x, scale, bias, axis=x.type.rank - 1, epsilon=found.numbers["epsilon"])


class WrittenRmsNorm(FormPattern):
    """x / sqrt(mean(x^2) + epsilon) scale  ->  rms_norm(x, scale)"""

    root = ("mul", "div")
    forms = (product(X, SCALE, by=[deviation(X)]), product(X, SCALE, call("rsqrt", deviation(X))))

    def replacement(self, op: Op, found: Match) -> Value | None:
        x, scale = found.values["x"], found.values["scale"]
        if not is_over_last_axis(found, x) or scale.type.shape != (x.type.shape[-1],) or is_centred(x):
            return None
        return ops.rms_norm(x, scale, axis=x.type.rank - 1, epsilon=found.numbers["epsilon"])


class WrittenRmsNormWithoutScale(FormPattern):
    """cast(x / sqrt(mean(x^2) + epsilon))  ->  cast(rms_norm(x, 1)): half precision, whose scale follows the cast"""

    root = "cast"
    forms = (call("cast", product(X, by=[deviation(X)])),)

    def replacement(self, op: Op, found: Match) -> Value | None:
        x = found.values["x"]
        if not is_over_last_axis(found, x) or is_centred(x):
            return None
        ones = ops.constant.create(
            (), {"value": Splat(1.0)}, result_types=(TensorType((x.type.shape[-1],), x.type.dtype),)
        ).result
        normed = ops.rms_norm(x, ones, axis=x.type.rank - 1, epsilon=found.numbers["epsilon"])
        return ops.cast(normed, to=op.result.type.dtype)


def is_centred(x: Value) -> bool:
    """Whether x is something less its mean: this is the inside of a layer norm."""
    return next(CENTRED.matches(x, Match()), None) is not None


def is_over_last_axis(found: Match, x: Value) -> bool:
    """Whether every mean of a match is over the last axis, and epsilon is small: not a mean of something else."""
    return reduced_axes(found, x) == [x.type.rank - 1] and 0 < found.numbers["epsilon"] < 0.1


def reduced_axes(found: Match, x: Value) -> list[int]:
    """Axes that the reductions of a match are over; more than one where they differ."""
    axes: set[int] = set()
    for op in found.inner:
        if op.name.startswith("reduce_"):
            axes.update(axis % x.type.rank for axis in ints_of(op.attrs, "axes"))
    return sorted(axes)


def softmax_axis(op: Op) -> int:
    return int_of(op.attrs, "axis") % op.result.type.rank


NORMS: tuple[type[RewritePattern], ...] = (
    *(WrittenSoftmax, WrittenLayerNorm, WrittenRmsNorm, WrittenRmsNormWithoutScale),
)
