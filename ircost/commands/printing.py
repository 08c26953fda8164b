"""What verbs print on the way: IR after passes, and what each pass did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import click

from ircost.ir.graph import Module
from ircost.ir.printer import print_module
from ircost.passes import PASSES, Pass, PassReport


def printer_after(
    names: Iterable[str], passes: Sequence[Pass], every: bool = False
) -> Callable[[Pass, Module], None] | None:
    """Prints the IR on stderr after the passes of these names.

    Raises:
        UnknownNameError: there is no such pass.
    """
    wanted = {PASSES.get(name).name for name in names}
    if not wanted and not every:
        return None

    def show(instance: Pass, module: Module) -> None:
        if every or instance.name in wanted:
            click.echo(f"// IR after {instance.name}\n{print_module(module)}", err=True)

    return show


def say_stats(reports: Sequence[PassReport], timing: bool = True) -> None:
    """What each pass did: time, ops before and after, and how often each pattern fired; on stderr."""
    for report in reports:
        time = f"{report.seconds * 1e3:9.2f} ms + {report.verify_seconds * 1e3:7.2f} ms verify  " if timing else ""
        click.echo(f"{time}{report.ops_before:7} -> {report.ops_after:7} ops  {report.text}", err=True)
        for name, times in sorted(report.fired.items(), key=lambda item: (-item[1], item[0])):
            if times:
                click.echo(f"    {times:7} x {name}", err=True)
