"""IR text as a valid module: parsed and verified; errors of either kind give line and column."""

from __future__ import annotations

from ircost.ir.errors import VerifyError
from ircost.ir.graph import Module
from ircost.ir.parser import ParsedText, parse_text
from ircost.ir.verify import faulty_op, verify


def read_module(text: str, file: str = "<text>", *, locate: bool = False) -> Module:
    """As `ircost.ir.parser.parse_module`, and verified.

    Raises:
        ParseError: not the text format.
        VerifyError: what it says breaks a rule of the IR.
    """
    parsed = parse_text(text, file, locate=locate)
    try:
        verify(parsed.module)
    except VerifyError as error:
        raise _placed(error, parsed) from None
    return parsed.module


def _placed(error: VerifyError, parsed: ParsedText) -> VerifyError:
    """The same error at its line; ops of a declared body stand in no text: the op that has the body does."""
    op = faulty_op(error)
    while op is not None and op not in parsed.places:
        op = op.parent
    if op is None:
        return VerifyError(f"{parsed.source.file}: {error.message}", at=error.at, help=error.help)
    token = parsed.places[op]
    found = parsed.source.error(token.line or 1, token.column or 1, error.message, error.help)
    return VerifyError(found.message, at=found.at, help=found.help)
