"""Expressions to match values against, whatever the order in which operands were written down.

A form reads as its equation: ``product(x, call("sigmoid", x))``. Products and sums are compared as bags of factors and
addends, with their constants multiplied or added up.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ircost.ir import ops
from ircost.ir.constant import Splat, materialise
from ircost.ir.graph import Op, Value
from ircost.ir.types import TensorType

TOLERANCE = 1e-3  # relative: a constant in half precision has three digits
MOST_TERMS = 6
MOST_CONSTANTS = 6  # in one sum or product: `fold-constants` adds up what can be


@dataclass(frozen=True, slots=True)
class Match:
    """What a form was found to stand for.

    Args:
        values: operands by name.
        numbers: constants by name.
        inner: ops that the form covers.
    """

    values: Mapping[str, Value] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    inner: tuple[Op, ...] = ()

    def with_value(self, name: str, value: Value) -> Match | None:
        """None where the name stands for another value already."""
        if name in self.values:
            return self if self.values[name] is value else None
        return replace(self, values={**self.values, name: value})

    def with_number(self, name: str, number: float) -> Match:
        return replace(self, numbers={**self.numbers, name: number})

    def with_op(self, op: Op) -> Match:
        return replace(self, inner=(*self.inner, op))


class Form(ABC):
    @abstractmethod
    def matches(self, value: Value, found: Match) -> Iterator[Match]:
        """All ways in which ``value`` is of this form."""

    @property
    def heads(self) -> frozenset[str] | None:
        """Names of the ops that may make a value of this form; None where any may, or none."""
        return None

    def is_possible(self, value: Value) -> bool:
        """False where a glance at the value's producer tells that it is not of this form."""
        return True


def match(form: Form, value: Value) -> Match | None:
    """The first way in which a value is of a form whose inside nobody else reads; None if there is none."""
    if not form.is_possible(value):
        return None
    return next((found for found in form.matches(value, Match()) if is_closed(found, value)), None)


def is_closed(found: Match, root: Value) -> bool:
    """Whether only the ops of a match read what the others of them make."""
    inner = set(found.inner)
    return all(
        user in inner
        for op in found.inner
        if op is not root.producer
        for result in op.results
        for user, _ in result.uses
    )


@dataclass(frozen=True, slots=True)
class Operand(Form):
    """Any value; the same one wherever the name occurs."""

    name: str

    def matches(self, value: Value, found: Match) -> Iterator[Match]:
        bound = found.with_value(self.name, value)
        if bound is not None:
            yield bound


@dataclass(frozen=True, slots=True)
class Number(Form):
    """A constant whose elements are all one number: this one, or any if it only has a name."""

    value: float | None = None
    name: str = ""

    def matches(self, value: Value, found: Match) -> Iterator[Match]:
        number = uniform(value)
        if number is None or (self.value is not None and not is_near(number, self.value)):
            return
        yield found.with_number(self.name, number) if self.name else found


@dataclass(frozen=True, slots=True)
class OneOf(Form):
    """Any of several ways to write the same."""

    forms: tuple[Form, ...]

    @property
    def heads(self) -> frozenset[str] | None:
        heads = [form.heads for form in self.forms]
        return None if None in heads else frozenset().union(*(names for names in heads if names is not None))

    def matches(self, value: Value, found: Match) -> Iterator[Match]:
        for form in self.forms:
            yield from form.matches(value, found)


@dataclass(frozen=True, slots=True)
class Call(Form):
    """An op of one of these names; attributes as given, floats about so."""

    names: tuple[str, ...]
    operands: tuple[Form, ...]
    attributes: tuple[tuple[str, object], ...] = ()

    @property
    def heads(self) -> frozenset[str] | None:
        return frozenset(self.names)

    def matches(self, value: Value, found: Match) -> Iterator[Match]:
        op = value.producer
        if op is None or op.name not in self.names or len(op.operands) != len(self.operands):
            return
        if not all(is_alike(op.attrs.get(name), wanted) for name, wanted in self.attributes):
            return
        orders = [op.operands, op.operands[::-1]] if op.definition.is_commutative else [op.operands]
        for operands in orders:
            yield from in_turn(self.operands, operands, found.with_op(op))


@dataclass(frozen=True, slots=True)
class Terms(Form):
    """A sum, or a product: these terms in any order, and constants that come to ``constant``.

    ``inverse`` are those subtracted, or divided by. A name in place of the constant takes any.
    """

    is_product: bool
    terms: tuple[Form, ...]
    inverse: tuple[Form, ...] = ()
    constant: float | str = 0.0
    # Names of which one must be right behind the value: of its terms, or of what sums and products are made of.
    near: frozenset[str] = field(init=False, default=frozenset())

    def __post_init__(self) -> None:
        heads = [term.heads for term in (*self.terms, *self.inverse)]
        known = [names for names in heads if names is not None]
        if known:
            object.__setattr__(self, "near", frozenset(chain_names(self.is_product)).union(*known))

    @property
    def heads(self) -> frozenset[str] | None:
        alone = len(self.terms) + len(self.inverse) == 1
        return None if alone else frozenset(chain_names(self.is_product))

    def matches(self, value: Value, found: Match) -> Iterator[Match]:
        if not self.is_possible(value):
            return
        parts = flattened(value, self.is_product, limit=len(self.terms) + len(self.inverse))
        if parts is None or len(parts.terms) != len(self.terms) or len(parts.inverse) != len(self.inverse):
            return
        neutral = 1.0 if self.is_product else 0.0
        if isinstance(self.constant, str):
            found = found.with_number(self.constant, parts.constant)
        elif not is_near(parts.constant, self.constant, neutral):
            return
        found = replace(found, inner=(*found.inner, *parts.inner))
        for first in in_any_order(self.terms, parts.terms, found):
            yield from in_any_order(self.inverse, parts.inverse, first)

    def is_possible(self, value: Value) -> bool:
        op, near = value.producer, self.near
        if not near:
            return True
        if op is None:
            return False
        if op.name in near and op.name not in chain_names(self.is_product):
            return True  # a sum of one term
        return any(operand.producer is not None and operand.producer.name in near for operand in op.operands)


