"""Targets: what machines can do."""

from ircost.backends.errors import TargetError
from ircost.backends.target import Target
from ircost.backends.target_files import load_target, target_names

__all__ = ["Target", "TargetError", "load_target", "target_names"]
