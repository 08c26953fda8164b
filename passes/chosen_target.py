"""Which machine a pass works for: the one that its option names, or the one that the module is compiled for."""

from __future__ import annotations

from ircost.backends import Target, TargetError, load_target
from ircost.passes.base import PassContext, PassError


def chosen_target(pass_name: str, option: str, context: PassContext) -> Target | None:
    """The machine to weigh costs on; None where nobody names one.

    Args:
        option: the pass's option ``target``, empty where it is left out.

    Raises:
        PassError: there is no such machine, or its file is wrong: the user's mistake, not the pass's.
    """
    if not option:
        return context.target
    try:
        return load_target(option)
    except TargetError as error:
        raise PassError(f"pass '{pass_name}': {error.message}", at=error.at, help=error.help) from error
