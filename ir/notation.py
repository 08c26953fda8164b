"""Index notation as written: parsed once per declaration, before any shape is known.

    b m k, b k n -> b m n                                   a contraction
    n c (o..*strides + k..*dilations - pads) -> n c o..     windows; `o..` is a pack: one dim for each spatial axis
    ... m k, ... k n -> ... m n                             `...`: any leading dims, broadcast as in NumPy
    n (g c) -> n g c                                        an axis composed of two dims, the first one slower

An axis is a dim, a pack, `...`, an extent (an axis of that length, read at 0), a composition, or a window: a sum of
dims, each times a constant or an attribute, plus or minus attributes. Attributes are named beside the notation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import LarkError, UnexpectedInput, VisitError

from ircost.ir.errors import ParseError


@dataclass(frozen=True, slots=True)
class Name:
    """A dim or an attribute; ``is_pack`` where it stands for one per axis of a pack."""

    text: str
    is_pack: bool = False


@dataclass(frozen=True, slots=True)
class Term:
    """``sign * dim * coefficient``; the coefficient is a number or the name of an attribute."""

    dim: Name
    coefficient: int | Name
    sign: int = 1


@dataclass(frozen=True, slots=True)
class Offset:
    """``sign * amount``; an attribute may hold [begin, end] pairs: how far the axis is padded on both sides."""

    amount: int | Name
    sign: int = 1


@dataclass(frozen=True, slots=True)
class AnyDims:
    """``...``"""


@dataclass(frozen=True, slots=True)
class Extent:
    """An axis of a given length."""

    length: int


@dataclass(frozen=True, slots=True)
class Composed:
    """``(g c)``: index g * extent(c) + c."""

    dims: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """``(o*s + k*d - p)``"""

    terms: tuple[Term, ...]
    offsets: tuple[Offset, ...]

    @property
    def is_pack(self) -> bool:
        return any(term.dim.is_pack for term in self.terms)


Axis = Name | AnyDims | Extent | Composed | Window


@dataclass(frozen=True, slots=True)
class Notation:
    """What one string of index notation says.

    Args:
        operands, results: axes of each, outermost first.
        attributes: those names in it that are attributes, not dims.
    """

    text: str
    operands: tuple[tuple[Axis, ...], ...]
    results: tuple[tuple[Axis, ...], ...]
    attributes: frozenset[str]

    def __hash__(self) -> int:
        return hash(self.text)

    def dims(self, values: tuple[tuple[Axis, ...], ...]) -> set[str]:
        """The names of the dims that operands or results run over."""
        return {name.text for axes in values for axis in axes for name in names_of(axis)} - self.attributes

    def __str__(self) -> str:
        return self.text


def names_of(axis: Axis) -> tuple[Name, ...]:
    """The dims of an axis, in order."""
    if isinstance(axis, Name):
        return (axis,)
    if isinstance(axis, Composed):
        return axis.dims
    return tuple(term.dim for term in axis.terms) if isinstance(axis, Window) else ()


# A pure function of short strings: what it returns is immutable and may be shared.
@lru_cache(maxsize=1024)
def parse_notation(text: str, attributes: frozenset[str] = frozenset()) -> Notation:
    """Reads index notation.

    Args:
        text: the notation.
        attributes: names that are attributes of the op; all others are dims.

    Raises:
        ParseError: not index notation; a caret shows where.

    >>> [len(axes) for axes in parse_notation("b m k, b k n -> b m n").operands]
    [3, 3]
    """
    try:
        operands, results = _NotationBuilder(attributes).transform(_grammar().parse(text))
    except UnexpectedInput as error:
        column = getattr(error, "column", len(text) + 1)
        caret = " " * (max(column, 1) - 1) + "^"
        raise ParseError(
            f"not index notation:\n  {text}\n  {caret}", help="for example: b m k, b k n -> b m n"
        ) from error
    except VisitError as error:
        if isinstance(error.orig_exc, ParseError):
            raise error.orig_exc from None
        raise
    except LarkError as error:
        raise ParseError(f"not index notation: {text}") from error
    return Notation(text, operands, results, attributes)


@cache
def _grammar() -> Lark:
    return Lark(files("ircost.ir").joinpath("index.lark").read_text(), start="notation", parser="lalr")


class _NotationBuilder(Transformer[Token, tuple[tuple[tuple[Axis, ...], ...], ...]]):
    """Parse tree to axes; a method for each rule of the grammar."""

    def __init__(self, attributes: frozenset[str]) -> None:
        super().__init__()
        self._attributes = attributes

    def notation(self, children: list[Any]) -> tuple[Any, ...]:
        return tuple(children)

    def operands(self, children: list[Any]) -> tuple[Any, ...]:
        return tuple(children)

    def operand(self, children: list[Any]) -> tuple[Any, ...]:
        return tuple(children)

    def name(self, children: list[Token]) -> Name:
        return Name(str(children[0]), len(children) > 1)

    def ellipsis(self, children: list[Any]) -> AnyDims:
        return AnyDims()

    def extent(self, children: list[Token]) -> Extent:
        return Extent(int(children[0]))

    def composed(self, children: list[Name]) -> Composed:
        return Composed(tuple(children))

    def sign(self, children: list[Token]) -> int:
        return -1 if children[0] == "-" else 1

    minus = sign

    def term(self, children: list[Name]) -> Term | Offset:
        return Offset(children[0]) if children[0].text in self._attributes else Term(children[0], 1)

    def offset(self, children: list[Token]) -> Offset:
        return Offset(int(children[0]))

    def scaled_by_name(self, children: list[Name]) -> Term:
        dim, factor = children
        if factor.text not in self._attributes:
            raise ParseError(
                f"'{dim.text}*{factor.text}' multiplies two dims",
                help="an index is a sum of dims times constants",
            )
        return Term(dim, factor)

    def scaled_by_int(self, children: list[Any]) -> Term:
        return Term(children[0], int(children[1]))

    def window(self, children: list[Any]) -> Window:
        terms: list[Term] = []
        offsets: list[Offset] = []
        sign = 1
        for child in children:
            if isinstance(child, int):
                sign = child
            elif isinstance(child, Term):
                terms.append(Term(child.dim, child.coefficient, sign))
            else:
                offsets.append(Offset(child.amount, sign))
        return Window(tuple(terms), tuple(offsets))
