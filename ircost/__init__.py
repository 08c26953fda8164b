"""A tensor IR and cost models: how fast will a network run on a machine, at what energy, and what limits it?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ircost.alternatives import WhatIf
    from ircost.comparing import Comparison
    from ircost.frontends import Imported
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


def from_torch(
    module: Any,
    example_inputs: Sequence[Any] = (),
    dynamic_shapes: Any = None,
    *,
    kwargs: Mapping[str, Any] | None = None,
    dims: Mapping[str, int] | None = None,
    allow_opaque: bool = False,
) -> Imported:
    """A module of PyTorch, by ``torch.export``; what ``compile`` takes. Needs the extra ``torch``.

    Weights are not copied: constants refer to the tensors, so a module on the meta device costs no memory at all.

    Args:
        module: a ``torch.nn.Module`` in eval mode, or a ``torch.export.ExportedProgram`` with fixed shapes.
        example_inputs: as the module is called; their shapes are those that are costed.
        dynamic_shapes: names for axes, as ``torch.export.export`` takes them: ``({0: "batch"},)``.
        kwargs: example inputs by name.
        dims: extents of named axes in place of the examples' own.
        allow_opaque: let operators pass that are not known; their cost is then unknown, and the report lists them.

    Raises:
        IrcError: PyTorch is not installed, the module cannot be exported, or has an operator that is not known.
    """
    from ircost.frontends.load import load_torch

    return load_torch(module, example_inputs, dynamic_shapes, kwargs=kwargs, dims=dims, allow_opaque=allow_opaque)
