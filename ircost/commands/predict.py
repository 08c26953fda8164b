"""``irc predict``: latency of single kernels, with an interval and a grade."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ircost.commands.measured_tables import target_finder
from ircost.commands.options import OptionError
from ircost.commands.output import write_whole
from ircost.commands.row_checks import format_lines, memory_lines, roofline_lines, runtime_lines
from ircost.failed_rows import cure
from ircost.ir.errors import did_you_mean
from ircost.quantity_text import small_text
from ircost.table import print_table

if TYPE_CHECKING:
    import numpy as np

    from ircost.cost_models.row_estimates import RowEstimates

HYBRID = "hybrid"
SHOWN = 40  # rows of a table in text
Columns = Mapping[str, "np.ndarray"]


@click.command()
@click.argument("table", required=False, type=click.Path())
@click.option(
    "--kernel", "-k", "kernels", multiple=True, metavar="SIZES", help='A kernel: "device=h100 m=4096 n=4096 k=8192".'
)
@click.option(
    "--model",
    default=HYBRID,
    show_default=True,
    metavar="NAME",
    help="hybrid, analytical, roofline, a folder by irc train, or the file by irc calibrate.",
)
@click.option("--targets", "folders", multiple=True, metavar="DIR", help="Look for target files here too.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the rows as CSV, with what is predicted behind them.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON; seconds.")
@click.option("-o", "--output", metavar="FILE.csv|json", help="Write the rows there.")
def command(
    table: str | None,
    kernels: tuple[str, ...],
    model: str,
    folders: tuple[str, ...],
    as_csv: bool,
    as_json: bool,
    output: str | None,
) -> None:
    """Predict the latency of kernels: the rows of TABLE (Parquet or CSV, in the schema of docs/cost-models.md, without
    latencies), or those given by --kernel.

    The interval holds nine of ten kernels; grades: A, kernels like it were measured on this machine; B, the machine,
    the runtime or the sizes are new; C, the analytical model alone.

    \b
    irc predict -k "device=h100 m=4096 n=4096 k=8192 dtype=float16"
    irc predict -k "device=h100 phase=decode batch=32 q_len=1 kv_len=4096 heads=32 kv_heads=8 head_dim=128"
    irc predict shapes.csv --model analytical -o predicted.csv
    """
    if (table is None) == (not kernels):
        raise OptionError("give a table or --kernel, one of the two", help="such as irc predict -k 'device=h100 m=...'")
    if as_csv and as_json:
        raise OptionError("--csv and --json exclude each other", help="take one")
    if output and Path(output).suffix.lower() not in ("", ".csv", ".json"):
        raise OptionError(f"-o {output}: the name must end in .csv or .json", help="the ending chooses the format")
    columns = read_columns(table) if table is not None else kernel_columns(kernels)
    if table is None:
        check_names(columns)
    from ircost.kernel_tables import estimates_of, own_runtimes_of

    target_of = target_finder(folders, [model])
    estimates = estimates_of(columns, table or "--kernel", target_of, model)
    told = [*failures_told(estimates)]
    if told and not estimates.is_known.any():
        raise OptionError(
            f"no kernel can be predicted: {told[0]}", help=cure(estimates.failures, own_runtimes_of(model))
        )
    is_json = Path(output).suffix.lower() == ".json" if output else as_json
    if output:
        write_whole(output, json_text(columns, estimates) if is_json else csv_text(columns, estimates))
        click.echo(f"wrote {output}", err=True)
    elif as_csv:
        click.echo(csv_text(columns, estimates), nl=False)
    elif as_json:
        click.echo(json_text(columns, estimates), nl=False)
    else:
        print_rows(columns, estimates)
    for line in told:
        click.echo(line, err=True)
    notes = (*roofline_lines(columns, target_of), *memory_lines(columns, table or "--kernel", target_of))
    name = "--kernel" if table is None else Path(table).name
    for line in (*format_lines(columns, name), *notes, *runtime_lines([columns], [model])):
        click.echo(f"note: {line}", err=True)


def read_columns(path: str) -> Columns:
    from ircost.datasets.tables import read_table

    return read_table(path, is_measured=False).columns


def kernel_columns(kernels: Sequence[str]) -> Columns:
    """Columns of kernels that are given as ``name=value`` words; what one lacks is as tables lack it.

    Raises:
        OptionError: a word is no such pair, or a kernel has no device.
    """
    import numpy as np

    from ircost.cost_models.gpu.table_schema import DEFAULTS
    from ircost.datasets.tables import TEXT

    def missing(row: Mapping[str, str], name: str) -> str:
        return row.get("dtype", str(DEFAULTS["dtype"])) if name == "kv_dtype" else str(DEFAULTS.get(name, ""))

    rows = [dict(pair_of(word) for word in text.replace(",", " ").split()) for text in kernels]
    for text, row in zip(kernels, rows, strict=True):
        if "device" not in row:
            raise OptionError(f"--kernel {text!r}: on which device?", help="add device=h100; irc targets lists them")
    names = dict.fromkeys(name for row in rows for name in row)
    found = {}
    for name in names:
        values = [row.get(name) or missing(row, name) for row in rows]
        found[name] = np.array(values if name in TEXT else [number_of(name, value) for value in values], dtype=object)
    return found


def check_names(columns: Columns) -> None:
    """A table's further columns are the user's own; a word that was typed for this kernel means something.

    Raises:
        OptionError: kernels of the family have no such size.
        TargetError: the columns tell of no family of kernels.
    """
    from ircost.cost_models.gpu.table_schema import family_of
    from ircost.datasets.tables import TEXT

    family = family_of(columns, "--kernel")
    known = sorted(family.columns | {"device", "framework", "kernel", "caches"})
    for name in columns:
        if name not in family.columns | TEXT | {"latency_us"}:
            listing = f"kernels of {family.name} have {', '.join(known)}"
            raise OptionError(f"--kernel: {family.name} has no '{name}'", help=did_you_mean(name, known, listing))


def pair_of(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not (name and equals and value):
        raise OptionError(f"--kernel: '{word}' is not a size", help="such as m=4096, or device=h100")
    return name, value


def number_of(name: str, value: str) -> float:
    try:
        return float(value) if value else math.nan
    except ValueError:
        raise OptionError(f"--kernel: {name}={value} is not a number") from None


def predictions(estimates: RowEstimates) -> dict[str, list[float]]:
    """Columns of seconds, by name."""
    names = {"latency": estimates.latency_s, "low": estimates.low_s, "high": estimates.high_s}
    return {name: column.tolist() for name, column in {**names, "at_best": estimates.at_best_s}.items()}


def rows_of(columns: Columns, estimates: RowEstimates) -> Iterator[tuple[dict[str, Any], dict[str, float], str]]:
    """Each row as given, what is predicted of it, and its grade."""
    given = {name: column.tolist() for name, column in columns.items()}
    seconds = predictions(estimates)
    for row, grade in enumerate(estimates.grade.tolist()):
        own = {name: plain(column[row]) for name, column in given.items()}
        yield own, {name: column[row] for name, column in seconds.items()}, grade


def plain(value: Any) -> Any:
    """Whole numbers as such; nothing for what is not there."""
    if isinstance(value, float):
        return None if math.isnan(value) else int(value) if value.is_integer() else value
    return value


def csv_text(columns: Columns, estimates: RowEstimates) -> str:
    out = io.StringIO()
    names = ("predicted_us", "low_us", "high_us", "at_best_us")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*columns, *names, "grade"])
    for own, seconds, grade in rows_of(columns, estimates):
        numbers = ["" if math.isnan(value) else f"{1e6 * value:.6g}" for value in seconds.values()]
        writer.writerow([*("" if value is None else value for value in own.values()), *numbers, grade])
    return out.getvalue()


def json_text(columns: Columns, estimates: RowEstimates) -> str:
    return json.dumps([*json_rows(columns, estimates)], indent=1, allow_nan=False) + "\n"


def json_rows(columns: Columns, estimates: RowEstimates) -> Iterator[dict[str, Any]]:
    for own, seconds, grade in rows_of(columns, estimates):
        told = {f"{name}_s": value for name, value in seconds.items()}
        yield {**{name: finite(value) for name, value in (own | told).items()}, "grade": grade or None}


def finite(value: Any) -> Any:
    """JSON has no other numbers."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_rows(columns: Columns, estimates: RowEstimates) -> None:
    """As many as people read; columns that are the same in all rows stand above."""
    rows = [*rows_of(columns, estimates)][:SHOWN]
    same = [name for name in columns if len({str(own[name]) for own, *_ in rows}) == 1]
    if rows:
        shared = [f"{name} {rows[0][0][name]}" for name in same if rows[0][0][name] not in ("", None)]
        click.echo(": ".join(filter(None, [estimates.family, ", ".join(shared)])) + "\n")
    others = [name for name in columns if name not in same]
    head = [*others, "latency", "at best", "90 % of runs", "grade"]
    lines = [
        [*(str(own[name]) for name in others), time_text(told["latency"]), time_text(told["at_best"]),
         span_text(told), grade]
        for own, told, grade in rows
    ]  # fmt: skip
    print_table(head, lines, right=range(len(others) + 2))
    if len(estimates) > SHOWN:
        click.echo(f"... {len(estimates) - SHOWN:,} more rows (--csv)")


def time_text(seconds: float) -> str:
    return "-" if math.isnan(seconds) else small_text(seconds, "s")


def span_text(told: Mapping[str, float]) -> str:
    return "" if math.isnan(told["low"]) else f"{time_text(told['low'])} to {time_text(told['high'])}"


def failures_told(estimates: RowEstimates) -> Iterable[str]:
    for reason, rows in estimates.failures.items():
        yield f"{len(rows):,} row{'s' if len(rows) != 1 else ''} failed: {reason} (row {int(rows[0]) + 1})"
