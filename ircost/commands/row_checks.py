"""What is wrong with rows of measured tables, told before anything is learned from the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ircost.commands.options import OptionError
from ircost.commands.score_text import failure_lines

if TYPE_CHECKING:
    from ircost.backends import Target
    from ircost.cost_models.evaluation import Prediction
    from ircost.datasets.tables import MeasuredTable

# Of rows in microseconds some beat the data sheet: 1 % of products, 15 % of convolutions, whose inputs lie in a cache.
# Source: the measured tables of docs/cost-models.md. Where most do, the column holds something else.
MOST_BELOW_LIMIT = 0.5
# No kernel is over before this: the fastest of 2.8 million measured rows took 0.5 us (computing scales, L40S).
LEAST_S = 1e-8


def check_rows(table: MeasuredTable, target_of: Callable[[str], Target]) -> list[str]:
    """Which rows of a table tell of no measured kernel, a line for each reason; and whether latencies look like
    another unit's.

    Raises:
        OptionError: no row tells of one.
        TargetError: the columns tell of no family of kernels.
    """
    import numpy as np

    from ircost.cost_models.evaluation import predict_table
    from ircost.cost_models.gpu.constants import bundled_constants

    found = predict_table(table.columns, table.path, target_of, _one_second, lambda target: bundled_constants())
    told = [(table.path, found)]
    if not np.isfinite(found.predicted_s).any():
        raise OptionError("no row can be used: " + "; ".join(failure_lines(told)), help=cure(found.failures))
    return failure_lines(told) + unit_lines(told)


def _one_second(family: Any, columns: Any, groups: Any, constants: Any) -> Any:
    """A model of nothing: only what cannot be read is asked for."""
    import numpy as np

    return np.ones(len(columns["device"]))


def cure(reasons: Iterable[str]) -> str:
    """How to mend rows of which none can be used.

    Args:
        reasons: why not.
    """
    if any(reason.startswith("no target") for reason in reasons):
        return "irc targets lists all; docs/write-a-target.md says how to describe another, --targets DIR finds it"
    return "docs/cost-models.md says what columns hold"


def unit_lines(predictions: Sequence[tuple[str, Prediction]]) -> list[str]:
    """A line for each table whose latencies are below what its machines can do, most of them.

    Args:
        predictions: with the path of each table.
    """
    import numpy as np

    lines = []
    for path, own in predictions:
        known = np.isfinite(own.bound_s) & (own.measured_s > 0)
        below = int((own.measured_s[known] < np.maximum(own.bound_s[known], LEAST_S)).sum())
        if below > MOST_BELOW_LIMIT * known.sum():
            count = f"{below:,} of {known.sum():,} latencies"
            lines.append(f"{Path(path).name}: {count} are shorter than the machine allows: are they in microseconds?")
    return lines
