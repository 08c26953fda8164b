"""What is wrong with rows of measured tables, told before anything is learned from the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ircost.commands.options import OptionError
from ircost.failed_rows import check_any_known, failure_lines
from ircost.ir.errors import did_you_mean

if TYPE_CHECKING:
    from ircost.backends import Target
    from ircost.cost_models.evaluation import Prediction
    from ircost.cost_models.gpu.table_work import Columns
    from ircost.datasets.tables import MeasuredTable

# Of rows in microseconds some beat the data sheet: 1 % of products, 15 % of convolutions, whose inputs lie in a cache.
# Source: the measured tables of docs/cost-models.md. Where most do, the column holds something else.
MOST_BELOW_LIMIT = 0.5
# No kernel is over before this: the fastest of 2.8 million measured rows took 0.5 us (computing scales, L40S).
LEAST_S = 1e-8
# Of 2.8 million measured rows no device's median is beyond 3 times, machines left out of the fit in turn. Source:
# docs/cost-models.md, worst devices. Nanoseconds taken for microseconds make a thousand.
MOST_TIMES_LONGER = 100


def check_rows(table: MeasuredTable, target_of: Callable[[str], Target]) -> list[str]:
    """Which rows of a table tell of no measured kernel, a line for each reason; whether latencies are far too long.

    Raises:
        FailedRowsError: no row tells of one.
        OptionError: most latencies are of another unit: what is learned of them is wrong.
        TargetError: the columns tell of no family of kernels.
    """
    from ircost.cost_models.evaluation import ROW_MODELS, predict_table
    from ircost.cost_models.gpu.constants import bundled_constants

    found = predict_table(
        table.columns, table.path, target_of, ROW_MODELS["analytical"], lambda target: bundled_constants()
    )
    told = [(table.path, found)]
    check_any_known(told)
    for line in unit_lines(told):
        raise OptionError(
            line, help="nothing is learned from such a table: look at latency_us, at the sizes and at device"
        )
    return failure_lines(told) + _length_lines(told)


def _length_lines(predictions: Sequence[tuple[str, Prediction]]) -> list[str]:
    """A line for each table whose latencies are far longer than the analytical model says, on the median."""
    import numpy as np

    lines = []
    for path, own in predictions:
        times = float(np.nanmedian(own.measured_s / own.predicted_s))
        if times > MOST_TIMES_LONGER:
            told = f"latencies are {times:,.0f} times what the analytical model says, on the median"
            lines.append(f"{Path(path).name}: {told}: are they in microseconds?")
    return lines


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


def roofline_lines(columns: Columns, target_of: Callable[[str], Target]) -> Iterator[str]:
    """A line for machines that the roofline answers for, whatever model is asked: none of their kind was measured."""
    from ircost.backends.errors import TargetError
    from ircost.cost_models.gpu.machine import MEASURED_KINDS

    found = []
    for device in dict.fromkeys(str(name) for name in columns["device"].tolist() if name):
        try:
            if target_of(device).kind not in MEASURED_KINDS:
                found.append(device)
        except TargetError:  # its rows fail, and that is told
            continue
    if found:
        yield f"{', '.join(found)}: at data-sheet rates (roofline): kernels of no such machine were measured"


def runtime_lines(tables: Iterable[Columns], models: Iterable[str], file: str | None = None) -> Iterator[str]:
    """A line for each runtime that rows name, and that neither we nor any of the models have met.

    Args:
        models: by name, folder or file. file: of constants that take the place of the models' own.

    Raises:
        IrcError: a model's files are wrong.
    """
    from ircost.backends.runtime import RUNTIMES, known_runtime
    from ircost.cost_models.gpu.constants import read_constants
    from ircost.kernel_tables import fitted_runtimes, measured_runtimes

    columns = [columns["framework"].tolist() for columns in tables if "framework" in columns]
    named = {word for own in columns for word in own if isinstance(word, str) and word}
    strange = sorted(word for word in named if known_runtime(word) is None)
    if not strange:
        return
    known = {word for model in models for word in measured_runtimes(model)}
    known |= fitted_runtimes(read_constants(file)) if file else set()
    for word in strange:
        if word not in known:
            told = did_you_mean(word, known | set(RUNTIMES))
            yield f"framework '{word}' was never measured, and the mean of others stands in: {told}"
