"""The text format, written. `print_module` and `ircost.ir.parser.parse_module` are inverse to each other."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable

import numpy as np

from ircost.ir.attributes import Attribute, Attributes
from ircost.ir.constant import Borrowed, ConstantData, FileSlice, Literal, Missing, Splat, literal
from ircost.ir.errors import IrcError
from ircost.ir.graph import Block, Function, Module, Op, Region, Value
from ircost.ir.location import Location
from ircost.ir.numpy_dtypes import numpy_dtype
from ircost.ir.types import DType, TensorType

INLINE_ELEMENTS = 16  # literals up to this many elements are written as numbers


def print_module(module: Module, locations: bool = False) -> str:
    """The whole module as text.

    Args:
        locations: write after each op which nodes of the user's model it stands for.
    """
    lines = []
    if module.name or module.attrs:
        lines += [f"module @{quote_symbol(module.name)}{attribute_list(module.attrs)}", ""]
    for function in module.functions.values():
        lines += [*_Writer(locations).function(function), ""]
    return "\n".join(lines[:-1]) + "\n" if lines else ""


def op_line(op: Op) -> str:
    """One op as text, without the bodies of its regions."""
    return _Writer(locations=False).head(op)


def describe_op(op: Op) -> list[str]:
    """For errors: the node, the op's line, and the type of each operand."""
    writer = _Writer(locations=False)
    lines = op.location.describe() if op.location else []
    lines.append("  " + writer.head(op))
    return lines + [f"  operand {writer.name(operand)}: {operand.type}" for operand in dict.fromkeys(op.operands)]


class _Writer:
    """Gives values their names, and ops their lines."""

    def __init__(self, locations: bool) -> None:
        self.locations = locations
        self.names: dict[Value, str] = {}
        self.taken: set[str] = set()
        self.suffixes: dict[str, int] = {}
        self.canonical: dict[object, list[str]] = {}

    # ---- names

    def name(self, value: Value) -> str:
        """``%name``; numbers in order of first mention where a value has no hint, or its hint is taken."""
        if value not in self.names:
            self.names[value] = self._fresh(value.name)
        return "%" + self.names[value]

    def _fresh(self, hint: str | None) -> str:
        base = symbol(hint) if hint else ""
        if base and base not in self.taken:
            self.taken.add(base)
            return base
        stem = f"{base}_" if base else ""
        number = self.suffixes.get(stem, 0)
        while f"{stem}{number}" in self.taken:
            number += 1
        self.suffixes[stem] = number + 1
        self.taken.add(f"{stem}{number}")
        return f"{stem}{number}"

    # ---- lines

    def function(self, function: Function) -> list[str]:
        arguments = ", ".join(f"{self.name(a)}: {a.type}" for a in function.arguments)
        last = function.block.last  # one that is being built has no end yet
        results = types_text([value.type for value in last.operands] if last and last.definition.is_terminator else [])
        attrs = f" attributes{attribute_list(function.attrs)}" if function.attrs else ""
        head = f"func @{quote_symbol(function.name)}({arguments}) -> {results}{attrs} {{"
        return [head, *self.block(function.block, "  "), "}"]

    def block(self, block: Block, indent: str) -> list[str]:
        lines: list[str] = []
        for op in block.ops:
            self.op(op, indent, lines)
        return lines

    def op(self, op: Op, indent: str, lines: list[str]) -> None:
        tail = self._tail(op)
        if not op.regions or self._is_canonical(op):
            lines.append(f"{indent}{self._body(op)}{tail}")
            return
        text = indent + self._body(op)
        for label, region in zip(op.definition.region_names, op.regions, strict=True):
            arguments = ", ".join(f"{self.name(a)}: {a.type}" for a in region.block.arguments)
            lines.append(f"{text} {label}({arguments}) {{")
            lines.extend(self.block(region.block, indent + "  "))
            text = indent + "}"
        lines.append(text + tail)

    def head(self, op: Op) -> str:
        """One line: the op without its regions."""
        return self._body(op) + (" {...}" if op.regions and not self._is_canonical(op) else "") + self._tail(op)

    def _body(self, op: Op) -> str:
        operands = ", ".join(map(self.name, op.operands))
        results = ", ".join(map(self.name, op.results))
        text = f"{results} = {op.name}" if results else op.name
        return f"{text}{' ' if operands else ''}{operands}{op_attributes(op)}"

    def _tail(self, op: Op) -> str:
        is_typed = op.results or op.definition.needs_result_types
        types = f" : {types_text([r.type for r in op.results])}" if is_typed else ""
        return types + (location_text(op.location) if self.locations and op.location else "")

    def _is_canonical(self, op: Op) -> bool:
        """Whether a composite's body is the one that its declaration gives; then it need not be written."""
        definition = op.definition
        if not definition.is_composite:
            return False
        types = tuple(operand.type for operand in op.operands)
        key = (op.name, types, tuple(op.attrs.items()))
        if key not in self.canonical:
            try:
                self.canonical[key] = self._alone(definition.build_regions(types, op.attrs))
            except IrcError:  # operands or attributes do not fit: an error message is about to say so
                self.canonical[key] = []
        return self._alone(op.regions) == self.canonical[key]

    def _alone(self, regions: Iterable[Region]) -> list[str]:
        writer = _Writer(locations=False)
        return [
            line
            for region in regions
            for line in [*map(str, (a.type for a in region.block.arguments)), *writer.block(region.block, "")]
        ]


