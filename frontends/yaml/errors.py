"""What can be wrong with a YAML graph."""

from __future__ import annotations

from ircost.ir.errors import IrcError


class YamlGraphError(IrcError):
    """A YAML graph cannot be read, or its layers do not fit together; the place has file, line and column."""
