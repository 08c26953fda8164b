"""Element-wise ops: operands broadcast as in NumPy, one result element per point."""

from __future__ import annotations

import math

from ircost.ir.graph import Value
from ircost.ir.scalar import Scalar, call
from ircost.ir.structured import structured_op
from ircost.ir.types import DType

UNARY = "... -> ..."
BINARY = "..., ... -> ..."
TERNARY = "..., ..., ... -> ..."


# ---- inverses: an operand out of the result and the other one


def _lhs_of_sum(y: Value, lhs: Value, rhs: Value) -> Value:
    return sub(y, rhs)


def _rhs_of_sum(y: Value, lhs: Value, rhs: Value) -> Value:
    return sub(y, lhs)


def _lhs_of_difference(y: Value, lhs: Value, rhs: Value) -> Value:
    return add(y, rhs)


def _rhs_of_difference(y: Value, lhs: Value, rhs: Value) -> Value:
    return sub(lhs, y)


def _negated_back(y: Value, x: Value) -> Value:
    return neg(y)


# ---- arithmetic


@structured_op(
    BINARY,
    types="N, N -> N",
    commutative=True,
    inverses=(_lhs_of_sum, _rhs_of_sum),
)
def add(lhs: Scalar, rhs: Scalar) -> Scalar:
    """lhs + rhs. Source: ONNX Add-14."""
    return lhs + rhs


@structured_op(
    BINARY,
    types="N, N -> N",
    inverses=(_lhs_of_difference, _rhs_of_difference),
)
def sub(lhs: Scalar, rhs: Scalar) -> Scalar:
    """lhs - rhs. Source: ONNX Sub-14."""
    return lhs - rhs


@structured_op(BINARY, types="N, N -> N", commutative=True)
def mul(lhs: Scalar, rhs: Scalar) -> Scalar:
    """lhs * rhs. Source: ONNX Mul-14."""
    return lhs * rhs


@structured_op(BINARY, types="N, N -> N")
def div(lhs: Scalar, rhs: Scalar) -> Scalar:
    """lhs / rhs; of integers, rounded towards zero. Source: ONNX Div-14."""
    return lhs / rhs


@structured_op(BINARY, types="N, N -> N")
def mod(lhs: Scalar, rhs: Scalar) -> Scalar:
    """Remainder with the sign of the divisor. Source: ONNX Mod-13 with fmod = 0."""
    return call("mod", lhs, rhs)


@structured_op(BINARY, types="N, N -> N")
def fmod(lhs: Scalar, rhs: Scalar) -> Scalar:
    """Remainder with the sign of the dividend. Source: ONNX Mod-13 with fmod = 1."""
    return call("fmod", lhs, rhs)


@structured_op(BINARY, types="N, N1 -> N")
def pow(base: Scalar, exponent: Scalar) -> Scalar:
    """base ** exponent, in the format of the base. Source: ONNX Pow-15."""
    return call("pow", base, exponent)


@structured_op(BINARY, types="N, N -> N", commutative=True)
def maximum(lhs: Scalar, rhs: Scalar) -> Scalar:
    """The larger one; NaN if either is. Source: ONNX Max-13."""
    return call("max", lhs, rhs)


@structured_op(BINARY, types="N, N -> N", commutative=True)
def minimum(lhs: Scalar, rhs: Scalar) -> Scalar:
    """The smaller one; NaN if either is. Source: ONNX Min-13."""
    return call("min", lhs, rhs)


@structured_op(UNARY, types="N -> N", inverses=(_negated_back,))
def neg(x: Scalar) -> Scalar:
    """-x. Source: ONNX Neg-13."""
    return -x


@structured_op(UNARY, types="N -> N")
def abs(x: Scalar) -> Scalar:
    """|x|. Source: ONNX Abs-13."""
    return call("abs", x)


