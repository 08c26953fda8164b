"""The one place where the command line reports what went wrong, and picks the exit code."""

from __future__ import annotations

import errno
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

from ircost import __version__
from ircost.terminal import colour_choice

if TYPE_CHECKING:
    from ircost.ir.errors import IrcError

EXIT_USER_MISTAKE = 2
EXIT_INTERNAL = 70
EXIT_INTERRUPTED = 130

# What writing to standard output may end with, where that is a file or a full disk.
OF_OUTPUT = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
OUR_FAULT = "  this is a fault of irc, not of your model; please report it with that file"


def tell(error: Exception, arguments: Sequence[str], verbose: bool = False) -> int:
    """Writes on stderr what went wrong.

    Args:
        error: what a command raised.
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
    from ircost.ir.fault import fault_behind

    if isinstance(error, IrcError) and fault_behind(error) is None:
        say(error.render())
        return EXIT_USER_MISTAKE
    say(f"{fault_text(error, arguments)}\n{whose_fault(error)}")
    if verbose:
        traceback.print_exception(error)
    return EXIT_INTERNAL


def whose_fault(error: Exception) -> str:
    """Ours, or that of somebody else's pass, op or cost model."""
    from ircost.ir.fault import fault_behind, is_ours

    fault = fault_behind(error)
    theirs = fault is not None and not is_ours(fault.author)
    return f"  this is a fault of the {fault.part}, in {fault.author}" if fault and theirs else OUR_FAULT


Thing = TypeVar("Thing")


def readable(names: Iterable[str], load: Callable[[str], Thing]) -> tuple[list[Thing], list[IrcError]]:
    """What can be loaded of a list, and what is wrong with the others: no broken plug-in hides all else."""
    from ircost.ir.errors import IrcError

    things, errors = [], []
    for name in names:
        try:
            things.append(load(name))
        except IrcError as error:
            errors.append(error)
    return things, errors


def tell_unreadable(errors: Sequence[IrcError]) -> None:
    """After a list: what is not in it, and why; ends the command with exit code 2 then."""
    for error in errors:
        say(error.render())
    if errors:
        raise click.exceptions.Exit(EXIT_USER_MISTAKE)


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
    """What failed, and the file that holds the rest: that of a pass replays it, of all else it is the traceback."""
    from ircost.ir.errors import IrcError

    if not isinstance(error, IrcError):
        head = f"error: internal fault: {type(error).__name__}: {error}"
    elif hasattr(error, "reproducer"):
        return error.render()
    else:
        head = error.render()
    with tempfile.NamedTemporaryFile("w", prefix="irc-fault-", suffix=".txt", delete=False) as file:
        file.write(f"irc {__version__}, Python {sys.version}\nirc {' '.join(arguments)}\n\n")
        traceback.print_exception(error, file=file)
    return f"{head}\n  traceback: {file.name}"


def say(text: str) -> None:
    """On stderr; what stands before the first colon, ``error``, is red where colour is wanted."""
    head, _, rest = text.partition(":")
    click.echo(click.style(f"{head}:", fg="red", bold=True) + rest, err=True, color=colour_choice())
