"""``irc opt``: IR in, passes, IR out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ircost.commands.options import OptionError, import_options, read_model, write_whole

if TYPE_CHECKING:
    from ircost.ir.graph import Module


@click.command()
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--passes", "pipeline", default="", help="Passes to run, such as 'canonicalize,fuse{max_ops=8}'.")
@click.option(
    "--print-ir-after", "print_after", multiple=True, metavar="PASS", help="Print the IR after a pass, on stderr."
)
@click.option("--print-ir-after-all", "print_all", is_flag=True, help="Print the IR after every pass, on stderr.")
@click.option("--stats", is_flag=True, help="How often each pattern fired, on stderr.")
@click.option("--timing", is_flag=True, help="How long each pass took, on stderr.")
@click.option("--no-verify-each", is_flag=True, help="Verify at the end only.")
@click.option("--locations", is_flag=True, help="Print the nodes of the user's model that each op stands for.")
@click.option("--reproduce", is_flag=True, help="FILE was left by a pass that failed: run its pipeline again.")
@import_options
@click.option("-o", "--output", default="-", metavar="FILE", help="Where to write; standard output where left out.")
def command(
    file: str,
    pipeline: str,
    print_after: tuple[str, ...],
    print_all: bool,
    stats: bool,
    timing: bool,
    no_verify_each: bool,
    locations: bool,
    reproduce: bool,
    dims: tuple[str, ...],
    shapes: tuple[str, ...],
    values: tuple[str, ...],
    allow_opaque: bool,
    output: str,
) -> None:
    """Read FILE (.irc, .onnx, or - for text on standard input), verify it, run passes, print the IR.

    Without passes it formats and checks.
    """
    from ircost.commands.printing import printer_after, say_stats
    from ircost.ir.printer import print_module
    from ircost.ir.verify import verify
    from ircost.passes import load_reproducer, parse_pipeline, run_pipeline

    passes = parse_pipeline(pipeline)
    if reproduce:
        module, passes = load_reproducer(file)
        verify(module)
    elif file == "-":
        module = read_text(sys.stdin.read(), "<stdin>")
    else:
        module = read_model(file, dims, shapes, values, allow_opaque).module
    after = printer_after(print_after, passes, every=print_all)
    reports = run_pipeline(module, passes, verify_each=not no_verify_each, after_pass=after)
    verify(module)
    if stats or timing:
        say_stats(reports, timing=timing)
    write_whole(output, print_module(module, locations=locations))


def read_text(text: str, name: str) -> Module:
    from ircost.ir.parser import parse_module
    from ircost.ir.verify import verify

    if not text.strip():
        raise OptionError(f"{name} is empty", help="give IR text, as 'irc opt' prints it")
    module = parse_module(text, name)
    verify(module)
    return module
