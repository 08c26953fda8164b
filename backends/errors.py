"""What a user can get wrong about machines."""

from __future__ import annotations

from ircost.ir.errors import IrcError


class TargetError(IrcError):
    """A target is not there, its file is wrong, or it lacks what was asked of it."""
