"""What all drawings share: the library they need, and how they become files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ircost.ir.errors import IrcError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg")


class PlotError(IrcError):
    """A drawing cannot be made."""


def check_drawing(path: str | Path) -> None:
    """Raises:
    PlotError: matplotlib is not installed, or the file's name tells of no known form.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise PlotError(f"cannot draw {path}: its name has no known ending", help=f"write {' or '.join(SUFFIXES)}")
    check_library()


def check_library() -> None:
    """Raises:
    PlotError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise PlotError("drawing needs matplotlib", help="pip install 'ircost[plot]'") from error


def save_drawing(figure: Figure, path: str | Path, dpi: int = 150) -> None:
    """Writes a figure; the same figure gives the same bytes.

    Args:
        dpi: pixels an inch, where the file is made of pixels.

    Raises:
        PlotError: it cannot be written.
    """
    import matplotlib

    metadata = {"Date": None} if Path(path).suffix.lower() == ".svg" else None
    try:
        # Names in an SVG are random without a salt, and it bears the date.
        with matplotlib.rc_context({"svg.hashsalt": "ircost"}):
            figure.savefig(path, dpi=dpi, metadata=metadata)
    except OSError as error:
        raise PlotError(f"cannot write {path}: {error.strerror}", help="check the folder and its permissions") from None
