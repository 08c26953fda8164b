"""Recognises softmax and norms that are written out as simpler ops."""

from __future__ import annotations

import math

from ircost.ir import ops
from ircost.ir.attributes import int_of, ints_of
from ircost.ir.graph import Op, Value
from ircost.ir.rewrite import RewritePattern
from ircost.ir.types import TensorType
from ircost.passes.match import Form, Match, Number, Operand, call, is_near, one_of, product, reshaped, total
from ircost.passes.recognise_activations import FormPattern

X, SCALE, BIAS = Operand("x"), Operand("scale"), Operand("bias")
NOTHING = Number(0.0)


def mean(of: Form) -> Form:
    """The mean, or the sum times ``share``, which is one over the count; the axis stays as 1."""
    sums = product(reshaped(call("reduce_sum", of)), times="share")
    return one_of(reshaped(call("reduce_mean", of)), reshaped(sums))


def by_deviation(variance: Form, *terms: Form) -> Form:
    """The product of ``terms`` over sqrt(variance + epsilon)."""
    inside = reshaped(total(reshaped(variance), plus="epsilon"))
    return one_of(product(*terms, by=[call("sqrt", inside)]), product(*terms, call("rsqrt", inside)))


CENTRED = total(X, less=[mean(X)])
SPREAD = total(mean(product(X, X)), less=[product(mean(X), mean(X))])  # mean(x^2) - mean(x)^2
VARIANCE = one_of(mean(product(CENTRED, CENTRED)), SPREAD, call("maximum", SPREAD, NOTHING))


class WrittenSoftmax(FormPattern):
    """exp(x - max(x)) / sum(exp(x - max(x)))  ->  softmax(x)"""

    root = "div"
    LARGEST = call("reduce_max", X)
    TOP = reshaped(one_of(LARGEST, call("maximum", LARGEST, Number(-math.inf))))
    POWERS = call("exp", total(X, less=[TOP]))
    forms = (product(POWERS, by=[reshaped(call("reduce_sum", POWERS))]),)

    def replacement(self, op: Op, found: Match) -> Value | None:
        x = found.values["x"]
        axes = reduced_axes(found, x)
        return ops.softmax(x, axis=axes[0]) if len(axes) == 1 and keeps_axis(found, x, axes[0]) else None


class WrittenLayerNorm(FormPattern):
    """(x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) scale + bias  ->  layer_norm(x, scale, bias)

    Also with mean(x^2) - mean(x)^2 as the variance, and as x s + (bias - mean(x) s) with s = scale / sqrt(..).
    """

    root = "add"
    FACTOR = by_deviation(VARIANCE, SCALE)
    forms = (
        total(by_deviation(VARIANCE, CENTRED, SCALE), BIAS),
        total(product(CENTRED, FACTOR), BIAS),
        total(product(X, FACTOR), BIAS, less=[product(mean(X), FACTOR)]),
    )

    def replacement(self, op: Op, found: Match) -> Value | None:
        x = found.values["x"]
        scale, bias = (row_of(found.values[name], x) for name in ("scale", "bias"))
        if not is_over_last_axis(found, x) or scale is None or bias is None:
            return None
        return ops.layer_norm(x, scale, bias, axis=x.type.rank - 1, epsilon=found.numbers["epsilon"])


def row_of(value: Value, x: Value) -> Value | None:
    """A value [c], or [1, .., 1, c], as [c] for x [.., c]; None for any other."""
    wide = x.type.shape[-1]
    if value.type.shape == (wide,):
        return value
    is_row = value.type.elements == wide and value.type.shape[-1:] == (wide,) and value.type.rank <= x.type.rank
    return ops.reshape(value, shape=(wide,)) if is_row else None


