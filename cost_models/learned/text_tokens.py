"""Printed IR as tokens: read as text, line by line, with no help of the parser, the verifier or a cost model.

A line gives *words* (op, formats and ranks of its operands, who made them and how many lines ago, attributes) and
*sizes* (every extent and number, by its place). Values are known by what they are, so that their names do not matter.

Source of the idea: Das, Mannarswamy, "ML-driven Hardware Cost Model for MLIR", arXiv:2302.11405.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod

NAME = r"%[\w.$-]+"
STRING = r'"(?:[^"\\]|\\.)*"'
ATTRIBUTES = rf'\{{(?:[^{{}}"]|{STRING})*\}}'
OP_LINE = re.compile(
    rf"(?:(?P<results>{NAME}(?:, {NAME})*) = )?(?P<op>[a-z_]\w*)(?: (?P<operands>{NAME}(?:, {NAME})*))?"
    rf"(?: (?P<attributes>{ATTRIBUTES}))?(?P<rest>.*)"
)
CONSTANT_LINE = re.compile(rf"(?P<name>{NAME}) = constant ")
LIST = r"\[(?:[^\[\]]|\[[^\[\]]*\])*\]"
ATTRIBUTE = re.compile(rf"([\w.]+) = ({STRING}|{LIST}|[^,}}]+)")
ARGUMENT = re.compile(rf"({NAME}): ([^,)]+)")
NUMBER = re.compile(r"-?(?:\d+\.?\d*(?:e[+-]?\d+)?|inf)")
TYPE = re.compile(r"(?:<=)?((?:\d+x)*)([a-z]\w*)")
LOCATION = re.compile(r" loc\(.*\)$")
MOST_LIST_PLACES = 8  # of a list that are told apart
LONGEST_WORD = 60
EVERY_OP = "*"


@dataclass(frozen=True, slots=True)
class Type:
    """A tensor's type as it is written: ``2x3xf32``."""

    extents: tuple[int, ...]
    format: str

    @property
    def elements(self) -> float:
        return float(prod(self.extents))

    @property
    def bits(self) -> int:
        """Of an element: the first number in the format's name.

        >>> Type((), "f8e4m3").bits, Type((), "bool").bits
        (8, 8)
        """
        found = re.search(r"\d+", self.format)
        return int(found.group()) if found else 8


@dataclass(frozen=True, slots=True)
class Known:
    """What the lines before say of a value.

    Args:
        maker: the op that gave it. line: its number.
    """

    type: Type
    maker: str
    line: int


@dataclass(slots=True)
class Line:
    """Tokens of one line.

    Args:
        op: as written; ``module`` and ``func`` for heads.
        words: what is not counted in numbers. sizes: (place, number), places by the op.
    """

    op: str
    words: list[str] = field(default_factory=list)
    sizes: list[tuple[str, float]] = field(default_factory=list)


def lines_of(text: str) -> Iterator[Line]:
    """The lines of a printed module that say something, in order.

    >>> add = next(line for line in lines_of("func @f(%x: 2x4xf32) -> 2x4xf32 {\\n  %y = add %x, %x : 2x4xf32\\n}")
    ...            if line.op == "add")
    >>> add.words[:2], add.sizes[:2]
    (['add.0:f32,2', 'add.0<func'], [('add.0.-1', 4.0), ('add.0.-2', 2.0)])
    """
    return _Reader().read(text)


