"""The text being parsed, and errors that point into it."""

from __future__ import annotations

import re
from typing import NoReturn

from lark import Token
from lark.exceptions import UnexpectedInput, UnexpectedToken

from ircost.ir.errors import ParseError, did_you_mean
from ircost.ir.types import DTYPES


class Source:
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
            f"{self.file}:{line}:{column}: {message}", at=Excerpt([f"  {shown}", f"  {caret}"]), help=help
        )

    def syntax_error(self, error: UnexpectedInput) -> ParseError:
        line, column = max(error.line, 1), max(error.column, 1)
        if isinstance(error, UnexpectedToken) and error.token.type == "$END":
            line, column = len(self.lines), len(self.lines[-1]) + 1
            return self.error(line, column, "the text ends here, in the middle of something", "is a '}' missing?")
        if "TYPE" in wanted_terminals(error):
            word = re.match(r"[\w<=.-]*", self.lines[line - 1][column - 1 :])
            if word and word[0]:
                return self.error(line, column, f"'{word[0]}' is not a type", type_help(word[0]))
        found = repr(str(error.token)) if isinstance(error, UnexpectedToken) else "this character"
        return self.error(line, column, f"{found} does not belong here", _expectation(error))


class Excerpt:
    """Lines of the text below a message."""

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
    **{
        "LBRACE": "{",
        "RBRACE": "}",
        "LPAR": "(",
        "RPAR": ")",
        "LSQB": "[",
        "RSQB": "]",
        "COLON": ":",
        "EQUAL": "=",
        "MINUS": "-",
    },
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