def chain_names(is_product: bool) -> tuple[str, ...]:
    return FORWARD[is_product], BACKWARD[is_product], INVERSE[is_product]


def call(names: str, *operands: Form, **attributes: object) -> Call:
    """``call("pow", x, Number(3))``; several names apart by blanks."""
    return Call(tuple(names.split()), operands, tuple(attributes.items()))


def one_of(*forms: Form) -> OneOf:
    return OneOf(forms)


def reshaped(form: Form) -> OneOf:
    """A form, or a reshape of it: axes of one element come and go."""
    return OneOf((form, Call(("reshape",), (form,))))


def product(*terms: Form, by: Sequence[Form] = (), times: float | str = 1.0) -> Terms:
    """The product of ``terms`` and the constant ``times``, divided by those in ``by``."""
    return Terms(True, terms, tuple(by), times)


def total(*terms: Form, less: Sequence[Form] = (), plus: float | str = 0.0) -> Terms:
    """The sum of ``terms`` and the constant ``plus``, less those in ``less``."""
    return Terms(False, terms, tuple(less), plus)


def in_turn(forms: Sequence[Form], values: Sequence[Value], found: Match) -> Iterator[Match]:
    if not forms:
        yield found
        return
    for first in forms[0].matches(values[0], found):
        yield from in_turn(forms[1:], values[1:], first)


def in_any_order(forms: Sequence[Form], values: Sequence[Value], found: Match) -> Iterator[Match]:
    if not forms:
        yield found
        return
    for i, value in enumerate(values):
        for first in forms[0].matches(value, found):
            yield from in_any_order(forms[1:], [*values[:i], *values[i + 1 :]], first)


# ---- sums and products


@dataclass(slots=True)
class Parts:
    """A sum or product taken apart."""

    constant: float
    terms: list[Value] = field(default_factory=list)
    inverse: list[Value] = field(default_factory=list)
    inner: list[Op] = field(default_factory=list)


def flattened(value: Value, is_product: bool, limit: int = MOST_TERMS) -> Parts | None:
    """The terms of a sum or product, through all that only makes it; None where there are more than ``limit``.

    Looks at as many ops as that many terms may have, however long a chain they begin.
    """
    parts = Parts(1.0 if is_product else 0.0)
    pending = [(value, False)]
    while pending:
        part, inverted = pending.pop()
        number = uniform(part)
        if number is not None:
            parts.constant = combined(parts.constant, number, is_product, inverted)
            continue
        op = part.producer
        # What somebody else reads, too, is one term: it stays, whatever becomes of this expression.
        if op is not None and op.name in chain_names(is_product) and (part is value or len(part.uses) == 1):
            parts.inner.append(op)
            turned = op.name != FORWARD[is_product]  # the last operand is subtracted, or divided by
            last = op.operands[-1]
            pending.append((last, inverted != turned))
            pending += [(first, inverted) for first in op.operands[:-1]]
        else:
            (parts.inverse if inverted else parts.terms).append(part)
        if len(parts.terms) + len(parts.inverse) > limit or len(parts.inner) > limit + MOST_CONSTANTS:
            return None
    return parts


FORWARD, BACKWARD = {True: "mul", False: "add"}, {True: "div", False: "sub"}
INVERSE = {True: "reciprocal", False: "neg"}


def combined(constant: float, number: float, is_product: bool, inverted: bool) -> float:
    if is_product:
        return constant * number if not inverted else constant / number if number else math.nan
    return constant - number if inverted else constant + number


def uniform(value: Value) -> float | None:
    """The number that a constant in memory holds in every element; None if it is no such constant."""
    op = value.producer
    data = op.attrs["value"] if op is not None and op.name == "constant" else None
    if isinstance(data, Splat):  # one element tells; all of them may be terabytes
        return float(materialise(data, TensorType((), value.type.dtype)))
    array = ops.constant_value(value)
    if array is None or array.size == 0:
        return None
    first = array.reshape(-1)[0]
    return float(first) if bool((array == first).all()) else None


def behind_reshapes(value: Value) -> Value:
    """What a chain of reshapes begins with."""
    while value.producer is not None and value.producer.name == "reshape":
        value = value.producer.operands[0]
    return value


def is_near(number: float, wanted: float, scale: float = 0.0) -> bool:
    return math.isclose(number, wanted, rel_tol=TOLERANCE, abs_tol=TOLERANCE * abs(scale) * 1e-3)


def is_alike(attribute: object, wanted: object) -> bool:
    if isinstance(wanted, float) and isinstance(attribute, (int, float)):
        return is_near(float(attribute), wanted)
    return attribute == wanted
