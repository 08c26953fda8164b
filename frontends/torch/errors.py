"""What can be wrong with a module of PyTorch."""

from __future__ import annotations

from ircost.ir.errors import IrcError


class TorchError(IrcError):
    """A module cannot be exported, or an operator's arguments are not supported."""