@structured_op(UNARY, types="N -> N")
def sign(x: Scalar) -> Scalar:
    """-1, 0 or 1. Source: ONNX Sign-13."""
    return call("sign", x)


@structured_op(UNARY, types="F -> F")
def power_of_two_below(x: Scalar) -> Scalar:
    """The largest power of two that is not larger than x; of 0, infinities and NaN, themselves."""
    return call("power_of_two_below", x)


@structured_op(UNARY, types="F -> F")
def reciprocal(x: Scalar) -> Scalar:
    """1 / x. Source: ONNX Reciprocal-13."""
    return 1 / x


@structured_op(UNARY, types="F -> F")
def floor(x: Scalar) -> Scalar:
    """Largest integer not above x. Source: ONNX Floor-13."""
    return call("floor", x)


@structured_op(UNARY, types="F -> F")
def ceil(x: Scalar) -> Scalar:
    """Smallest integer not below x. Source: ONNX Ceil-13."""
    return call("ceil", x)


@structured_op(UNARY, types="F -> F")
def round(x: Scalar) -> Scalar:
    """Nearest integer, ties to even. Source: ONNX Round-22."""
    return call("round", x)


# ---- transcendental


@structured_op(UNARY, types="F -> F")
def exp(x: Scalar) -> Scalar:
    """e ** x. Source: ONNX Exp-13."""
    return call("exp", x)


@structured_op(UNARY, types="F -> F")
def log(x: Scalar) -> Scalar:
    """Natural logarithm. Source: ONNX Log-13."""
    return call("log", x)


@structured_op(UNARY, types="F -> F")
def sqrt(x: Scalar) -> Scalar:
    """Square root. Source: ONNX Sqrt-13."""
    return call("sqrt", x)


@structured_op(UNARY, types="F -> F")
def rsqrt(x: Scalar) -> Scalar:
    """1 / sqrt(x)."""
    return 1 / call("sqrt", x)


@structured_op(UNARY, types="F -> F")
def erf(x: Scalar) -> Scalar:
    """The error function. Source: ONNX Erf-13."""
    return call("erf", x)


@structured_op(UNARY, types="F -> F")
def tanh(x: Scalar) -> Scalar:
    """Hyperbolic tangent. Source: ONNX Tanh-13."""
    return call("tanh", x)


@structured_op(UNARY, types="F -> F")
def sin(x: Scalar) -> Scalar:
    """Sine of radians. Source: ONNX Sin-22."""
    return call("sin", x)


@structured_op(UNARY, types="F -> F")
def cos(x: Scalar) -> Scalar:
    """Cosine of radians. Source: ONNX Cos-22."""
    return call("cos", x)


@structured_op(UNARY, types="F -> F")
def tan(x: Scalar) -> Scalar:
    """Tangent of radians. Source: ONNX Tan-22."""
    return call("tan", x)


@structured_op(UNARY, types="F -> F")
def asin(x: Scalar) -> Scalar:
    """Arc sine. Source: ONNX Asin-22."""
    return call("asin", x)


@structured_op(UNARY, types="F -> F")
def acos(x: Scalar) -> Scalar:
    """Arc cosine. Source: ONNX Acos-22."""
    return call("acos", x)


@structured_op(UNARY, types="F -> F")
def atan(x: Scalar) -> Scalar:
    """Arc tangent. Source: ONNX Atan-22."""
    return call("atan", x)


@structured_op(UNARY, types="F -> F")
def sinh(x: Scalar) -> Scalar:
    """Hyperbolic sine. Source: ONNX Sinh-22."""
    return call("sinh", x)


@structured_op(UNARY, types="F -> F")
def cosh(x: Scalar) -> Scalar:
    """Hyperbolic cosine. Source: ONNX Cosh-22."""
    return call("cosh", x)


@structured_op(UNARY, types="F -> F")
def asinh(x: Scalar) -> Scalar:
    """Inverse hyperbolic sine. Source: ONNX Asinh-22."""
    return call("asinh", x)


