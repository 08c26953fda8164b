"""Faults in the code of an op, a pass or a cost model, whoever wrote it, as opposed to faults in a model."""

from __future__ import annotations

from ircost.ir.errors import IrcError


class InternalError(IrcError):
    """A fault of whoever wrote a part of the toolkit or of a plug-in, not of its user.

    Attributes:
        part: what is at fault: ``pass``, ``op``, ``cost model``.
        author: the module that it is written in.
    """

    part: str
    author: str


def fault_behind(error: BaseException) -> InternalError | None:
    """The fault that led to an error, the innermost of several: a pass that an op fails in is not to blame."""
    found: InternalError | None = None
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, InternalError):
            found = current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return found


def is_ours(module: str | None) -> bool:
    """Whether a module belongs to this package; what was made by ``exec`` has none."""
    return (module or "").partition(".")[0] == "ircost"
