"""Targets: what machines can do."""

from ircost.backends.errors import TargetError
from ircost.backends.runtime import RUNTIMES, Runtime
from ircost.backends.target import Target
from ircost.backends.target_files import load_target, target_names
from ircost.backends.target_parts import Link

__all__ = ["RUNTIMES", "Link", "Runtime", "Target", "TargetError", "load_target", "target_names"]
