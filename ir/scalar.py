"""Scalar bodies: what a structured op does at one point of its iteration space.

A body is a Python function of `Scalar`s. It is run once, when the op is declared, and leaves an expression, off which
operation counts and the NumPy meaning are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ircost.ir.errors import DeclarationError, did_you_mean

# Kinds of operation that are counted. A multiply-add is two flops, each other arithmetic one is one; `logic` is
# work, but not floating-point arithmetic.
KINDS = ("multiply_add", "add", "multiply", "divide", "transcendental", "compare", "logic")


@dataclass(frozen=True, slots=True)
class ScalarFunction:
    """One scalar function: its NumPy meaning, the kind it counts as, and how many arguments it takes."""

    apply: Callable[..., Any]
    kind: str
    arity: int


def divide(lhs: np.ndarray, rhs: np.ndarray) -> Any:
    """Division; of integers, rounded towards zero."""
    if np.issubdtype(np.result_type(lhs, rhs), np.integer):
        quotient = np.floor_divide(np.abs(lhs), np.maximum(np.abs(rhs), 1))
        return (quotient * np.sign(lhs) * np.sign(rhs)).astype(np.result_type(lhs, rhs))
    return np.true_divide(lhs, rhs)


def erf(x: np.ndarray) -> Any:
    """The error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    from scipy.special import erf as scipy_erf

    return scipy_erf(x)


def power_of_two_below(x: np.ndarray) -> Any:
    """The largest power of two that is not larger than x; of 0, infinities and NaN, themselves."""
    _, exponent = np.frexp(x)
    below = np.ldexp(np.ones_like(x), exponent - 1)
    return np.where(np.isfinite(x) & (x > 0), below, x)


def power(base: np.ndarray, exponent: np.ndarray) -> Any:
    """base ** exponent; of integers, negative exponents give what the real number is, cut towards 0.

    >>> int(power(np.array(-2), np.array(-1))), int(power(np.array(3), np.array(4)))
    (0, 81)
    """
    if base.dtype.kind in "iu" and exponent.dtype.kind == "i" and (exponent < 0).any():
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = np.power(base.astype(np.float64), exponent).astype(base.dtype)
        return np.where(exponent < 0, inverse, np.power(base, np.maximum(exponent, 0)))
    return np.power(base, exponent)


