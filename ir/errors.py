"""Errors that a user can cause, and how they are reported: what is wrong, where, and how to fix it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Protocol


class Place(Protocol):
    """Anything an error can point at: an op, a source location, a line of text."""

    def describe(self) -> list[str]:
        """The place in the user's own terms, a line each, without indentation."""
        ...


class IrcError(Exception):
    """Base of every error that a user can cause; the command line prints it and exits with 2.

    Args:
        message: what is wrong, with the values in it.
        at: where: an op, a location, or a few words.
        help: how to mend it.
    """

    def __init__(self, message: str, *, at: Place | str | None = None, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.help = help
        self.at = at

    def place(self) -> list[str]:
        """The lines that say where."""
        if self.at is None:
            return []
        return [f"at {self.at}"] if isinstance(self.at, str) else self.at.describe()

    def render(self) -> str:
        """The whole message, as the command line prints it."""
        lines = [f"error: {self.message}", *(f"  {line}" for line in self.place())]
        if self.help:
            lines.append(f"  help: {self.help}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.render().removeprefix("error: ")


class ShapeError(IrcError):
    """Shapes of operands, or attributes that decide shapes, do not fit together."""


class DTypeError(IrcError):
    """Number formats of operands do not fit together."""


class OperandError(IrcError):
    """An operand is no value of the IR."""


class AttributeTypeError(IrcError):
    """An op's attribute is missing, unknown or of the wrong kind."""


class UnknownNameError(IrcError):
    """A name of an op, pass, target or the like that nothing is registered under."""


class PluginError(IrcError):
    """What another package adds cannot be loaded."""


class DeclarationError(IrcError):
    """An op is declared in a way that means nothing: a fault of the declaration, not of a model."""


class VerifyError(IrcError):
    """A module breaks a rule of the IR."""


class ParseError(IrcError):
    """A text is not in the language it should be in; the place has line, column and a caret."""


class InterpreterError(IrcError):
    """An op cannot be evaluated: wrong inputs, or values that are not there."""


class UnsupportedError(IrcError):
    """Understood, but not something the toolkit can do; never skipped, never costed as zero."""


def did_you_mean(name: str, known: Iterable[str], listing: str = "") -> str:
    """The help line for a misspelt name: the nearest known ones, and how to list all.

    >>> did_you_mean("h20", ["h100_sxm", "t4", "h200_sxm"])
    'did you mean h200_sxm?'
    >>> did_you_mean("H200-SXM", ["h100_sxm", "v100", "h200_sxm"])
    'did you mean h200_sxm, h100_sxm?'
    >>> did_you_mean("HGX H100 80GB", ["a100_80gb", "h100", "h100_sxm"])
    'did you mean h100, a100_80gb?'
    """
    known = sorted(known)
    written = {k: _as_spelt(k) for k in known}
    words = {k: set(spelt.split("_")) for k, spelt in written.items()}
    starts = [k for k in known if name and written[k].startswith(_as_spelt(name))]
    said = [k for k in known if words[k] <= set(_as_spelt(name).split("_"))]
    nearest = difflib.get_close_matches(_as_spelt(name), dict.fromkeys(written.values()), n=3, cutoff=0.5)
    close = [k for spelt in nearest for k in known if written[k] == spelt]
    most_said = sorted(said, key=lambda k: -len(words[k]))
    near = list(dict.fromkeys((*starts, *most_said, *close)))[:3]
    guess = f"did you mean {', '.join(near)}?" if near else ""
    if not guess and not listing:
        return "known: " + ", ".join(known[:20])
    return f"{guess} ({listing})".strip() if guess and listing else guess or listing


def _as_spelt(name: str) -> str:
    """A name without what people write differently: capitals, dashes, spaces."""
    return name.casefold().replace("-", "_").replace(" ", "_")
