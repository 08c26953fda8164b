"""What commands print on stderr meanwhile: IR after passes, and what each pass did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import click

from ircost.commands.options import OptionError
from ircost.ir.graph import Module
from ircost.ir.printer import print_module
from ircost.passes import PASSES, Pass, PassReport, pipeline_text


def printer_after(
    names: Iterable[str], passes: Sequence[Pass], every: bool = False
) -> Callable[[Pass, Module], None] | None:
    """What prints the IR after the passes of these names; None where there is nothing to print.

    Raises:
        UnknownNameError: there is no such pass.
        OptionError: the pipeline does not run it.
    """
    wanted = {PASSES.get(name).name for name in names}
    for name in sorted(wanted - {instance.name for instance in passes}):
        running = f"the passes are {pipeline_text(tuple(passes))}" if passes else "name passes to run with --passes"
        raise OptionError(f"--print-ir-after {name}: that pass does not run", help=running)
    if not wanted and not every:
        return None

    def show(instance: Pass, module: Module) -> None:
        if every or instance.name in wanted:
            click.echo(f"// IR after {instance.name}\n{print_module(module)}", err=True)

    return show


def say_stats(reports: Sequence[PassReport], *, timing: bool = True, patterns: bool = True) -> None:
    """What each pass did: wall time, ops before and after, and how often each pattern fired."""
    for report in reports:
        time = f"{report.seconds * 1e3:9.2f} ms + {report.verify_seconds * 1e3:7.2f} ms verify  " if timing else ""
        click.echo(f"{time}{report.ops_before:7} -> {report.ops_after:7} ops  {report.text}", err=True)
        if patterns:
            say_fired(report)


def say_fired(report: PassReport) -> None:
    for name, times in sorted(report.fired.items(), key=lambda item: (-item[1], item[0])):
        if times:
            click.echo(f"    {times:7} x {name}", err=True)
