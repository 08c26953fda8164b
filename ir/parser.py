"""The text format, read: lark's grammar drives a builder that makes the IR as it goes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any, NoReturn

import numpy as np
from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedInput, UnexpectedToken

from ircost.ir.attributes import Attribute
from ircost.ir.constant import ConstantData, FileSlice, Literal, Missing, Splat, is_value_of
from ircost.ir.definition import OPS, OpDefinition
from ircost.ir.errors import IrcError, ParseError, did_you_mean
from ircost.ir.graph import Block, Function, Module, Op, Region, Value
from ircost.ir.location import Location
from ircost.ir.numpy_dtypes import numpy_dtype
from ircost.ir.types import DTYPES, DType, TensorType, parse_dtype, parse_type

MAX_DEPTH = 64  # brackets within brackets; deeper text is an attack or a mistake
MAX_ELEMENTS = 1 << 40  # of a tensor, as in the frontends: no real one has more


def parse_module(text: str, file: str = "<text>", *, locate: bool = False) -> Module:
    """Reads a module; it is not verified yet.

    Args:
        text: what `print_module` writes; result types and locations may be left out where they follow.
        file: named in messages.
        locate: an op without a location gets the name of its first result, as written, for its node: ``%y``, of
            functions beside ``main`` ``@layer/%y``.

    Raises:
        ParseError: not the text format, or an op that does not fit its operands; gives line, column and a caret.
    """
    text = text.removeprefix("\ufeff")  # a mark that editors of other systems write first
    source = _Source(text, file)
    builder = _ModuleBuilder(source, locate)
    grammar = files("ircost.ir").joinpath("ir.lark").read_text()
    try:
        Lark(grammar, parser="lalr", transformer=builder, maybe_placeholders=False).parse(text)
    except UnexpectedInput as error:
        raise source.syntax_error(error) from None
    return builder.module


class _Source:
    """The text, and how to point into it."""

    def __init__(self, text: str, file: str) -> None:
        self.lines = text.split("\n")
        self.file = file

    def fail(self, at: Token, message: str, help: str | None = None) -> NoReturn:
        raise self.error(at.line or 1, at.column or 1, message, help)

    def error(self, line: int, column: int, message: str, help: str | None = None) -> ParseError:
        shown = self.lines[min(line, len(self.lines)) - 1]
        start = max(column - 81, 0)  # of a line of megabytes, the part around the caret
        shown = shown[start : start + 160]
        caret = " " * (column - 1 - start) + "^"
        return ParseError(
            f"{self.file}:{line}:{column}: {message}", at=_Excerpt([f"  {shown}", f"  {caret}"]), help=help
        )

    def syntax_error(self, error: UnexpectedInput) -> ParseError:
        line, column = max(error.line, 1), max(error.column, 1)
        if isinstance(error, UnexpectedToken) and error.token.type == "$END":
            line, column = len(self.lines), len(self.lines[-1]) + 1
            return self.error(line, column, "the text ends here, in the middle of something", "is a '}' missing?")
        if "TYPE" in wanted_terminals(error):
            word = re.match(r"[\w<=.-]*", self.lines[line - 1][column - 1 :])
            if word and word[0]:
                return self.error(line, column, f"'{word[0]}' is no type", type_help(word[0]))
        found = repr(str(error.token)) if isinstance(error, UnexpectedToken) else "this character"
        return self.error(line, column, f"{found} does not belong here", _expectation(error))


class _Excerpt:
    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def describe(self) -> list[str]:
        return self.lines


def wanted_terminals(error: UnexpectedInput) -> list[str]:
    wanted = getattr(error, "accepts", None) or getattr(error, "expected", None) or getattr(error, "allowed", None)
    return sorted(wanted or ())


def type_help(word: str) -> str:
    """How a type is written, or which number format was meant."""
    *extents, name = word.split("x")
    if name and name not in DTYPES and all(extent.removeprefix("<=").isdigit() for extent in extents):
        return did_you_mean(name, DTYPES)
    return "write it like 2x3xf32, or f32 for a scalar"


def _expectation(error: UnexpectedInput) -> str | None:
    words = [TERMINALS.get(name, name.lower()) for name in wanted_terminals(error)]
    return f"expected {', '.join(dict.fromkeys(words[:8]))}" if words else None


TERMINALS = {
    **{"LBRACE": "{", "RBRACE": "}", "LPAR": "(", "RPAR": ")", "LSQB": "[", "RSQB": "]", "COLON": ":", "EQUAL": "="},
    **{"COMMA": ",", "__ANON_0": "->", "VALUES": "%value", "SYMBOL": "@name", "NAME": "a name", "TYPE": "a type"},
    **{
        "STRING": "a string",
        "NUMBER": "a number",
        "LABEL": "a body",
        "LOC": "loc(...)",
        "FUNC": "func",
        "$END": "the end",
    },
}


class _Scope:
    """Values by name. An isolated scope does not see those around it."""

    def __init__(self, block: Block, outer: _Scope | None) -> None:
        self.block = block
        self.outer = outer
        self.values: dict[str, Value] = {}
        self.depth: int = outer.depth + 1 if outer else 0

    def find(self, name: str) -> Value | None:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.outer
        return None

    def names(self) -> list[str]:
        return [*self.values, *(self.outer.names() if self.outer else [])]


class _Pending:
    """An op whose regions and types are still to come."""

    def __init__(self, token: Token, definition: OpDefinition, results: list[str], operands: list[Value]) -> None:
        self.token = token
        self.definition = definition
        self.results = results
        self.operands = operands
        self.attrs: dict[str, Attribute] = {}
        self.data: _Data | None = None
        self.regions: list[Region] = []


class _ModuleBuilder(Transformer[Token, Any]):
    """A method for each rule of the grammar, called as soon as the rule is complete."""

    def __init__(self, source: _Source, locate: bool) -> None:
        super().__init__()
        self.source = source
        self.locate = locate
        self.module = Module()
        self.scope: _Scope | None = None
        self.scopes: list[_Scope | None] = []
        self.pending: list[_Pending] = []
        self.types_read: dict[str, TensorType] = {}
        self.results: list[TensorType] = []
        self.function_token: Token | None = None

    # ---- module and functions

    def header(self, children: list[Any]) -> None:
        self.module.name = symbol_name(children[0])
        self.module.attrs = children[1] if len(children) > 1 else {}

    def function_head(self, children: list[Any]) -> None:
        token, *rest = children
        arguments = rest.pop(0) if rest and isinstance(rest[0], tuple) else ()
        self.results = rest[0]
        self.function_token = token
        name = symbol_name(token)
        if name in self.module.functions:
            self.source.fail(token, f"function @{name} is there already")
        function = Function(name, [type for _, type in arguments], rest[1] if len(rest) > 1 else None)
        self.module.add(function)
        self._enter(function.block, arguments, outer=None)

    def function(self, children: list[Any]) -> None:
        assert self.scope is not None and self.function_token is not None
        last = self.scope.block.last
        if last is not None and last.name == "return":
            actual = [value.type for value in last.operands]
            if actual != self.results:
                self.source.fail(self.function_token, f"declared to return {self.results}, it returns {actual}")
        self._leave()

    def arguments(self, children: list[Any]) -> tuple[tuple[Token, TensorType], ...]:
        return tuple(children)

    def argument(self, children: list[Any]) -> tuple[Token, TensorType]:
        name, type = children
        return name, self._type(type)

    def _enter(self, block: Block, arguments: tuple[tuple[Token, TensorType], ...], outer: _Scope | None) -> None:
        self.scopes.append(self.scope)
        if len(self.scopes) > MAX_DEPTH:
            raise ParseError(f"bodies nest deeper than {MAX_DEPTH}", at=self.source.file)
        self.scope = _Scope(block, outer)
        for (token, _), value in zip(arguments, block.arguments, strict=True):
            self._define(token, str(token), value)

    def _leave(self) -> None:
        self.scope = self.scopes.pop()

    def _define(self, token: Token, name: str, value: Value) -> None:
        assert self.scope is not None
        if self.scope.find(name) is not None:
            self.source.fail(token, f"{name} is defined already")
        self.scope.values[name] = value
        value.name = None if name[1:].isdigit() else name[1:]

    # ---- ops

    def op_with_results(self, children: list[Any]) -> None:
        results, name, *rest = children
        self._begin(name, re.split(" *, *", results), rest)

    def op_without_results(self, children: list[Any]) -> None:
        name, *rest = children
        self._begin(name, [], rest)

    def _begin(self, token: Token, results: list[str], rest: list[Any]) -> None:
        name = str(token)
        if name not in OPS:
            self.source.fail(token, f"no op '{name}'", did_you_mean(name, OPS.names(), "irc ops lists all"))
        operands = [self._find(part) for part in rest[:1] if isinstance(part, Token)]
        pending = _Pending(token, OPS.get(name), results, operands[0] if operands else [])
        for part in rest:
            if isinstance(part, dict):
                pending.attrs.update(part)
            elif isinstance(part, _Data):
                pending.data = part
        self.pending.append(pending)

    def _find(self, names: Token) -> list[Value]:
        if self.scope is None:
            self.source.fail(names, "a value stands outside of any function")
        values = []
        for name in re.split(" *, *", names):
            value = self.scope.find(name)
            if value is None:
                self.source.fail(names, f"{name} is not defined here", did_you_mean(name, self.scope.names()))
            values.append(value)
        return values

    def region_head(self, children: list[Any]) -> None:
        pending = self.pending[-1]
        arguments = children[1] if len(children) > 1 else ()
        block = Block([type for _, type in arguments])
        pending.regions.append(Region(block))
        self._enter(block, arguments, None if pending.definition.is_isolated else self.scope)

    def region(self, children: list[Any]) -> None:
        self._leave()

    def op(self, children: list[Any]) -> None:
        pending = self.pending.pop()
        types = next((part for part in children if isinstance(part, list)), None)
        location = next((part for part in children if isinstance(part, Location)), None)
        assert self.scope is not None
        op = self._make(pending, types, location or self._place(pending))
        if len(op.results) != len(pending.results):
            self.source.fail(pending.token, f"{op.name} has {len(op.results)} results, {len(pending.results)} named")
        self.scope.block.append(op)
        for name, value in zip(pending.results, op.results, strict=True):
            self._define(pending.token, name, value)

    def _place(self, pending: _Pending) -> Location | None:
        if not self.locate or not pending.results:
            return None
        assert self.function_token is not None
        function = symbol_name(self.function_token)
        prefix = "" if function == "main" else f"@{function}/"
        return Location(self.source.file, (prefix + pending.results[0],))

    def _make(self, pending: _Pending, types: list[TensorType] | None, location: Location | None) -> Op:
        definition, token = pending.definition, pending.token
        if types is None and definition.needs_result_types:
            self.source.fail(
                token, f"{definition.name} needs its result types", "write them behind a colon: ' : 2x3xf32'"
            )
        if pending.regions and len(pending.regions) != len(definition.region_names):
            self.source.fail(
                token, f"{definition.name} has {len(definition.region_names)} bodies, {len(pending.regions)} given"
            )
        if any(region.block.last is None for region in pending.regions):
            self.source.fail(token, f"a body of {definition.name} is empty", "end it with 'yield'")
        try:
            if pending.data is not None and types:
                pending.attrs["value"] = pending.data.of_type(types[0])
            op = definition.create(
                pending.operands,
                pending.attrs,
                regions=pending.regions,
                result_types=types if definition.needs_result_types else None,
                location=location,
            )
        except ParseError:
            raise
        except IrcError as error:
            self.source.fail(token, error.message, error.help)
        if types is not None and types != [result.type for result in op.results]:
            self.source.fail(token, f"{definition.name} gives {[r.type for r in op.results]}, {types} written")
        return op

    # ---- types, locations, attributes

    def typed(self, children: list[Any]) -> list[TensorType]:
        return children[0]  # type: ignore[no-any-return]

    def types(self, children: list[Token]) -> list[TensorType]:
        return [self._type(token) for token in children]

    def _type(self, token: Token) -> TensorType:
        text = str(token)
        if text not in self.types_read:
            type = parse_type(text)
            if type.elements > MAX_ELEMENTS:
                self.source.fail(token, f"a tensor of {text} is larger than any memory")
            self.types_read[text] = type
        return self.types_read[text]

    def location(self, children: list[Token]) -> Location:
        file, *nodes = (self._string(token) for token in children)
        return Location(file, tuple(nodes))

    def attributes(self, children: list[tuple[Token, Attribute]]) -> dict[str, Attribute]:
        attrs: dict[str, Attribute] = {}
        for name, value in children:
            if name in attrs:
                self.source.fail(name, f"attribute '{name}' is given twice")
            attrs[str(name)] = value
        return attrs

    def attribute(self, children: list[Any]) -> tuple[Token, Attribute]:
        name, value = children
        return name, value

    def number(self, children: list[Token]) -> int | float:
        text = str(children[0])
        if re.fullmatch(r"-?\d{1,400}", text):
            return int(text)
        return float(text)

    def string(self, children: list[Token]) -> str:
        return self._string(children[0])

    def _string(self, token: Token) -> str:
        try:
            return str(json.loads(str(token), strict=False))
        except ValueError:
            self.source.fail(token, "not a string", 'escape it as JSON does: "\\n", "\\u00e9"')

    def word(self, children: list[Token]) -> Attribute:
        word = str(children[0])
        if word not in WORDS:
            self.source.fail(children[0], f"'{word}' is no value", did_you_mean(word, [*WORDS, *DTYPES]))
        return WORDS[word]

    def negative(self, children: list[Token]) -> float:
        if str(children[0]) != "inf":
            self.source.fail(children[0], f"'-{children[0]}' is no value", "-inf?")
        return float("-inf")

    def type(self, children: list[Token]) -> DType | TensorType:
        text = str(children[0])
        return DTYPES[text] if text in DTYPES else self._type(children[0])

    def sequence(self, children: list[Attribute]) -> tuple[Attribute, ...]:
        if nesting(children) > MAX_DEPTH:
            raise ParseError(f"lists nest deeper than {MAX_DEPTH}", at=self.source.file)
        return tuple(children)

    # ---- constants: read once their type is known

    def data(self, children: list[Token]) -> _Data:
        return _Data(self.source, children[0])


def nesting(values: Sequence[Attribute]) -> int:
    """How deep lists stand within lists."""
    return 1 + max((nesting(value) for value in values if isinstance(value, tuple)), default=0)


WORDS: dict[str, Attribute] = {"true": True, "false": False, "inf": float("inf"), "nan": float("nan")}


class _Data:
    """The data of a constant as written."""

    def __init__(self, source: _Source, token: Token) -> None:
        self.source = source
        self.token = token

    def of_type(self, type: TensorType) -> ConstantData:
        kind, content = str(self.token)[:-1].split("<", 1)
        try:
            return READERS[kind](content, type)
        except (ValueError, OverflowError) as error:
            self.source.fail(self.token, f"not the data of a {type}: {error}")


def read_dense(content: str, type: TensorType) -> Literal:
    numbers, _, stored = content[1:].partition("]")
    dtype = parse_dtype(stored.strip(", ")) if stored else type.dtype
    words = [word.strip() for word in numbers.split(",")] if numbers.strip() else []
    if len(words) != type.elements:
        raise ValueError(f"{len(words)} elements, {type.elements} expected")
    values = [WORDS[word] if word in WORDS else (float(word) if dtype.is_float else int(word)) for word in words]
    for value in values if not dtype.is_float else ():
        check_value(value, dtype)  # type: ignore[arg-type]  # numbers and words that stand for numbers
    return Literal(
        np.array(values, dtype=None if dtype.is_float else object).astype(numpy_dtype(dtype)).tobytes(), dtype
    )


def read_hex(content: str, type: TensorType) -> Literal:
    digits, _, stored = content[1:].partition('"')
    dtype = parse_dtype(stored.strip(", ")) if stored else type.dtype
    data = bytes.fromhex(digits)
    if len(data) != type.elements * numpy_dtype(dtype).itemsize:
        raise ValueError(f"{len(data)} bytes, {type.elements * numpy_dtype(dtype).itemsize} expected")
    return Literal(data, dtype)


def read_splat(content: str, type: TensorType) -> Splat:
    word = content.strip()
    value: Any = WORDS[word] if word in WORDS else int(word) if re.fullmatch(r"-?\d{1,400}", word) else float(word)
    check_value(value, type.dtype)
    return Splat(value)


def check_value(value: float | int | bool, dtype: DType) -> None:
    """Raises ValueError where an integer format does not hold a number."""
    if not is_value_of(value, dtype):
        raise ValueError(f"{value} is no {dtype}")


def read_file(content: str, type: TensorType) -> FileSlice:
    path, rest = json.JSONDecoder(strict=False).raw_decode(content)
    offset, length, dtype = (word.strip() for word in content[rest:].lstrip(", ").split(","))
    return FileSlice(path, int(offset), int(length), parse_dtype(dtype))


def read_missing(content: str, type: TensorType) -> Missing:
    return Missing(json.loads(content, strict=False))


READERS: dict[str, Callable[[str, TensorType], ConstantData]] = {
    **{"dense": read_dense, "hex": read_hex, "splat": read_splat, "file": read_file, "missing": read_missing},
}


def symbol_name(token: Token) -> str:
    """``@name`` or ``@"any name"`` as a name."""
    text = str(token)[1:]
    return str(json.loads(text, strict=False)) if text.startswith('"') else text
