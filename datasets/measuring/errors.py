"""What can go wrong with measurements: of all of them, or of one case."""

from __future__ import annotations

from ircost.ir.errors import IrcError


class MeasureError(IrcError):
    """Nothing can be measured: a library, a device or an option is not what it should be."""


class CaseError(Exception):
    """One case cannot be run, or its result is wrong; the message is a reason that many cases may share."""
