"""A number that remembers where it is from, and how one stands in a target file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from ircost.backends.errors import TargetError
from ircost.backends.units import DIMENSIONS, parse_quantity


class Figure(float):
    """A quantity in SI base units, with its source. In arithmetic it is a plain float.

    Args:
        value: in SI base units.
        source: data sheet, paper, formula: what the number rests on.
        guess: nobody published it; the source says how it was guessed.

    >>> bandwidth = Figure(3.35e12, "NVIDIA H100 data sheet, 2023")
    >>> bandwidth / 2, bandwidth.source
    (1675000000000.0, 'NVIDIA H100 data sheet, 2023')
    """

    __slots__ = ("guess", "source")

    source: str
    guess: bool

    def __new__(cls, value: float, source: str, guess: bool = False) -> Figure:
        figure = super().__new__(cls, value)
        figure.source = source
        figure.guess = guess
        return figure

    def __getnewargs__(self) -> tuple[float, str, bool]:  # type: ignore[override]  # float's own takes no source
        return float(self), self.source, self.guess

    def entry(self) -> dict[str, float | str | bool]:
        """Value, source and guess, for JSON."""
        return {"value": float(self), "source": self.source, "guess": self.guess}


@dataclass(frozen=True, slots=True)
class WrittenFigure:
    """A figure as it stands in a file; its source may be that of the section around it."""

    text: str
    source: str
    guess: bool


@dataclass(frozen=True, slots=True)
class Quantity:
    """Marks a model's field as a figure: ``Annotated[Figure, Quantity("B/s")]``.

    Args:
        unit: key of ``DIMENSIONS``.
    """

    unit: str

    def read(self, written: object) -> Figure:
        """The figure.

        Raises:
            PydanticCustomError: of type ``figure``, with message and help; pydantic adds the place.
        """
        if isinstance(written, Figure):
            return written
        if not isinstance(written, WrittenFigure):
            raise _problem(TargetError("one figure belongs here", help=DIMENSIONS[self.unit].accepted()))
        try:
            return Figure(parse_quantity(written.text, self.unit), _source(written), written.guess)
        except TargetError as error:
            raise _problem(error) from error

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.read, serialization=core_schema.plain_serializer_function_ser_schema(Figure.entry)
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        text = {"type": "string", "pattern": _pattern(self.unit), "examples": [DIMENSIONS[self.unit].example]}
        value = {"anyOf": [{"type": "integer", "minimum": 1}, text]} if self.unit == "1" else text
        sourced = {"value": value, "source": {"type": "string"}, "guess": {"type": "boolean"}}
        entry = {
            "type": "object",
            "properties": sourced,
            "required": ["value"],
            "additionalProperties": False,
        }
        return {"$comment": f"figure in {self.unit}", "anyOf": [value, entry]}


def _source(written: WrittenFigure) -> str:
    if written.source or written.guess:
        return written.source or "guess"
    raise TargetError(
        f"no source for '{written.text}'",
        help="write 'source: ...' beside it, in its section or at the top of the file; or 'guess: true'",
    )


def _problem(error: TargetError) -> PydanticCustomError:
    return PydanticCustomError("figure", "{message}", {"message": error.message, "help": error.help})


def _pattern(unit: str) -> str:
    dimension = DIMENSIONS[unit]
    prefixes = "|".join(prefix for prefix in dimension.prefixes if prefix)
    spellings = "|".join(map(re.escape, dimension.spellings))
    return rf"^[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)? ?({prefixes})?({spellings})$"
