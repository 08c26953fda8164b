"""Rows of tables that describe no valid kernel: which, why, and how to fix them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ircost.ir.errors import IrcError, did_you_mean

if TYPE_CHECKING:
    import numpy as np

    from ircost.backends import Runtime
    from ircost.cost_models.evaluation import Prediction

FAILURES_SHOWN = 10


class FailedRowsError(IrcError):
    """No row of any table tells of a kernel, so that there is nothing to say of them."""


def check_any_known(predictions: Sequence[tuple[str, Prediction]]) -> None:
    """Raises:
    FailedRowsError: no row can be predicted; says why, and how to mend the first reason.

    Args:
        predictions: with the path of each table.
    """
    import numpy as np

    if not any(np.isfinite(own.predicted_s).any() for _, own in predictions):
        reasons = [reason for _, own in predictions for reason in own.failures]
        raise FailedRowsError("no row can be used: " + "; ".join(failure_lines(predictions)), help=cure(reasons))


def failure_lines(predictions: Sequence[tuple[str, Prediction]]) -> list[str]:
    """Why rows failed, and which: numbered from 1, in the order of their file.

    Args:
        predictions: with the path of each table.
    """
    lines = [f"{Path(path).name}: it has no rows" for path, prediction in predictions if not len(prediction)]
    lines += [
        f"{Path(path).name}: {len(rows):,} failed: {reason} (rows {ranges_text(rows + 1, 60)})"
        for path, prediction in predictions
        for reason, rows in prediction.failures.items()
    ]
    more = len(lines) - FAILURES_SHOWN
    return lines if more <= 0 else [*lines[:FAILURES_SHOWN], f"... and {more} more reasons"]


def ranges_text(rows: np.ndarray, most: int) -> str:
    """Row numbers, ascending, as ranges; cut after ``most`` characters.

    >>> import numpy as np
    >>> ranges_text(np.array([0, 1, 2, 5, 7, 8]), 60), ranges_text(np.array([0, 2, 4, 6]), 5)
    ('0-2,5,7-8', '0,2,...')
    """
    text = ",".join(_ranges(rows))
    return text if len(text) <= most else text[:most].rpartition(",")[0] + ",..."


def _ranges(rows: np.ndarray) -> Iterator[str]:
    import numpy as np

    breaks = np.flatnonzero(np.diff(rows) > 1)
    for first, last in zip(np.r_[0, breaks + 1], np.r_[breaks, len(rows) - 1], strict=True):
        yield str(rows[first]) if first == last else f"{rows[first]}-{rows[last]}"


def cure(reasons: Iterable[str], runtimes: Sequence[Runtime] = ()) -> str:
    """How to mend rows of which none can be used.

    Args:
        reasons: why not. runtimes: that the model knows beside those that all know.
    """
    from ircost.backends import TargetError, load_target
    from ircost.backends.runtime import runtime_named
    from ircost.cost_models.gpu.formats import ALIASES, FORMATS

    for reason in reasons:
        _, _, word = reason.partition("'")
        word = word.partition("'")[0]
        if reason.startswith("no target"):
            others = "docs/write-a-target.md says how to describe another, --targets DIR finds it"
            try:
                load_target(word)
            except TargetError as error:
                return f"{error.help}; {others}"
            return others
        if reason.startswith("no runtime"):
            own = "one of your own goes into framework, and --model names what was trained on it"
            try:
                runtime_named(word, runtimes)
            except TargetError as error:
                return f"{error.help}; {own}"
            return own
        if reason.startswith("number format"):
            return did_you_mean(word, {*FORMATS, *ALIASES}, f"known: {', '.join(FORMATS)}")
    return "docs/cost-models.md says what columns hold"