@structured_op(UNARY, types="F -> F")
def acosh(x: Scalar) -> Scalar:
    """Inverse hyperbolic cosine. Source: ONNX Acosh-22."""
    return call("acosh", x)


@structured_op(UNARY, types="F -> F")
def atanh(x: Scalar) -> Scalar:
    """Inverse hyperbolic tangent. Source: ONNX Atanh-22."""
    return call("atanh", x)


# ---- activations


@structured_op(UNARY, types="N -> N")
def relu(x: Scalar) -> Scalar:
    """max(x, 0). Source: ONNX Relu-14."""
    return call("max", x, 0)


@structured_op(UNARY, types="F -> F")
def leaky_relu(x: Scalar, *, alpha: float = 0.01) -> Scalar:
    """x where x >= 0, alpha * x below. Source: ONNX LeakyRelu-16."""
    return call("where", x >= 0, x, x * alpha)


@structured_op(BINARY, types="N, N -> N")
def prelu(x: Scalar, slope: Scalar) -> Scalar:
    """x where x >= 0, slope * x below. Source: ONNX PRelu-16; slope is broadcast to x."""
    return call("where", x >= 0, x, x * slope)


@structured_op(UNARY, types="F -> F")
def elu(x: Scalar, *, alpha: float = 1.0) -> Scalar:
    """x where x >= 0, alpha * (exp(x) - 1) below. Source: ONNX Elu-22."""
    return call("where", x >= 0, x, alpha * (call("exp", call("min", x, 0)) - 1))


@structured_op(UNARY, types="F -> F")
def softplus(x: Scalar) -> Scalar:
    """log(1 + exp(x)), without overflow. Source: ONNX Softplus-22."""
    return call("max", x, 0) + call("log1p", call("exp", -call("abs", x)))


@structured_op(UNARY, types="F -> F")
def sigmoid(x: Scalar) -> Scalar:
    """1 / (1 + exp(-x)). Source: ONNX Sigmoid-13."""
    return 1 / (1 + call("exp", -x))


@structured_op(UNARY, types="F -> F")
def hard_sigmoid(x: Scalar, *, alpha: float = 0.2, beta: float = 0.5) -> Scalar:
    """max(0, min(1, alpha * x + beta)). Source: ONNX HardSigmoid-22."""
    return call("max", call("min", x * alpha + beta, 1), 0)


@structured_op(UNARY, types="F -> F")
def hard_swish(x: Scalar) -> Scalar:
    """x * max(0, min(1, x / 6 + 1/2)). Source: ONNX HardSwish-22."""
    return x * call("max", call("min", x * (1 / 6) + 0.5, 1), 0)


@structured_op(UNARY, types="F -> F")
def silu(x: Scalar) -> Scalar:
    """x * sigmoid(x). Source: Elfwing, Uchibe, Doya 2018; ONNX Swish-24 with alpha = 1."""
    return x / (1 + call("exp", -x))


@structured_op(UNARY, types="F -> F")
def quick_gelu(x: Scalar) -> Scalar:
    """x * sigmoid(1.702 x). Source: Hendrycks, Gimpel 2016; com.microsoft::QuickGelu-1."""
    return x / (1 + call("exp", -1.702 * x))


@structured_op(BINARY, types="F, F -> F")
def swiglu(gate: Scalar, up: Scalar) -> Scalar:
    """silu(gate) * up. Source: Shazeer, "GLU Variants Improve Transformer", 2020; ONNX SwiGLU."""
    return gate / (1 + call("exp", -gate)) * up


@structured_op(UNARY, types="F -> F")
def gelu(x: Scalar) -> Scalar:
    """x * Phi(x) with the normal distribution's Phi, by erf. Source: Hendrycks, Gimpel 2016; ONNX Gelu-20."""
    return 0.5 * x * (1 + call("erf", x * math.sqrt(0.5)))