_FUNCTIONS: dict[str, dict[str, Callable[..., Any]]] = {
    "add": {"add": np.add, "sub": np.subtract, "neg": np.negative},
    "multiply": {"mul": np.multiply},
    "divide": {"div": divide, "mod": np.mod, "fmod": np.fmod},
    "transcendental": {
        **{"exp": np.exp, "log": np.log, "log1p": np.log1p, "sqrt": np.sqrt, "erf": erf, "pow": power},
        **{"sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan},
        **{"sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh},
        **{"asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh},
    },
    "compare": {
        **{"max": np.maximum, "min": np.minimum, "abs": np.abs, "sign": np.sign, "where": np.where},
        **{"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater},
        **{"ge": np.greater_equal, "isnan": np.isnan, "isinf": np.isinf},
        **{"floor": np.floor, "ceil": np.ceil, "round": np.rint},
    },
    "logic": {
        "power_of_two_below": power_of_two_below,
        **{"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor, "not": np.logical_not},
        **{"bit_and": np.bitwise_and, "bit_or": np.bitwise_or, "bit_xor": np.bitwise_xor},
        **{"bit_not": np.bitwise_not, "shift_left": np.left_shift, "shift_right": np.right_shift},
    },
}
# Of those that are no NumPy ufuncs, which know it themselves.
ARITIES = {"div": 2, "erf": 1, "pow": 2, "where": 3, "power_of_two_below": 1}
SCALAR_FUNCTIONS: dict[str, ScalarFunction] = {
    name: ScalarFunction(function, kind, ARITIES.get(name, getattr(function, "nin", 0)))
    for kind, functions in _FUNCTIONS.items()
    for name, function in functions.items()
}


@dataclass(frozen=True, slots=True, eq=False)
class Scalar:
    """A node of a scalar expression: an operand, an attribute, a number, or a function of others."""

    function: str  # a key of SCALAR_FUNCTIONS, or "operand", "attribute", "number"
    arguments: tuple[Scalar, ...] = ()
    value: int | float | bool | str = 0

    def __add__(self, other: ScalarLike) -> Scalar:
        return call("add", self, other)

    def __radd__(self, other: ScalarLike) -> Scalar:
        return call("add", other, self)

    def __sub__(self, other: ScalarLike) -> Scalar:
        return call("sub", self, other)

    def __rsub__(self, other: ScalarLike) -> Scalar:
        return call("sub", other, self)

    def __mul__(self, other: ScalarLike) -> Scalar:
        return call("mul", self, other)

    def __rmul__(self, other: ScalarLike) -> Scalar:
        return call("mul", other, self)

    def __truediv__(self, other: ScalarLike) -> Scalar:
        return call("div", self, other)

    def __rtruediv__(self, other: ScalarLike) -> Scalar:
        return call("div", other, self)

    def __neg__(self) -> Scalar:
        return call("neg", self)

    def __lt__(self, other: ScalarLike) -> Scalar:
        return call("lt", self, other)

    def __le__(self, other: ScalarLike) -> Scalar:
        return call("le", self, other)

    def __gt__(self, other: ScalarLike) -> Scalar:
        return call("gt", self, other)

    def __ge__(self, other: ScalarLike) -> Scalar:
        return call("ge", self, other)

    def __bool__(self) -> bool:
        raise TypeError('a scalar has no value yet, so nothing can hang on it: call("where", condition, x, y) chooses')

    def counts(self) -> dict[str, int]:
        """How many operations of each kind the expression holds; a sub-expression that is used twice counts once."""
        seen: dict[int, Scalar] = {}
        pending = [self]
        while pending:
            node = pending.pop()
            if id(node) not in seen:
                seen[id(node)] = node
                pending.extend(node.arguments)
        counts: dict[str, int] = {}
        for node in seen.values():
            if node.function in SCALAR_FUNCTIONS:
                kind = SCALAR_FUNCTIONS[node.function].kind
                counts[kind] = counts.get(kind, 0) + 1
        return counts

    def evaluate(self, operands: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> Any:
        """The expression's value, operands broadcast against each other."""
        if self.function == "operand":
            return operands[int(self.value)]
        if self.function == "attribute":
            return attributes[str(self.value)]
        if self.function == "number":
            return self.value
        arguments = [argument.evaluate(operands, attributes) for argument in self.arguments]
        return SCALAR_FUNCTIONS[self.function].apply(*arguments)


ScalarLike = Scalar | int | float | bool


def call(function: str, *arguments: ScalarLike) -> Scalar:
    """A scalar function applied: ``call("max", x, 0)``.

    Raises:
        DeclarationError: there is no such function, or it takes another number of arguments.
    """
    known = SCALAR_FUNCTIONS.get(function)
    if known is None:
        near = did_you_mean(function, SCALAR_FUNCTIONS, "ircost.ir.scalar.SCALAR_FUNCTIONS lists all")
        raise DeclarationError(f"no scalar function '{function}'", help=near)
    if len(arguments) != known.arity:
        written = ", ".join("xyz"[: known.arity])
        raise DeclarationError(
            f"scalar function '{function}' is given {len(arguments)} arguments, it takes {known.arity}",
            help=f'write call("{function}", {written})',
        )
    return Scalar(function, tuple(a if isinstance(a, Scalar) else Scalar("number", value=a) for a in arguments))


def operand(position: int) -> Scalar:
    """The element of the operand at this position."""
    return Scalar("operand", value=position)


def attribute(name: str) -> Scalar:
    """The value of the op's attribute."""
    return Scalar("attribute", value=name)
