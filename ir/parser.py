"""The text format, read: lark's grammar drives a builder that makes the IR as it goes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedInput

from ircost.ir.attributes import Attribute
from ircost.ir.constant_text import WORDS, WrittenData
from ircost.ir.definition import OPS, OpDefinition
from ircost.ir.errors import IrcError, ParseError, did_you_mean
from ircost.ir.graph import Block, Function, Module, Op, Region, Value
from ircost.ir.location import Location
from ircost.ir.parse_source import Source
from ircost.ir.types import DTYPES, MAX_ELEMENTS, DType, TensorType, parse_type

MAX_DEPTH = 64  # brackets within brackets; deeper text is an attack or a mistake


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
    return parse_text(text, file, locate=locate).module


@dataclass(frozen=True, slots=True)
class ParsedText:
    """A module and where its ops stand in the text that it was read from."""

    module: Module
    source: Source
    places: Mapping[Op, Token]


def parse_text(text: str, file: str = "<text>", *, locate: bool = False) -> ParsedText:
    """As `parse_module`, with the places of ops."""
    text = text.removeprefix("\ufeff")  # a mark that editors of other systems write first
    source = Source(text, file)
    builder = _ModuleBuilder(source, locate)
    grammar = files("ircost.ir").joinpath("ir.lark").read_text()
    try:
        Lark(grammar, parser="lalr", transformer=builder, maybe_placeholders=False).parse(text)
    except UnexpectedInput as error:
        raise source.syntax_error(error) from None
    return ParsedText(builder.module, source, builder.places)


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
        self.data: WrittenData | None = None
        self.regions: list[Region] = []


class _ModuleBuilder(Transformer[Token, Any]):
    """A method for each rule of the grammar, called as soon as the rule is complete."""

    def __init__(self, source: Source, locate: bool) -> None:
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
        self.places: dict[Op, Token] = {}

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
            elif isinstance(part, WrittenData):
                pending.data = part
        self.pending.append(pending)

    def _find(self, names: Token) -> list[Value]:
        if self.scope is None:
            self.source.fail(names, "a value is outside any function")
        values = []
        for name in re.split(" *, *", names):
            value = self.scope.find(name)
            if value is None:
                self.source.fail(names, f"{name} is not defined here", did_you_mean(name, self.scope.names()))
            values.append(value)
        return values

    def region_head(self, children: list[Any]) -> None:
        pending = self.pending[-1]
        self._check_label(children[0], pending)
        arguments = children[1] if len(children) > 1 else ()
        block = Block([type for _, type in arguments])
        pending.regions.append(Region(block))
        self._enter(block, arguments, None if pending.definition.is_isolated else self.scope)

    def _check_label(self, token: Token, pending: _Pending) -> None:
        """Bodies stand in the order in which their op declares them: the `else` of an `if` is never its `then`."""
        label, labels = str(token)[:-1], pending.definition.region_names
        place = len(pending.regions)
        if place < len(labels) and label != labels[place]:
            self.source.fail(token, f"body '{label}' where '{labels[place]}' of {pending.definition.name} is due")

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
        self.places[op] = pending.token
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
                token, f"{definition.name} needs its result types", "write them after a colon: ' : 2x3xf32'"
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
            self.source.fail(children[0], f"'{word}' is not a value", did_you_mean(word, [*WORDS, *DTYPES]))
        return WORDS[word]

    def negative(self, children: list[Token]) -> float:
        if str(children[0]) != "inf":
            self.source.fail(children[0], f"'-{children[0]}' is not a value", "-inf?")
        return float("-inf")

    def type(self, children: list[Token]) -> DType | TensorType:
        text = str(children[0])
        return DTYPES[text] if text in DTYPES else self._type(children[0])

    def sequence(self, children: list[Attribute]) -> tuple[Attribute, ...]:
        if nesting(children) > MAX_DEPTH:
            raise ParseError(f"lists nest deeper than {MAX_DEPTH}", at=self.source.file)
        return tuple(children)

    # ---- constants: read once their type is known

    def data(self, children: list[Token]) -> WrittenData:
        return WrittenData(self.source, children[0])


def nesting(values: Sequence[Attribute]) -> int:
    """How deep lists stand within lists."""
    return 1 + max((nesting(value) for value in values if isinstance(value, tuple)), default=0)


def symbol_name(token: Token) -> str:
    """``@name`` or ``@"any name"`` as a name."""
    text = str(token)[1:]
    return str(json.loads(text, strict=False)) if text.startswith('"') else text
