"""Arithmetic over params and dims: ``4*width``, ``max(8, out//16)``. Files come from anyone: nothing is executed."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import TypeAlias

from ircost.ir.errors import did_you_mean

Number: TypeAlias = int | float

MAX_LENGTH = 200  # characters: keeps Python's parser far from the end of its stack
MAX_MAGNITUDE = 1 << 62

BINARY: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda lhs, rhs: exact_quotient(lhs, rhs),
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: lambda lhs, rhs: power(lhs, rhs),
}
FUNCTIONS: dict[str, Callable[..., Number]] = {
    "min": min,
    "max": max,
    "ceil": math.ceil,
    "floor": math.floor,
    "round": round,
    "sqrt": math.sqrt,
    "log2": math.log2,
}


def evaluate(text: str, names: Mapping[str, Number]) -> Number:
    """The value of an expression.

    Args:
        text: numbers, names, ``+ - * / // % **``, parentheses, and calls of ``FUNCTIONS``.
        names: params and dims.

    Raises:
        ValueError: it is none, uses a name that is not there, or has no value.

    >>> evaluate("max(8, 4*width // 3)", {"width": 64})
    85
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"an expression of {len(text)} characters, at most {MAX_LENGTH} are read")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        value = _value(tree, names)
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError(f"'{text}' is no number and no expression") from None
    except (ArithmeticError, TypeError) as error:
        raise ValueError(f"'{text}' has no value: {error}") from None
    return value


def _value(node: ast.expr, names: Mapping[str, Number]) -> Number:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return bounded(node.value)
    if isinstance(node, ast.Name):
        return _named(node.id, names)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, names)
    if isinstance(node, ast.BinOp) and type(node.op) in BINARY:
        return bounded(BINARY[type(node.op)](_value(node.left, names), _value(node.right, names)))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        if node.func.id not in FUNCTIONS:
            raise ValueError(f"no function '{node.func.id}'; {did_you_mean(node.func.id, FUNCTIONS)}")
        return bounded(FUNCTIONS[node.func.id](*(_value(argument, names) for argument in node.args)))
    raise ValueError(f"'{ast.unparse(node)}' is no number and no expression")


def _named(name: str, names: Mapping[str, Number]) -> Number:
    if name not in names:
        near = did_you_mean(name, names) if names else "there are none"
        raise ValueError(f"no param or dim '{name}'; {near}")
    return names[name]


def bounded(value: object) -> Number:
    if not isinstance(value, (int, float)) or abs(value) > MAX_MAGNITUDE:
        raise ValueError("a number beyond 2**62")
    return value


def exact_quotient(lhs: Number, rhs: Number) -> Number:
    """Whole where it comes out even, so that ``width / 2`` may be an extent."""
    if isinstance(lhs, int) and isinstance(rhs, int) and rhs and lhs % rhs == 0:
        return lhs // rhs
    return lhs / rhs


def power(lhs: Number, rhs: Number) -> Number:
    if abs(rhs) > 64 or abs(lhs) > MAX_MAGNITUDE:
        raise ValueError("a power beyond 2**62")
    return bounded(lhs**rhs)
