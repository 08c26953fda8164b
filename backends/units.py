"""Quantities as people write them, ``3.35 TB/s``, to floats in SI base units."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from ircost.backends.errors import TargetError

_QUANTITY = re.compile(r"\s*(?P<number>[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?)\s*(?P<unit>.*?)\s*")

Factors = Mapping[str, Decimal | int]

SMALL: Factors = {
    "": 1,
    "m": Decimal("1e-3"),
    "u": Decimal("1e-6"),
    "n": Decimal("1e-9"),
    "p": Decimal("1e-12"),
}
LARGE: Factors = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
BINARY: Factors = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


@dataclass(frozen=True, slots=True)
class Dimension:
    """A kind of quantity.

    Args:
        spellings: each way to write the unit, with what one of it is in SI.
        prefixes: each prefix that makes sense here, with its factor; exact.
        example: a right one, for messages.
        zero: whether nothing at all is a possible amount.
    """

    spellings: Factors
    prefixes: Factors
    example: str
    zero: bool = False

    def accepted(self) -> str:
        """The accepted spellings and prefixes, as a help line."""
        prefixes = " ".join(prefix for prefix in self.prefixes if prefix)
        units = ", ".join(self.spellings)
        return f"like '{self.example}'" + (f"; units: {units}; prefixes: {prefixes}" if prefixes else "")

    def factor(self, unit: str) -> Decimal | int | None:
        """What one ``unit``, prefix included, is in SI; None if it is not one of this dimension's."""
        for spelling, factor in self.spellings.items():
            if unit.endswith(spelling) and (prefix := unit.removesuffix(spelling)) in self.prefixes:
                return factor * self.prefixes[prefix]
        return None


_BIT = Decimal("0.125")
_OPERATIONS: Factors = dict.fromkeys(("flop/s", "FLOP/s", "op/s", "OP/s"), 1)

DIMENSIONS: dict[str, Dimension] = {
    "B": Dimension({"B": 1, "byte": 1, "bit": _BIT}, {**LARGE, **BINARY}, "80 GB"),
    "B/s": Dimension({"B/s": 1, "byte/s": 1, "bit/s": _BIT}, {**LARGE, **BINARY}, "3.35 TB/s"),
    "flop/s": Dimension(_OPERATIONS, LARGE, "989.4 TFLOP/s"),
    "Hz": Dimension({"Hz": 1}, LARGE, "1.98 GHz"),
    "s": Dimension({"s": 1}, SMALL, "2.5 us", zero=True),
    "W": Dimension({"W": 1}, {**SMALL, "k": 10**3}, "700 W", zero=True),  # no device takes a MW: a mW was meant
    "J/B": Dimension({"J/byte": 1, "J/B": 1, "J/bit": 8}, SMALL, "3.9 pJ/bit", zero=True),
    "J/flop": Dimension({"J/flop": 1, "J/FLOP": 1, "J/op": 1, "J/OP": 1}, SMALL, "0.6 pJ/flop", zero=True),
    "1": Dimension({"": 1}, {"": 1}, "132"),
}


def parse_quantity(text: str, unit: str) -> float:
    """The quantity in SI base units, correctly rounded; binary and decimal prefixes are exact.

    Args:
        text: a number, a prefix and a unit: ``3.35 TB/s``, ``228 KiB``, ``3.9 pJ/bit``.
        unit: what it has to be an amount of: a key of ``DIMENSIONS``.

    Raises:
        TargetError: not a number, no unit, a unit that does not belong here, negative, or zero.

    >>> parse_quantity("228 KiB", "B"), parse_quantity("3.35 TB/s", "B/s")
    (233472.0, 3350000000000.0)
    >>> parse_quantity("4 pJ/bit", "J/B")
    3.2e-11
    """
    dimension = DIMENSIONS[unit]
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise TargetError(f"'{text}' is not a number with a unit", help=dimension.accepted())
    value = float(Decimal(match["number"]) * _factor(text, match["unit"], dimension))
    if value < 0 or (value == 0 and not dimension.zero):
        sign = "negative" if value < 0 else "zero"
        raise TargetError(f"'{text}' is {sign}", help=f"it has to be above zero, like '{dimension.example}'")
    if unit == "1" and not value.is_integer():
        raise TargetError(f"'{text}' is not a whole number", help=dimension.accepted())
    return value


def _factor(text: str, unit: str, dimension: Dimension) -> Decimal | int:
    factor = dimension.factor(unit)
    if factor is None:
        problem = f"unknown unit '{unit}' in '{text}'" if unit else f"missing unit in '{text}'"
        raise TargetError(problem, help=dimension.accepted())
    return factor
