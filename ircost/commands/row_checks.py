"""What is wrong with rows of measured tables, told before anything is learned from the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ircost.commands.options import OptionError
from ircost.failed_rows import check_any_known, failure_lines, ranges_text
from ircost.ir.errors import did_you_mean
from ircost.quantity_text import bytes_text

if TYPE_CHECKING:
    import numpy as np

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
# Of 196,324 readings of an H200's power none is more than 3 % above the board's limit, and none below what it draws
# idle. Source: the measured tables of docs/energy.md. Milliwatts or kilowatts taken for watts are a thousand times off.
MOST_OF_PEAK, LEAST_OF_IDLE = 1.1, 0.1


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
    taken = format_lines(table.columns, Path(table.path).name)
    return [*taken, *failure_lines(told), *limit_lines(told), *_length_lines(told)]


def format_lines(columns: Columns, name: str) -> Iterator[str]:
    """A line where nobody says in which format kernels compute: twice as fast in one as in the other.

    Args:
        name: of the table, for people.
    """
    from ircost.cost_models.gpu.table_schema import DEFAULTS

    if "dtype" not in columns:
        yield f"{name}: no dtype is given, {DEFAULTS['dtype']} is taken"


def check_power(table: MeasuredTable, target_of: Callable[[str], Target]) -> None:
    """Raises:
    OptionError: most readings of power are none that their boards can draw.
    """
    import numpy as np

    from ircost.backends.errors import TargetError
    from ircost.cost_models.gpu.table_schema import number_column, word_column

    power_w = number_column(table.columns["power_w"]).astype(float)
    devices = word_column(table.columns["device"])
    is_odd = np.zeros(len(power_w), dtype=bool)
    for device in sorted(set(devices[power_w > 0])):
        try:
            power = target_of(device).power
        except TargetError:  # its rows fail, and that is told
            continue
        own = (devices == device) & (power_w > 0)
        is_odd |= own & ((power_w > MOST_OF_PEAK * power.peak_w) | (power_w < LEAST_OF_IDLE * power.idle_w))
    if is_odd.sum() > MOST_BELOW_LIMIT * (power_w > 0).sum():
        count = f"{int(is_odd.sum()):,} of {int((power_w > 0).sum()):,} readings of power_w"
        raise OptionError(
            f"{Path(table.path).name}: {count} are none that the board can draw: are they in watts?",
            help="nothing is learned from such a table: look at power_w and at device (irc targets NAME has its power)",
        )


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
    return [
        f"{Path(path).name}: {len(rows):,} of {known:,} latencies are shorter than the machine allows: "
        "are they in microseconds?"
        for path, rows, known in _too_short(predictions)
        if len(rows) > MOST_BELOW_LIMIT * known
    ]


def limit_lines(predictions: Sequence[tuple[str, Prediction]]) -> list[str]:
    """A line for each table of which some latencies are below what its machines can do, but not most.

    Args:
        predictions: of whole tables, with the path of each.
    """
    return [
        f"{Path(path).name}: {len(rows):,} of {known:,} latencies are shorter than the machine allows "
        f"(rows {ranges_text(rows + 1, 60)}): are device, dtype and sizes theirs?"
        for path, rows, known in _too_short(predictions)
        if 0 < len(rows) <= MOST_BELOW_LIMIT * known
    ]


def _too_short(predictions: Sequence[tuple[str, Prediction]]) -> Iterator[tuple[str, np.ndarray, int]]:
    """The path of each table, which rows are below the physical limit, and how many rows have one."""
    import numpy as np

    for path, own in predictions:
        known = np.isfinite(own.bound_s) & (own.measured_s > 0)
        at_least_s = np.maximum(np.where(known, own.bound_s, 0.0), LEAST_S)
        yield path, np.flatnonzero(known & (own.measured_s < at_least_s)), int(known.sum())


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


def memory_lines(columns: Columns, at: str, target_of: Callable[[str], Target]) -> Iterator[str]:
    """A line for kernels that touch more bytes than their machine's main memory has: no run of them is possible.

    Args:
        at: the table's name, for errors.
    """
    import numpy as np

    from ircost.cost_models.gpu.rows import at_rows, groups_of
    from ircost.cost_models.gpu.table_schema import completed, family_of, unreadable

    family = family_of(columns, at)
    whole = completed(family, columns)
    kept = np.ones(len(whole["device"]), dtype=bool)
    for rows in unreadable(family, whole).values():
        kept[rows] = False
    own = at_rows(whole, np.flatnonzero(kept))
    found: dict[str, list[np.ndarray]] = {}
    for group in groups_of(family, own, target_of):
        if group.setting is not None:
            memory = group.setting.target.main_memory
            touched = np.asarray(family.totals(at_rows(own, group.rows), group.setting).touched_bytes)
            told = f"{group.setting.target.name} has {bytes_text(memory.capacity_bytes)}"
            too_many = np.broadcast_to(touched > memory.capacity_bytes, len(group.rows))
            found.setdefault(told, []).append(np.flatnonzero(kept)[group.rows[too_many]])
    for told, parts in found.items():
        if len(rows := np.sort(np.concatenate(parts))):
            count = "1 row touches" if len(rows) == 1 else f"{len(rows):,} rows touch"
            yield f"{count} more bytes than main memory holds: {told} (row {ranges_text(rows + 1, 60)})"


def runtime_lines(tables: Iterable[Columns], models: Iterable[str], file: str | None = None) -> Iterator[str]:
    """A line for each runtime that rows name, and that neither we nor any of the models have met, or not such kernels.

    Args:
        models: by name, folder or file. file: of constants that take the place of the models' own.

    Raises:
        IrcError: a model's files are wrong.
    """
    from ircost.backends.runtime import RUNTIMES, known_runtime
    from ircost.cost_models.gpu.constants import bundled_constants, read_constants
    from ircost.cost_models.gpu.model_ops import is_model_ops
    from ircost.cost_models.gpu.table_schema import family_of
    from ircost.kernel_tables import row_model
    from ircost.whole_models import is_of_models

    named: dict[str, set[str]] = {}
    for columns in tables:
        words = columns["framework"].tolist() if "framework" in columns else []
        words += [str(device).partition("+")[2] for device in columns["device"].tolist()]
        strange = {word for word in words if isinstance(word, str) and word and known_runtime(word) is None}
        for word in strange:
            families = named.setdefault(word, set())
            if not is_model_ops(columns) and not is_of_models(columns):
                families.add(family_of(columns, "the table").name)
    if not named:
        return
    fitted = [row_model(model)[2] or bundled_constants() for model in models]
    fitted += [read_constants(file)] if file else []
    known = {word for constants in fitted for word in constants.runtimes}
    for word, families in sorted(named.items()):
        if word not in known:
            told = did_you_mean(word, known | set(RUNTIMES))
            yield f"framework '{word}' was never measured, and the mean of others stands in: {told}"
            continue
        for family in sorted(families):
            if not any(constants.has_met_runtime(family, word) for constants in fitted):
                yield f"no {family} kernel of framework '{word}' was measured, and the mean of others stands in"
