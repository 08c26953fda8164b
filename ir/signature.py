"""Type signatures: how the number formats of an op's operands and results are related."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from ircost.ir.attributes import Attributes
from ircost.ir.errors import DeclarationError, DTypeError
from ircost.ir.types import DTYPES, DType

# First letter of a variable -> which formats it may stand for.
CLASSES: dict[str, tuple[str, Callable[[DType], bool]]] = {
    "T": ("any format", lambda dtype: True),
    "N": ("a number", lambda dtype: dtype.is_float or dtype.is_integer),
    "F": ("a float", lambda dtype: dtype.is_float),
    "I": ("an integer", lambda dtype: dtype.is_integer),
}


EXAMPLE = "write one for each operand, then that of the result: 'F, F -> F'"


class TypeSignature:
    """A line such as ``"bool, T, T -> T"``: a format's own name, a variable, or (as a result) an attribute
    that holds one; ``out|N`` is the attribute's where it is set, and else N.

    Variables begin with T (any format), N (a number), F (a float) or I (an integer); ``N1`` and ``N2`` may differ.

    >>> from ircost.ir.types import f16, boolean
    >>> TypeSignature("where", "bool, T, T -> T", ("c", "x", "y")).results([boolean, f16, f16], {})
    (f16,)
    """

    def __init__(self, op: str, text: str, operand_names: tuple[str, ...], attributes: Collection[str] = ()) -> None:
        """Reads the line.

        Args:
            attributes: names of those that hold a number format.

        Raises:
            DeclarationError: it is no such line, is not of the operands, or a format in it is not known.
        """
        sides = text.split("->")
        if len(sides) != 2:
            raise DeclarationError(f"{op}: '{text}' has no formats of operands and results", help=EXAMPLE)
        operands, results = ([part.strip() for part in side.split(",")] for side in sides)
        self.op = op
        self.text = text
        self._operands = operands
        self._results = results
        self._names = operand_names
        if len(operands) != len(operand_names):
            raise DeclarationError(
                f"{op}: '{text}' has formats of {len(operands)} operands, it has {len(operand_names)}",
                help=EXAMPLE,
            )
        unknown = [symbol for symbol in operands if symbol not in DTYPES and symbol[:1] not in CLASSES]
        if unknown:
            meanings = ", ".join(f"{letter} ({words})" for letter, (words, _) in CLASSES.items())
            raise DeclarationError(f"{op}: '{unknown[0]}' in '{text}' is not a format", help=f"variables: {meanings}")
        self._check_results(attributes)

    def _check_results(self, attributes: Collection[str]) -> None:
        if len(self._results) != 1:
            found = f"{self.op}: '{self.text}' has formats of {len(self._results)} results"
            raise DeclarationError(found, help="a structured op has one")
        for result in self._results:
            attribute, bar, symbol = result.rpartition("|")
            is_known = symbol in DTYPES or symbol in self._operands or (symbol in attributes and not bar)
            if not is_known or (bar and attribute not in attributes):
                unknown = symbol if not is_known else attribute
                raise DeclarationError(
                    f"{self.op}: nothing says what '{unknown}' in '{self.text}' is",
                    help="a result's format is one of the operands', a format's name, or an attribute of kind DType",
                )

    def results(self, dtypes: Sequence[DType], attrs: Attributes) -> tuple[DType, ...]:
        """Formats of the results.

        Raises:
            DTypeError: an operand's format does not fit; says which, and what was expected.
        """
        bound: dict[str, DType] = {}
        for position, (symbol, dtype) in enumerate(zip(self._operands, dtypes, strict=True)):
            expected = DTYPES.get(symbol) or bound.setdefault(symbol, dtype)
            if expected is not dtype and expected != dtype:
                self._fail(position, dtype, f"{expected} expected")
            if symbol not in DTYPES and not CLASSES[symbol[0]][1](dtype):
                self._fail(position, dtype, f"{CLASSES[symbol[0]][0]} expected")
        return tuple(self._result(symbol, bound, attrs) for symbol in self._results)

    def _result(self, symbol: str, bound: dict[str, DType], attrs: Attributes) -> DType:
        if "|" in symbol:
            attribute, symbol = symbol.split("|")
            chosen = attrs.get(attribute)
            if isinstance(chosen, DType):
                return chosen
        if symbol in DTYPES:
            return DTYPES[symbol]
        if symbol in bound:
            return bound[symbol]
        value = attrs[symbol]
        assert isinstance(value, DType), f"{self.op}: attribute {symbol} holds no number format"
        return value

    def _fail(self, position: int, dtype: DType, expected: str) -> None:
        name = self._names[min(position, len(self._names) - 1)]
        raise DTypeError(
            f"{self.op}: {name} is {dtype}, {expected}",
            help=f"number formats are '{self.text}'; a cast converts",
        )