class _Reader:
    def __init__(self) -> None:
        self.known: dict[str, Known] = {}
        self.open: list[tuple[str, list[str]]] = []  # ops whose regions are being read, with their results
        self.number = 0

    def read(self, text: str) -> Iterator[Line]:
        for raw in text.split("\n"):
            line = raw.strip()
            if not line or line.startswith("//"):
                continue
            self.number += 1
            found = self._line(LOCATION.sub("", line) if line.endswith(")") else line)
            if found is not None:
                yield found

    def _line(self, line: str) -> Line | None:
        constant = CONSTANT_LINE.match(line)
        if constant is not None:
            return self._made("constant", [constant["name"]], line.rpartition(" : ")[2])
        if line.startswith("}"):
            self._closed(line[1:])
            return None
        if line.startswith(("module ", "func ")):
            return self._head(line)
        return self._op(line)

    def _head(self, line: str) -> Line:
        found = Line(line.partition(" ")[0])
        for name, type in ARGUMENT.findall(line.partition(" -> ")[0]):
            self._learn(name, type, "func")
        if line.startswith("module"):
            add_attributes(found, line.partition(" {")[2])
        return found

    def _op(self, line: str) -> Line | None:
        match = OP_LINE.match(line)
        if match is None:
            return None
        op, rest = match["op"], match["rest"]
        found = Line(op)
        self._read_operands(found, (match["operands"] or "").split(", "))
        add_attributes(found, match["attributes"] or "")
        results = (match["results"] or "").split(", ")
        if rest.endswith("{"):
            self.open.append((op, results))
            self._arguments(rest)
        else:
            made = self._made(op, results, rest.rpartition(" : ")[2])
            found.words += made.words
            found.sizes += made.sizes
        return found

    def _read_operands(self, found: Line, names: list[str]) -> None:
        for place, name in enumerate(names):
            known = self.known.get(name)
            if known is not None:
                found.words.append(f"{found.op}.{place}:{known.type.format},{len(known.type.extents)}")
                found.words.append(f"{found.op}.{place}<{known.maker}")
                found.words.append(f"{found.op}.{place}@{(self.number - known.line).bit_length()}")
                found.sizes += sizes_of(f"{found.op}.{place}", known.type)

    def _made(self, op: str, names: list[str], types: str) -> Line:
        """Results: what the end of a line says."""
        found = Line(op)
        for place, (name, type) in enumerate(zip(names, types.strip(" ()").split(", "), strict=False)):
            if name and TYPE.fullmatch(type):
                self._learn(name, type, op)
                own = self.known[name].type
                found.words.append(f"{op}=>{place}:{own.format},{len(own.extents)}")
                found.sizes += sizes_of(f"{op}=>{place}", own)
        return found

    def _arguments(self, text: str) -> None:
        for name, type in ARGUMENT.findall(text):
            self._learn(name, type, "region")

    def _closed(self, rest: str) -> None:
        """The end of a region: another one follows, or the results' types."""
        if rest.endswith("{"):
            self._arguments(rest)
        elif self.open:
            op, results = self.open.pop()
            self._made(op, results, rest.rpartition(" : ")[2])

    def _learn(self, name: str, type: str, maker: str) -> None:
        self.known[name] = Known(type_of(type), maker, self.number)


def type_of(text: str) -> Type:
    """
    >>> type_of("2x3xbf16")
    Type(extents=(2, 3), format='bf16')
    """
    match = TYPE.fullmatch(text.strip())
    if match is None:
        return Type((), text.strip()[:LONGEST_WORD])
    return Type(tuple(int(extent) for extent in match[1].split("x")[:-1]), match[2])


def sizes_of(place: str, type: Type) -> Iterator[tuple[str, float]]:
    """Extents from the last one on, elements and bytes."""
    for axis, extent in enumerate(reversed(type.extents), start=1):
        yield f"{place}.-{axis}", float(extent)
    yield f"{place}.elements", type.elements
    yield f"{place}.bytes", type.elements * type.bits / 8


def add_attributes(line: Line, text: str) -> None:
    for name, value in ATTRIBUTE.findall(text):
        numbers = NUMBER.findall(value) if value[0] in "[-0123456789" else []
        if numbers and not re.search("[a-z]{2}", value):
            for place, number in enumerate(numbers[:MOST_LIST_PLACES]):
                line.sizes.append((f"{line.op}.{name}.{place}", float(number)))
                if number.startswith("-"):
                    line.words.append(f"{line.op}.{name}.{place}<0")
        else:
            line.words.append(f"{line.op}.{name}={value[:LONGEST_WORD]}")
