"""The command line: finds the verb, and tells what went wrong. What a verb needs is imported when it runs."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import tempfile
import traceback
from typing import Any, NoReturn

import click

from ircost import __version__

EXIT_USER_MISTAKE = 2
EXIT_INTERNAL = 70
EXIT_INTERRUPTED = 130

# Verb -> (module, one line of help). The module is imported when the verb is run, not to list it.
VERBS = {
    "compile": ("ircost.commands.compile", "Latency, energy and memory of a model on a target."),
    "opt": ("ircost.commands.opt", "Read IR, run passes, print IR."),
    "run": ("ircost.commands.run", "Execute a model with the reference interpreter."),
    "targets": ("ircost.commands.targets", "The machines that are known, and their figures."),
    "passes": ("ircost.commands.passes", "The passes that pipelines are made of."),
    "ops": ("ircost.commands.ops", "The ops of the IR."),
}


class LazyGroup(click.Group):
    """Verbs by the table above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        return importlib.import_module(VERBS[name][0]).command  # type: ignore[no-any-return]

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in VERBS:
            near = difflib.get_close_matches(args[0], VERBS, n=2, cutoff=0.4)
            guess = f"did you mean {', '.join(near)}? " if near else ""
            raise click.UsageError(f"no command '{args[0]}'\n  help: {guess}(irc --help lists all)")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in VERBS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="irc", message="%(prog)s %(version)s")
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of an internal fault.")
@click.pass_context
def irc(ctx: click.Context, verbose: bool) -> None:
    """How fast will a network run on a machine, at what energy, and what limits it?

    \b
    irc compile model.onnx --target h100
    irc compile model.onnx --target l40s --dtype f16 --dim batch=8 --json
    """
    ctx.obj = {"verbose": verbose}


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs a command line.

    Exit codes: 0 done; 1 the answer is no (does not fit); 2 the user's mistake; 70 our own fault; 130 interrupted.
    """
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """The exit code of a command line; what it has to say is written."""
    from ircost.ir.errors import IrcError

    try:
        code = irc.main(args=arguments, prog_name="irc", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.Abort:
        return EXIT_INTERRUPTED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone, as in `irc ops | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except click.ClickException as error:
        say_error(f"error: {error.format_message()}")
        return EXIT_USER_MISTAKE
    except IrcError as error:
        say_error(error.render())
        return EXIT_INTERNAL if is_internal(error) else EXIT_USER_MISTAKE
    except Exception as error:  # our own fault: one line for the user, the rest in a file
        say_error(describe_fault(error, arguments))
        if "-v" in arguments or "--verbose" in arguments:
            traceback.print_exc()
        return EXIT_INTERNAL


def is_internal(error: Exception) -> bool:
    """Whether a pass failed or broke the module; the class is looked up only where passes are loaded."""
    pipeline = sys.modules.get("ircost.passes.pipeline")
    return pipeline is not None and isinstance(error, pipeline.InternalPassError)


def say_error(text: str) -> None:
    """On stderr; ``error:`` in red on a terminal, unless NO_COLOR is set."""
    head, _, rest = text.partition(":")
    colour = (sys.stderr.isatty() and not os.environ.get("NO_COLOR")) or bool(os.environ.get("FORCE_COLOR"))
    click.echo((click.style(head + ":", fg="red", bold=True) if colour else head + ":") + rest, err=True, color=colour)


def describe_fault(error: Exception, arguments: list[str]) -> str:
    with tempfile.NamedTemporaryFile("w", prefix="irc-fault-", suffix=".txt", delete=False) as file:
        file.write(f"irc {__version__}, Python {sys.version}\nirc {' '.join(arguments)}\n\n")
        traceback.print_exception(error, file=file)
    return (
        f"error: internal fault: {type(error).__name__}: {error}\n"
        f"  this is a fault of irc, not of your model; what is needed to mend it is in {file.name}"
    )
