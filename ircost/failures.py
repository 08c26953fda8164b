"""The one place where the command line tells what went wrong, and picks the exit code."""

from __future__ import annotations

import errno
import sys
import tempfile
import traceback
from collections.abc import Sequence

import click

from ircost import __version__
from ircost.terminal import colour_choice

EXIT_USER_MISTAKE = 2
EXIT_INTERNAL = 70
EXIT_INTERRUPTED = 130

# What writing to standard output may end with, where that is a file or a full disk.
OF_OUTPUT = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
OUR_FAULT = "  this is a fault of irc, not of your model; please report it with that file"


def tell(error: Exception, arguments: Sequence[str], verbose: bool = False) -> int:
    """Writes on stderr what went wrong.

    Args:
        error: what a verb raised.
        arguments: the command line, for the file about a fault of ours.
        verbose: show the traceback of a fault of ours.

    Returns:
        The exit code: 2 for the user's mistake, 70 for our own fault, 130 when interrupted.
    """
    if isinstance(error, click.exceptions.Abort):
        return EXIT_INTERRUPTED
    if isinstance(error, click.ClickException):
        say(usage_text(error))
        return EXIT_USER_MISTAKE
    if isinstance(error, OSError) and error.filename is None and error.errno in OF_OUTPUT:
        say(f"error: cannot write to standard output: {error.strerror}\n  help: make room, or write elsewhere")
        return EXIT_USER_MISTAKE
    return tell_failure(error, arguments, verbose)


def tell_failure(error: Exception, arguments: Sequence[str], verbose: bool) -> int:
    from ircost.ir.errors import IrcError

    internal = not isinstance(error, IrcError) or is_internal(error)
    text = error.render() if isinstance(error, IrcError) else fault_text(error, arguments)
    say(f"{text}\n{whose_fault(error)}" if internal else text)
    if internal and verbose:
        traceback.print_exception(error)
    return EXIT_INTERNAL if internal else EXIT_USER_MISTAKE


def is_internal(error: Exception) -> bool:
    """Whether a pass failed or broke the module; the class is looked up only where passes are loaded."""
    pipeline = sys.modules.get("ircost.passes.pipeline")
    return pipeline is not None and isinstance(error, pipeline.InternalPassError)


def whose_fault(error: Exception) -> str:
    """Ours, or that of somebody else's pass."""
    author = getattr(error, "author", "ircost")
    return OUR_FAULT if author.partition(".")[0] == "ircost" else f"  this is a fault of the pass, in {author}"


def usage_text(error: click.ClickException) -> str:
    """What click found wrong with the command line, in the form that all our errors have."""
    message, _, help = error.format_message().partition("\n  help: ")
    context = getattr(error, "ctx", None)
    listing = f"{context.command_path if context else 'irc'} --help tells more"
    if isinstance(error, click.NoSuchOption):
        message = f"no option '{error.option_name}'"
        near = ", ".join(error.possibilities or ())
        listing = f"did you mean {near}? ({listing})" if near else listing
    return f"error: {message[:1].lower()}{message[1:].rstrip('.')}\n  help: {help or listing}"


def fault_text(error: Exception, arguments: Sequence[str]) -> str:
    """One line on a fault of ours, and the file that holds the rest."""
    with tempfile.NamedTemporaryFile("w", prefix="irc-fault-", suffix=".txt", delete=False) as file:
        file.write(f"irc {__version__}, Python {sys.version}\nirc {' '.join(arguments)}\n\n")
        traceback.print_exception(error, file=file)
    return f"error: internal fault: {type(error).__name__}: {error}\n  traceback: {file.name}"


def say(text: str) -> None:
    """On stderr; what stands before the first colon, ``error``, is red where colour is wanted."""
    head, _, rest = text.partition(":")
    click.echo(click.style(f"{head}:", fg="red", bold=True) + rest, err=True, color=colour_choice())
