"""``irc opt``: IR in, passes, IR out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from ircost.commands.options import OptionError, check_pipeline_options, import_options, read_model
from ircost.commands.output import told_if_unwritable, write_whole

if TYPE_CHECKING:
    from ircost.ir.graph import Module
    from ircost.passes import Pass, PassContext

LEVELS_TARGET = "h100_sxm"


@click.command()
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--passes", "pipeline", metavar="PIPELINE", help="Passes to run: 'canonicalize,fuse{max_ops=8}'.")
@click.option(
    "--opt", type=click.IntRange(0, 3), help="Passes by level, 0 to 3, as of irc compile (irc passes --levels)."
)
@click.option("--target", "-t", help="Machine that passes weigh costs on.  [default: h100_sxm with --opt, else none]")
@click.option(
    "--print-ir-after", "print_after", multiple=True, metavar="PASS", help="Print the IR after a pass, on stderr."
)
@click.option("--print-ir-after-all", "print_all", is_flag=True, help="Print the IR after every pass, on stderr.")
@click.option("--stats", is_flag=True, help="Print how often each pattern fired, on stderr.")
@click.option("--timing", is_flag=True, help="Print how long each pass took, on stderr.")
@click.option("--no-verify-each", is_flag=True, help="Verify at the end only.")
@click.option("--locations", is_flag=True, help="Print the nodes of the user's model that each op stands for.")
@click.option("--reproduce", is_flag=True, help="FILE was left by a pass that failed: run its pipeline again.")
@import_options
@click.option("-o", "--output", default="-", metavar="FILE", help="Where to write: IR text, or ONNX by the name .onnx.")
def command(
    file: str,
    pipeline: str | None,
    opt: int | None,
    target: str | None,
    print_after: tuple[str, ...],
    print_all: bool,
    stats: bool,
    timing: bool,
    no_verify_each: bool,
    locations: bool,
    reproduce: bool,
    output: str,
    **bindings: Any,
) -> None:
    """Read FILE (.irc, .onnx, or - for text on standard input), verify it, run passes, print the IR.

    Without passes it formats and checks.
    """
    from ircost.commands.printing import printer_after, say_stats
    from ircost.ir.collector import collector_paused
    from ircost.ir.printer import print_module
    from ircost.ir.verify import verify
    from ircost.passes import parse_pipeline, run_pipeline

    check_pipeline_options(pipeline, opt)
    context = context_of(target if opt is None else target or LEVELS_TARGET)
    with collector_paused():
        passes = parse_pipeline((pipeline or "") if opt is None else level_text(opt, context))
        module, passes = read_reproducer(file) if reproduce else (read(file, **bindings), passes)
        after = printer_after(print_after, passes, every=print_all)
        reports = run_pipeline(module, passes, context=context, verify_each=not no_verify_each, after_pass=after)
        verify(module)
        if output.endswith(".onnx"):
            from ircost.backends.onnx import write_onnx

            with told_if_unwritable(output):
                write_onnx(module, output)
        else:
            write_whole(output, print_module(module, locations=locations))
    if stats or timing:
        say_stats(reports, timing=timing, patterns=stats)


def context_of(target: str | None) -> PassContext:
    """What passes may ask: as in ``irc compile`` where a machine is named."""
    from ircost.passes import PassContext

    if target is None:
        return PassContext()
    from ircost.backends import load_target
    from ircost.cost_models.automatic import search_model

    machine = load_target(target)
    return PassContext(machine, search_model(machine))


def level_text(opt: int, context: PassContext) -> str:
    from ircost.passes import pipeline_of_level

    assert context.target is not None, "a level is for a machine"
    return pipeline_of_level(opt, context.target.kind, context.target.runtime)


def read(file: str, **bindings: Any) -> Module:
    """A verified module out of a file or of standard input."""
    if file != "-":
        return read_model(file, **bindings).module
    from ircost.ir.reading import read_module

    text = sys.stdin.read()
    if not text.strip():
        raise OptionError("standard input is empty", help="give IR text, as 'irc opt' prints it")
    return read_module(text, "<stdin>")


def read_reproducer(file: str) -> tuple[Module, tuple[Pass, ...]]:
    """What a failed pass left behind."""
    from ircost.ir.verify import verify
    from ircost.passes import load_reproducer

    try:
        module, passes = load_reproducer(file)
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"cannot read {file}: {error}", help="give the .irc file that a failed pass left") from None
    verify(module)
    return module, passes