# ---- types, attributes, constants


def types_text(types: Iterable[TensorType]) -> str:
    """One type bare, none or several in parentheses."""
    texts = [str(type) for type in types]
    return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"


def op_attributes(op: Op) -> str:
    """Attributes that differ from their defaults; a constant's value stands bare."""
    if op.name == "constant":
        return " " + constant_text(op.attrs["value"], op.result.type)  # type: ignore[arg-type]
    specs = op.definition.attributes
    return attribute_list({n: v for n, v in op.attrs.items() if n not in specs or v != specs[n].default})


def attribute_list(attrs: Attributes) -> str:
    if not attrs:
        return ""
    return f" {{{', '.join(f'{name} = {attribute_text(value)}' for name, value in attrs.items())}}}"


def attribute_text(value: Attribute) -> str:
    """``1``, ``0.5``, ``true``, ``"text"``, ``f16``, ``[1, 2]``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple):
        return f"[{', '.join(map(attribute_text, value))}]"
    if isinstance(value, float):
        return float_text(value)
    return str(value)


def float_text(value: float) -> str:
    """The shortest decimal that reads back as the same number, always with a point or an exponent."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return repr(value)


def constant_text(data: ConstantData, type: TensorType) -> str:
    if isinstance(data, Splat):
        return f"splat<{attribute_text(data.value)}>"
    if isinstance(data, Missing):
        return f"missing<{json.dumps(data.reason)}>"
    if isinstance(data, FileSlice):
        return f"file<{json.dumps(data.path)}, {data.offset}, {data.length}, {data.dtype}>"
    if isinstance(data, Borrowed):
        return literal_text(literal(data.read()), type)
    return literal_text(data, type)


def literal_text(data: Literal, type: TensorType) -> str:
    """Few numbers as numbers, many as hexadecimal bytes; the format stands behind where the type does not tell."""
    stored = "" if data.dtype == type.dtype else f", {data.dtype}"
    array = np.frombuffer(data.data, numpy_dtype(data.dtype))
    if array.size > INLINE_ELEMENTS or not has_exact_decimals(array, data.dtype):
        return f'hex<"{data.data.hex()}"{stored}>'
    return f"dense<[{', '.join(number_text(n, data.dtype) for n in array)}]{stored}>"


def has_exact_decimals(array: np.ndarray, dtype: DType) -> bool:
    """Whether every element survives a trip through decimals: all but NaNs do."""
    return not dtype.is_float or not bool(np.isnan(array.astype(np.float64)).any())


def number_text(value: np.generic, dtype: DType) -> str:
    if dtype.is_float:
        return float_text(float(value))
    return ("true" if value else "false") if dtype.name == "bool" else str(int(value))


def location_text(location: Location) -> str:
    nodes = ", ".join(json.dumps(node, ensure_ascii=False) for node in location.nodes)
    return f" loc({json.dumps(location.file, ensure_ascii=False)}: {nodes})"


def symbol(hint: str) -> str:
    """A value's name out of any text: letters of any script, digits, ``_ . $ -``, not beginning with a digit."""
    text = re.sub(r"[^\w.$-]", "_", hint)
    return text if not text or text[0].isalpha() or text[0] == "_" else f"_{text}"


def quote_symbol(name: str) -> str:
    """A function's or module's name: bare where it can be, else in quotes."""
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.$-]*", name) else json.dumps(name, ensure_ascii=False)


def lines_around(op: Op, context: int) -> list[str]:
    """``op`` with the ops above and below it in its block, numbered by their place in it; a ``>`` marks it."""
    if op.block is None:
        return ["  " + op_line(op)]
    ops = list(op.block.ops)
    place = next(i for i, other in enumerate(ops) if other is op)
    writer = _Writer(locations=False)
    first = max(place - context, 0)
    # Names are given from the top of the block, so that they are those of the printed module.
    heads = [writer.head(other) for other in ops[: place + context + 1]]
    return [f"{'>' if i == place else ' '} {i + 1:5} | {heads[i]}" for i in range(first, len(heads))]