@structured_op(UNARY, types="F -> F")
def gelu_tanh(x: Scalar) -> Scalar:
    """GELU's tanh approximation. Source: Hendrycks, Gimpel 2016; ONNX Gelu-20 with approximate = tanh."""
    cubic = x + 0.044715 * (x * x * x)
    return 0.5 * x * (1 + call("tanh", math.sqrt(2 / math.pi) * cubic))


# ---- comparison, logic, choice


@structured_op(BINARY, types="T, T -> bool", commutative=True)
def equal(lhs: Scalar, rhs: Scalar) -> Scalar:
    """lhs == rhs. Source: ONNX Equal-19."""
    return call("eq", lhs, rhs)


@structured_op(BINARY, types="T, T -> bool", commutative=True)
def not_equal(lhs: Scalar, rhs: Scalar) -> Scalar:
    """lhs != rhs."""
    return call("ne", lhs, rhs)


@structured_op(BINARY, types="N, N -> bool")
def less(lhs: Scalar, rhs: Scalar) -> Scalar:
    """lhs < rhs. Source: ONNX Less-13."""
    return lhs < rhs


@structured_op(BINARY, types="N, N -> bool")
def less_equal(lhs: Scalar, rhs: Scalar) -> Scalar:
    """lhs <= rhs. Source: ONNX LessOrEqual-16."""
    return lhs <= rhs


@structured_op(BINARY, types="N, N -> bool")
def greater(lhs: Scalar, rhs: Scalar) -> Scalar:
    """lhs > rhs. Source: ONNX Greater-13."""
    return lhs > rhs


@structured_op(BINARY, types="N, N -> bool")
def greater_equal(lhs: Scalar, rhs: Scalar) -> Scalar:
    """lhs >= rhs. Source: ONNX GreaterOrEqual-16."""
    return lhs >= rhs


@structured_op(BINARY, types="bool, bool -> bool", commutative=True)
def logical_and(lhs: Scalar, rhs: Scalar) -> Scalar:
    """Both. Source: ONNX And-7."""
    return call("and", lhs, rhs)


@structured_op(BINARY, types="bool, bool -> bool", commutative=True)
def logical_or(lhs: Scalar, rhs: Scalar) -> Scalar:
    """Either or both. Source: ONNX Or-7."""
    return call("or", lhs, rhs)


@structured_op(BINARY, types="bool, bool -> bool", commutative=True)
def logical_xor(lhs: Scalar, rhs: Scalar) -> Scalar:
    """One but not both. Source: ONNX Xor-7."""
    return call("xor", lhs, rhs)


@structured_op(UNARY, types="bool -> bool")
def logical_not(x: Scalar) -> Scalar:
    """The opposite. Source: ONNX Not-1."""
    return call("not", x)


@structured_op(UNARY, types="F -> bool")
def isnan(x: Scalar) -> Scalar:
    """Whether x is not a number. Source: ONNX IsNaN-20."""
    return call("isnan", x)


@structured_op(UNARY, types="F -> bool")
def isinf(x: Scalar) -> Scalar:
    """Whether x is infinite, of either sign. Source: ONNX IsInf-20."""
    return call("isinf", x)


@structured_op(TERNARY, types="bool, T, T -> T")
def where(condition: Scalar, x: Scalar, y: Scalar) -> Scalar:
    """x where the condition holds, else y. Source: ONNX Where-16."""
    return call("where", condition, x, y)


@structured_op(UNARY, types="T -> to")
def cast(x: Scalar, *, to: DType) -> Scalar:
    """x in another number format: floats round to nearest even, floats to integers truncate. Source: ONNX Cast-25."""
    return x


def as_format(x: Value, dtype: DType) -> Value:
    """A value in a number format: itself where it is in that already, else a new, detached `cast`."""
    return x if x.type.dtype == dtype else cast(x, to=dtype)
