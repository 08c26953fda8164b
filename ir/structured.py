"""Structured ops: declared by index notation and a scalar body; everything else follows."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from ircost.ir.attributes import Attributes, declared_attributes
from ircost.ir.bind import bind, broadcast_shapes
from ircost.ir.counts import Counts
from ircost.ir.definition import Arrays, OpDefinition, register_op
from ircost.ir.errors import DeclarationError, ParseError, ShapeError, did_you_mean
from ircost.ir.graph import Op, Region, Value
from ircost.ir.index import IterationSpace
from ircost.ir.iterate import evaluate_space
from ircost.ir.notation import Notation, parse_notation
from ircost.ir.scalar import Scalar, attribute, operand
from ircost.ir.signature import TypeSignature
from ircost.ir.types import TensorType

# What combining two partial results counts as.
REDUCTIONS = {
    **{"sum": "add", "prod": "multiply", "max": "compare", "min": "compare"},
    **{"any": "logic", "all": "logic", "argmax": "compare", "argmin": "compare"},
}

BODY_HELP = 'use + - * /, comparisons, and call("exp", x) for the functions of ircost.ir.scalar.SCALAR_FUNCTIONS'

NotationOf = Callable[[Sequence[TensorType], Attributes], str]
Inverse = Callable[..., Value]


class StructuredOp(OpDefinition):
    """An op given by an iteration space, a scalar body and a way to reduce.

    Args:
        notation: index notation, or a function that writes it from operand types and attributes.
        body: the scalar body as declared; positional parameters name operands, keyword ones attributes.
        reduce: a key of REDUCTIONS, where the notation has reduction dims.
        types: number formats, as in ``"T, T -> bool"``; see `TypeSignature`.
        padding: what reads outside of an operand give; a number, or the name of an attribute.
        dims: extents of dims that no operand has.
        inverses: for each operand, how to have it back; see ``structured_op``.
    """

    follows_bounds = True

    def __init__(
        self,
        name: str,
        notation: str | NotationOf,
        body: Callable[..., Scalar],
        *,
        reduce: str | None,
        types: str | None,
        padding: float | str,
        commutative: bool,
        dims: Callable[[Attributes], dict[str, int]] | None,
        inverses: Sequence[Inverse] = (),
    ) -> None:
        if reduce is not None and reduce not in REDUCTIONS:
            near = did_you_mean(reduce, REDUCTIONS, f"reduce= takes {', '.join(REDUCTIONS)}")
            raise DeclarationError(f"{name}: no reduction '{reduce}'", help=near)
        parameters = inspect.signature(body).parameters.values()
        self.name = name
        self.operand_names = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)
        self.attributes = declared_attributes(name, body)
        self.reduce = reduce
        self.padding = padding
        self.is_commutative = commutative
        self.written_notation = notation
        self._body = body
        self._types = types
        self._dims = dims
        self._inverses = inverses
        self.__doc__ = body.__doc__

    @property
    def declared_in(self) -> str:
        return self._body.__module__

    @cached_property
    def body(self) -> Scalar:
        """The scalar expression at one point."""
        operands = [operand(i) for i in range(len(self.operand_names))]
        try:
            found = self._body(*operands, **{name: attribute(name) for name in self.attributes})
        except DeclarationError as error:
            raise DeclarationError(f"{self.name}: {error.message}", help=error.help) from error
        except TypeError as error:
            raise DeclarationError(f"{self.name}: its body is of scalars: {error}", help=BODY_HELP) from error
        if not isinstance(found, Scalar):
            given = type(found).__name__
            raise DeclarationError(f"{self.name}: its body gives {given}, an expression expected", help=BODY_HELP)
        return found

    @cached_property
    def _counts_of_body(self) -> dict[str, int]:
        return self.body.counts()

    @cached_property
    def signature(self) -> TypeSignature:
        """How number formats of operands and results hang together."""
        default = ", ".join("T" for _ in self.operand_names) + " -> T"
        formats = [name for name, spec in self.attributes.items() if spec.kind.startswith("DType")]
        return TypeSignature(self.name, self._types or default, self.operand_names, formats)

    @cached_property
    def _fixed_notation(self) -> Notation | None:
        if not isinstance(self.written_notation, str):
            return None
        notation = self._parse(self.written_notation)
        self._check(notation)
        return notation

    def _check(self, notation: Notation) -> None:
        """Raises:
        DeclarationError: it is not of the operands, or leaves out how dims are reduced.
        """
        if len(notation.operands) != len(self.operand_names):
            raise DeclarationError(
                f"{self.name}: '{notation}' has {len(notation.operands)} operands, "
                f"the function {len(self.operand_names)} ({', '.join(self.operand_names)})",
                help="attributes come after a *",
            )
        reduced = notation.dims(notation.operands) - notation.dims(notation.results)
        if reduced and self.reduce is None:
            names = ", ".join(sorted(reduced))
            raise DeclarationError(
                f"{self.name}: the result of '{notation}' lacks {names}, and nothing says how to reduce",
                help=f"reduce= takes {', '.join(REDUCTIONS)}",
            )

    @cached_property
    def is_elementwise(self) -> bool:
        """Whether each element of the result depends on one element of each operand, broadcast."""
        return (
            isinstance(self.written_notation, str)
            and self.written_notation.replace(" ", "").strip(".,->") == ""
            and self.reduce is None
        )

    @cached_property
    def is_contraction(self) -> bool:
        """Whether it sums products of its two operands: what matrix units are for."""
        factors = [argument.function for argument in self.body.arguments]
        return self.reduce == "sum" and self.body.function == "mul" and factors == ["operand", "operand"]

    @cached_property
    def is_move(self) -> bool:
        """Whether its body is its only operand."""
        return self.reduce is None and len(self.operand_names) == 1 and self.body.function == "operand"

    def notation(self, operands: Sequence[TensorType], attrs: Attributes) -> Notation:
        """The notation for these operands."""
        if self._fixed_notation is not None:
            return self._fixed_notation
        assert not isinstance(self.written_notation, str)
        return self._parse(self.written_notation(operands, attrs))

    def _parse(self, text: str) -> Notation:
        try:
            return parse_notation(text, frozenset(self.attributes) & _attribute_names(text))
        except ParseError as error:
            raise DeclarationError(f"{self.name}: {error.message}", help=error.help) from None

    def bind(self, operands: Sequence[TensorType], attrs: Attributes) -> IterationSpace:
        """The iteration space for these operands.

        Raises:
            ShapeError: the shapes do not fit.
        """
        known = {**attrs, **self._dims(attrs)} if self._dims else attrs
        try:
            return bind(self.notation(operands, attrs), [type.shape for type in operands], known)
        except ShapeError as error:
            raise ShapeError(f"{self.name}: {error.message}", help=error.help) from None

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        (dtype,) = self.signature.results([type.dtype for type in operands], attrs)
        is_bounded = any(type.bounded for type in operands)
        if self.is_elementwise and not is_bounded:
            try:
                return (TensorType(broadcast_shapes([type.shape for type in operands]), dtype),)
            except ShapeError as error:
                raise ShapeError(f"{self.name}: {error.message}") from None
        space = self.bind(operands, attrs)
        if not is_bounded:
            return (TensorType(space.results[0].shape, dtype),)
        result = TensorType(space.results[0].shape, dtype, _bounded_axes(space, operands))
        self.check_follows(operands, attrs, result)
        return (result,)

    def check_follows(self, operands: Sequence[TensorType], attrs: Attributes, result: TensorType) -> None:
        """An extent that depends on data may be as short as 0: no attribute may fix it, and no other extent grow.

        Raises:
            ShapeError: one does.
        """
        shorter = [
            TensorType(tuple(0 if axis in type.bounded else n for axis, n in enumerate(type.shape)), type.dtype)
            for type in operands
        ]
        try:
            shape = self.bind(shorter, attrs).results[0].shape
        except ShapeError as error:
            raise ShapeError(f"{error.message}: an extent of {operands[0]} depends on data") from None
        for axis, (least, most) in enumerate(zip(shape, result.shape, strict=True)):
            if least > most or (least < most and axis not in result.bounded):
                given = ", ".join(map(str, operands))
                raise ShapeError(f"{self.name}: axis {axis} of the result depends on data but is not a bound: {given}")

    def iteration_space(self, op: Op) -> IterationSpace:
        return self.bind([value.type for value in op.operands], op.attrs)

    def inverse(self, op: Op, index: int, result: Value, operands: Sequence[Value]) -> Value | None:
        if not self._inverses:
            return None
        found = self._inverses[index](result, *operands, **op.attrs)
        return found if found.type == op.operands[index].type else None  # else it was broadcast

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        # The arrays' own shapes: a bounded dim is as long as the data made it.
        types = [TensorType(a.shape, v.type.dtype) for a, v in zip(operands, op.operands, strict=True)]
        space = self.bind(types, op.attrs)
        return [evaluate_space(self, space, operands, op.attrs, op.result.type.dtype)]

    def counts(self, op: Op) -> Counts:
        if self.is_elementwise:
            return self.counts_of(op.result.type.elements, op.result.type.elements)
        space = self.iteration_space(op)
        return self.counts_of(space.points, space.result_points)

    def counts_of(self, points: int, result_points: int) -> Counts:
        """Counts of as many points of the iteration space, which meet in so many elements of the result."""
        if self.is_contraction:
            return Counts(multiply_add=points)
        counts = {kind: n * points for kind, n in self._counts_of_body.items()}
        if self.reduce:
            kind = REDUCTIONS[self.reduce]
            counts[kind] = counts.get(kind, 0) + max(points - result_points, 0)
        return Counts(**counts)

    def operand_bytes(self, op: Op) -> Sequence[int]:
        if self.is_elementwise:  # every element of every operand
            return [value.type.size_bytes for value in op.operands]
        elements = self.iteration_space(op).elements_read
        return [(n * value.type.dtype.bits + 7) // 8 for n, value in zip(elements, op.operands, strict=True)]


@lru_cache(maxsize=1024)
def _attribute_names(text: str) -> frozenset[str]:
    """Names that the notation uses as a factor or an offset: all that follow ``*``, ``+ `` or ``- ``, packs aside."""
    words = text.replace("(", " ").replace(")", " ").replace("*", " * ").split()
    return frozenset(
        word.removesuffix("..")
        for before, word in pairwise(words)
        if before == "*" or (before in "+-" and not word.endswith(".."))
    )


def _bounded_axes(space: IterationSpace, operands: Sequence[TensorType]) -> tuple[int, ...]:
    """Axes of the result that run over a dim whose extent depends on data."""
    dims = {
        dim
        for type, access in zip(operands, space.operands, strict=True)
        for axis in type.bounded
        for dim, _ in access.axes[axis].terms
    }
    return tuple(i for i, axis in enumerate(space.results[0].axes) if any(dim in dims for dim, _ in axis.terms))


def structured_op(
    notation: str | NotationOf,
    *,
    reduce: str | None = None,
    types: str | None = None,
    padding: float | str = 0.0,
    commutative: bool = False,
    dims: Callable[[Attributes], dict[str, int]] | None = None,
    inverses: Sequence[Inverse] = (),
    name: str | None = None,
) -> Callable[[Callable[..., Scalar]], StructuredOp]:
    """Declares a structured op. The function below it is the scalar body; its docstring is the op's.

    Args:
        notation: index notation; see `ircost.ir.notation`.
        reduce: how points that meet in one element are combined: sum, prod, max, min, any, all, argmax, argmin.
        types: number formats; one for all where left out.
        padding: what reads outside of an operand give; a number, or the name of an attribute.
        commutative: the two operands may change places.
        dims: extents of dims that no operand has, where no attribute bears the dim's own name.
        inverses: for each operand, a function of the result, all operands and the attributes that builds it again
            without reading it.
        name: in the text format, where it is a word that Python keeps to itself.
    """

    def declare(body: Callable[..., Any]) -> StructuredOp:
        return register_op(
            StructuredOp(
                name or body.__name__,
                notation,
                body,
                reduce=reduce,
                types=types,
                padding=padding,
                commutative=commutative,
                dims=dims,
                inverses=inverses,
            )
        )

    return declare
