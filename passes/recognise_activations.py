"""Recognises activations that are written out as simpler ops."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ircost.ir import ops
from ircost.ir.graph import Op, Value
from ircost.ir.rewrite import RewritePattern
from ircost.passes.match import Form, Match, Number, Operand, call, match, one_of, product, total

X, UP = Operand("x"), Operand("up")


class FormPattern(RewritePattern):
    """A pattern that is a list of forms, and what they all stand for."""

    forms: Sequence[Form]

    def rewrite(self, op: Op) -> Value | None:
        for form in self.forms:
            found = match(form, op.result)
            if found is not None:
                return self.replacement(op, found)
        return None

    def replacement(self, op: Op, found: Match) -> Value | None:
        """What stands for the form; None where something else speaks against it."""
        raise NotImplementedError


def unary(found: Match, op: Op, make: Callable[[Value], Value]) -> Value | None:
    """An element-wise function of x, where x has the type of the result."""
    x = found.values["x"]
    return make(x) if x.type == op.result.type and x.type.dtype.is_float else None


class WrittenSilu(FormPattern):
    """x sigmoid(x)  ->  silu(x)"""

    root = "mul"
    forms = (product(X, call("sigmoid", X)),)

    def replacement(self, op: Op, found: Match) -> Value | None:
        return unary(found, op, ops.silu)


class WrittenQuickGelu(FormPattern):
    """x sigmoid(1.702 x)  ->  quick_gelu(x)"""

    root = "mul"
    forms = (product(X, call("sigmoid", product(X, times=1.702))),)

    def replacement(self, op: Op, found: Match) -> Value | None:
        return unary(found, op, ops.quick_gelu)


class WrittenGelu(FormPattern):
    """x / 2 (1 + erf(x / sqrt(2)))  ->  gelu(x)"""

    root = ("mul", "div")
    forms = (product(X, total(call("erf", product(X, times=math.sqrt(0.5))), plus=1.0), times=0.5),)

    def replacement(self, op: Op, found: Match) -> Value | None:
        return unary(found, op, ops.gelu)


class WrittenGeluTanh(FormPattern):
    """x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))  ->  gelu_tanh(x)"""

    root = ("mul", "div")
    ROOT, CUBIC = math.sqrt(2 / math.pi), 0.044715
    ARGUMENTS = (
        product(total(X, product(call("pow", X, Number(3.0)), times=CUBIC)), times=ROOT),
        product(total(X, product(X, X, X, times=CUBIC)), times=ROOT),
        product(total(X, product(X, product(X, X), times=CUBIC)), times=ROOT),
        product(X, total(product(X, X, times=CUBIC), plus=1.0), times=ROOT),
    )
    forms = (product(X, total(call("tanh", one_of(*ARGUMENTS)), plus=1.0), times=0.5),)

    def replacement(self, op: Op, found: Match) -> Value | None:
        return unary(found, op, ops.gelu_tanh)


class WrittenHardSwish(FormPattern):
    """x min(max(x + 3, 0), 6) / 6, and x hard_sigmoid(x, 1/6, 1/2)  ->  hard_swish(x)"""

    root = ("mul", "div")
    forms = (
        product(X, call("minimum", call("maximum", total(X, plus=3.0), Number(0.0)), Number(6.0)), times=1 / 6),
        product(X, call("hard_sigmoid", X, alpha=1 / 6, beta=0.5)),
    )

    def replacement(self, op: Op, found: Match) -> Value | None:
        return unary(found, op, ops.hard_swish)


class WrittenSwiglu(FormPattern):
    """silu(gate) up  ->  swiglu(gate, up)"""

    root = "mul"
    forms = (product(call("silu", X), UP),)

    def replacement(self, op: Op, found: Match) -> Value | None:
        gate, up = found.values["x"], found.values["up"]
        return ops.swiglu(gate, up) if gate.type == up.type == op.result.type else None


ACTIVATIONS: tuple[type[RewritePattern], ...] = (
    *(WrittenSilu, WrittenQuickGelu, WrittenGelu, WrittenGeluTanh, WrittenHardSwish, WrittenSwiglu),
)
