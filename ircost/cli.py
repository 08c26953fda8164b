"""The command line: finds the command and runs it. What a command needs is imported when it runs."""

from __future__ import annotations

import difflib
import gc
import importlib
import io
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from ircost import __version__
from ircost.failures import tell
from ircost.terminal import colour_choice

# Command -> (module, one line of help). The module is imported when the command runs, not to list it.
COMMANDS = {
    "compile": ("ircost.commands.compile", "Latency, energy and memory of a model on a target."),
    "diff": ("ircost.commands.diff", "What changes between two compilations, and why; a gate for CI."),
    "explain": ("ircost.commands.explain", "Where each figure comes from: terms, data sheets, fits."),
    "opt": ("ircost.commands.opt", "Read IR, run passes, print IR."),
    "run": ("ircost.commands.run", "Execute a model with the reference interpreter."),
    "evaluate": ("ircost.commands.evaluate", "Score a cost model on tables of measurements."),
    "predict": ("ircost.commands.predict", "Latency of single kernels, from a table or by their sizes."),
    "train": ("ircost.commands.train", "Learn corrections of the analytical model from measurements."),
    "calibrate": ("ircost.commands.calibrate", "Fit the analytical model's constants to measurements."),
    "measure": ("ircost.commands.measure", "Time kernels on this machine, as tables for fitting."),
    "reproduce": ("ircost.commands.reproduce", "Claims of papers, compared with predictions."),
    "targets": ("ircost.commands.targets", "The known machines, and the source of each figure."),
    "models": ("ircost.commands.models", "The models known by name, and their sources."),
    "passes": ("ircost.commands.passes", "The passes that pipelines are made of."),
    "ops": ("ircost.commands.ops", "The ops of the IR."),
}


class LazyGroup(click.Group):
    """Commands by the table above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        return importlib.import_module(COMMANDS[name][0]).command  # type: ignore[no-any-return]

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            near = difflib.get_close_matches(args[0], COMMANDS, n=2, cutoff=0.5)
            guess = f"did you mean {', '.join(near)}? " if near else ""
            raise click.UsageError(f"no command '{args[0]}'\n  help: {guess}(irc --help lists all)")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="irc", message="%(prog)s %(version)s")
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of an internal fault.")
@click.pass_context
def irc(ctx: click.Context, verbose: bool) -> None:
    """How fast will a network run on a machine, at what energy, and what limits it?

    \b
    irc compile model.onnx --target h100
    irc compile model.onnx --target l40s --dtype f16 --dim batch=8 --json

    Exit codes: 0 done; 1 the answer is no (does not fit); 2 your mistake; 70 ours.
    """
    ctx.color = colour_choice()
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a command line, and ends the process.

    Exit codes: 0 done; 1 the answer is no (does not fit); 2 the user's mistake; 70 our own fault; 130 interrupted.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name or a dot that the locale lacks must not end the report
        sys.stdout.reconfigure(errors="replace")
    code = run(sys.argv[1:] if arguments is None else arguments)
    gc.freeze()  # what is left is not looked through for garbage: all of it goes
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """The exit code of a command line; what it has to say is written."""
    try:
        code = irc.main(args=list(arguments), prog_name="irc", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except SystemExit:  # click's answer when whoever read our output has gone, as in `irc ops | head`
        return 0
    except Exception as error:
        return tell(error, arguments, verbose=any(flag in arguments for flag in ("-v", "--verbose")))