class WrittenGroupNorm(FormPattern):
    """reshape(group_norm(reshape(x), 1, 0)) scale + bias  ->  group_norm(x, scale, bias): as torch writes it"""

    root = "add"
    INNER = call("group_norm", call("reshape", X), Number(1.0), NOTHING)
    forms = (total(product(call("reshape", INNER), SCALE), BIAS),)

    def replacement(self, op: Op, found: Match) -> Value | None:
        x = found.values["x"]
        norm = next(inner for inner in found.inner if inner.name == "group_norm")
        groups = int_of(norm.attrs, "groups")
        scale, bias = (channels_of(found.values[name], x) for name in ("scale", "bias"))
        n, split, *_ = norm.operands[0].type.shape
        if x.type != op.result.type or (n, split) != (x.type.shape[0], groups) or scale is None or bias is None:
            return None
        return ops.group_norm(x, scale, bias, groups=groups, epsilon=norm.attrs["epsilon"])


def channels_of(value: Value, x: Value) -> Value | None:
    """A value [1, c, 1, ..], which may lack axes in front, as [c] for x [n, c, ..]; None for any other."""
    rank, channels = x.type.rank, x.type.shape[1]
    shape = (1,) * (rank - value.type.rank) + value.type.shape
    if shape != (1, channels, *(1 for _ in range(rank - 2))):
        return None
    return ops.reshape(value, shape=(channels,))


class WrittenRmsNorm(FormPattern):
    """x / sqrt(mean(x^2) + epsilon) scale  ->  rms_norm(x, scale); without a scale rms_norm(x, 1)"""

    root = ("mul", "div")
    forms = (by_deviation(mean(product(X, X)), X, SCALE), by_deviation(mean(product(X, X)), X))

    def replacement(self, op: Op, found: Match) -> Value | None:
        x = found.values["x"]
        scale = row_of(found.values["scale"], x) if "scale" in found.values else ones_of(x)
        if not is_over_last_axis(found, x) or scale is None or is_centred(x) or x.type != op.result.type:
            return None
        return ops.rms_norm(x, scale, axis=x.type.rank - 1, epsilon=found.numbers["epsilon"])


class ScaledRmsNorm(FormPattern):
    """rms_norm(x, 1) scale  ->  rms_norm(x, scale)"""

    root = "mul"
    forms = (product(call("rms_norm", X, Number(1.0)), SCALE),)

    def replacement(self, op: Op, found: Match) -> Value | None:
        x, scale = found.values["x"], row_of(found.values["scale"], found.values["x"])
        if scale is None or x.type != op.result.type:
            return None
        norm = next(inner for inner in found.inner if inner.name == "rms_norm")
        return ops.rms_norm(x, scale, axis=norm.attrs["axis"], epsilon=norm.attrs["epsilon"])


def ones_of(x: Value) -> Value:
    return ops.splat(1.0, TensorType((x.type.shape[-1],), x.type.dtype))


def is_centred(x: Value) -> bool:
    """Whether x is something less its mean: this is the inside of a layer norm."""
    return next(CENTRED.matches(x, Match()), None) is not None


def is_over_last_axis(found: Match, x: Value) -> bool:
    """Whether every mean of a match is over the last axis, and epsilon is small: not a mean of something else."""
    last = x.type.rank - 1
    is_mean = is_near(found.numbers.get("share", 1 / x.type.shape[last]), 1 / x.type.shape[last])
    return (
        reduced_axes(found, x) == [last]
        and keeps_axis(found, x, last)
        and is_mean
        and 0 < found.numbers["epsilon"] < 0.1
    )


def keeps_axis(found: Match, x: Value, axis: int) -> bool:
    """Whether what the reductions of a match give lines up with x again: that axis is 1, all others stay."""
    kept = (*x.type.shape[:axis], 1, *x.type.shape[axis + 1 :])
    inner = set(found.inner)
    dropped = [op for op in inner if op.name.startswith("reduce_") and not op.attrs["keepdims"]]
    restored = [op for op in inner if op.name == "reshape" and op.result.type.shape == kept]
    return len(dropped) <= len(restored)


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
    *(WrittenSoftmax, WrittenLayerNorm, WrittenRmsNorm, ScaledRmsNorm, WrittenGroupNorm),
)
