"""A tensor IR and cost models: how fast will a network run on a machine, at what energy, and what limits it?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from ircost.alternatives import WhatIf
    from ircost.comparing import Comparison
    from ircost.report import Report

__version__ = "0.1.0"


def compile(model: str | Path | Any, target: str | Any = "h100_sxm", **options: Any) -> Report:
    """Latency, energy and memory of a model on a target; see ``ircost.api.compile_model`` for all options.

    The import of what it stands on waits for the first call, so that ``import ircost`` costs nothing.
    """
    from ircost.api import compile_model

    return compile_model(model, target, **options)


def diff(report_a: Report | str | Path, report_b: Report | str | Path) -> Comparison:
    """What changes from one report to another, kernel by kernel, and why; see ``ircost.comparing.compare``.

    Args:
        report_a, report_b: what ``compile`` gave, or JSON files that ``irc compile --json`` wrote.
    """
    from ircost.comparing import compare

    return compare(report_a, report_b)


def what_if(model: str | Path | Any, target: str | Any = "h100_sxm", **options: Any) -> WhatIf:
    """What would help most: each resource, pass, number format and more changed alone.

    Options are those of ``compile``; see ``ircost.alternatives.what_if``.
    """
    from ircost.alternatives import what_if as ask

    return ask(model, target, **options)
