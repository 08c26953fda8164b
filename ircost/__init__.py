"""A tensor IR and cost models: how fast will a network run on a machine, at what energy, and what limits it?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from ircost.report import Report

__version__ = "0.1.0"


def compile(model: str | Path | Any, target: str | Any = "h100_sxm", **options: Any) -> Report:
    """Latency, energy and memory of a model on a target; see ``ircost.api.compile_model`` for all options.

    The import of what it stands on waits for the first call, so that ``import ircost`` costs nothing.
    """
    from ircost.api import compile_model

    return compile_model(model, target, **options)
