"""From what a user calls a model to its file: a path, or the name of a bundled configuration."""

from __future__ import annotations

from pathlib import Path

from ircost.datasets.model_configs import BUNDLED, find_model
from ircost.frontends import FRONTENDS
from ircost.ir.errors import IrcError, UnknownNameError, UnsupportedError


def model_file(model: str | Path) -> Path:
    """The file of a model.

    Raises:
        IrcError: there is no such file, and no bundled model of that name.
    """
    path = Path(model)
    if path.exists() or path.suffix.removeprefix(".").lower() in FRONTENDS:
        return path
    try:
        return BUNDLED / f"{find_model(str(model)).name}.json"
    except UnknownNameError as error:
        raise not_found(str(model), error) from None


def not_found(model: str, error: IrcError) -> IrcError:
    """A name that is neither a file nor known."""
    ending = Path(model).suffix
    known = ", ".join(f".{name}" for name in FRONTENDS.names())
    if ending[1:].isalpha():
        return UnsupportedError(
            f"cannot tell what {model} is: its name ends in '{ending}'", help=f"files end in {known}"
        )
    nearest = error.help or "irc models lists all"
    return UnsupportedError(f"no file or known model '{model}'", help=f"{nearest}; files end in {known}")
