"""``irc train``: learns what the analytical model leaves, from measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ircost.commands.estimator_names import check_estimators
from ircost.commands.measured_tables import given_constants, read_tables, target_finder
from ircost.commands.options import OptionError
from ircost.commands.row_checks import check_power, check_rows
from ircost.commands.train_text import train_as_text
from ircost.commands.trained_folders import (
    check_enough,
    check_tables,
    check_writable,
    told_if_too_few,
    write_folders,
)
from ircost.table import print_table
from ircost.terminal import progress

if TYPE_CHECKING:
    from ircost.backends import Target
    from ircost.cost_models.learned.family_model import FamilyModel
    from ircost.datasets.tables import MeasuredTable

POWER = "power"  # as `storage.POWER`
POWER_COLUMN = "power_w"
HEAD = ("family", "held out", "rows", "analytical", "hybrid", "inside", "width")


@click.command()
@click.argument("tables", nargs=-1, required=True, type=click.Path())
@click.option("-o", "--output", required=True, metavar="DIR", help="Where the models go, a folder for each family.")
@click.option(
    "--only", type=click.Choice(["latency", "power"]), help="Of the two; without it both, power where it was read."
)
@click.option(
    "--estimator", metavar="NAME", help="What learns the corrections; else what suits the family (docs/estimators.md)."
)
@click.option("--targets", "folders", multiple=True, metavar="DIR", help="Look for target files here too.")
@click.option(
    "--text", "as_text", is_flag=True, help="Models that read kernels as printed IR, in place of corrections."
)
def command(
    tables: tuple[str, ...],
    output: str,
    only: str | None,
    estimator: str | None,
    folders: tuple[str, ...],
    as_text: bool,
) -> None:
    """Train corrections of the analytical model on TABLES of measurements, one family each.

    Every figure that is printed, and every interval, is of rows that were held out: whole shapes, and whole devices,
    for which the analytical model's constants are fitted anew without the device. The same tables give the same models.

    \b
    irc train gemm.parquet attention.parquet -o models/
    irc evaluate gemm.parquet --model analytical --model hybrid --split device
    irc train gemm.parquet --text -o text-models/

    Models of power, from rows with power_w that was read while the kernel ran, go to DIR/power.
    """
    from ircost.cost_models.learned.storage import write_model

    if as_text and only is not None:
        raise OptionError(f"--text and --only {only}", help="models of text are of latency: leave out one")
    if estimator is not None:
        check_estimator_fits(estimator, only, as_text)
    target_of, read = target_finder(folders), read_tables(tables)
    for line in [line for table in read for line in check_rows(table, target_of)]:
        click.echo(f"note: {line}", err=True)
    check_all(read, output, only, target_of, as_text)
    if as_text:
        train_as_text(read, output, target_of)
        return
    latencies = [] if only == "power" else read
    models = write_folders((trained(table, target_of, estimator) for table in latencies), output, write_model)
    powers = [] if only == "latency" else trained_powers(read, output, only, target_of)
    lines = [line for model in (*models, *powers) for line in error_lines(model)]
    print_table(HEAD, lines, right=range(2, len(HEAD)))


def check_estimator_fits(name: str, only: str | None, as_text: bool) -> None:
    """Raises:
    OptionError: another option wants another one, or it cannot be stored.
    UnknownNameError: nobody registered one of that name.
    """
    if as_text or only == POWER:
        other = "--text" if as_text else "--only power"
        raise OptionError(f"--estimator and {other} exclude each other", help="it is for corrections of latency")
    check_estimators([name], to_store=True)


def check_all(
    tables: Sequence[MeasuredTable],
    output: str,
    only: str | None,
    target_of: Callable[[str], Target],
    as_text: bool,
) -> None:
    """Raises:
    OptionError: two tables are of one family, one has too few rows or power in another unit, or a folder cannot be
        written.
    """
    families = check_tables(tables)
    if only != "power":
        for table in tables:
            check_enough(table, target_of, as_text)
    if only != "latency" and not as_text:
        for table in tables:
            if POWER_COLUMN in table.columns:
                check_power(table, target_of)
    has_power = [only != "latency" and not as_text and POWER_COLUMN in table.columns for table in tables]
    places = [] if only == "power" else [Path(output) / family for family in families]
    places += [Path(output) / POWER / family for family, is_there in zip(families, has_power, strict=True) if is_there]
    check_writable(output, places)


def trained_powers(
    tables: Sequence[MeasuredTable], output: str, only: str | None, target_of: Callable[[str], Target]
) -> list[FamilyModel]:
    """Trains and writes models of power; tables that teach nothing of it are told, but those without any reading.

    Raises:
        OptionError: power is all that was asked for, and no table has enough of it.
    """
    from ircost.cost_models.learned.power import TooFewReadingsError
    from ircost.cost_models.learned.storage import write_model

    reasons = []

    def models() -> Iterator[FamilyModel]:
        for table in tables:
            if only is None and POWER_COLUMN not in table.columns:
                continue
            try:
                yield trained_power(table, target_of)
            except TooFewReadingsError as error:
                reasons.append(f"{table.path}: {error}")

    found = write_folders(models(), str(Path(output) / POWER), write_model)
    if only == "power" and not found:
        raise OptionError(
            f"no table has enough steady power readings: {'; '.join(reasons)}",
            help="give rows with power_w, of kernels that run long enough for it to be theirs (docs/energy.md)",
        )
    for reason in reasons:
        click.echo(f"note: no model of power from {reason}", err=True)
    return found


def trained_power(table: MeasuredTable, target_of: Callable[[str], Target]) -> FamilyModel:
    """The model of one table's power.

    Raises:
        TooFewReadingsError: it has too few that are steady.
    """
    from ircost.cost_models.gpu.constants import bundled_constants
    from ircost.cost_models.gpu.power_constants import bundled_power_constants
    from ircost.cost_models.learned.power import TooFewReadingsError, made_power, power_table

    if POWER_COLUMN not in table.columns:
        raise TooFewReadingsError(f"it has no column {POWER_COLUMN}")
    constants, power = bundled_constants(), bundled_power_constants()
    with progress(f"training on the power of {table.path}") as advance:
        rows = power_table(table.columns, table.path, target_of, constants, power)
        if rows is None:
            raise TooFewReadingsError(f"no row of a known machine has {POWER_COLUMN}")
        return made_power(rows, table.path, table.sha256, constants, power, advance)


def trained(table: MeasuredTable, target_of: Callable[[str], Target], estimator: str | None) -> FamilyModel:
    """The model of one table.

    Raises:
        OptionError: it has too few rows.
    """
    from ircost.cost_models.learned.made import made

    constants = given_constants(None)("")
    with progress(f"training on {table.path}") as advance, told_if_too_few(table.path):
        return made(table.columns, table.path, table.sha256, target_of, constants, advance, estimator)


def error_lines(model: FamilyModel) -> list[tuple[str, ...]]:
    """The errors of the card, as cells."""
    found = []
    for line in model.about["errors"]:  # type: ignore[attr-defined]
        pairs = (f"{line[f'{which}_mape']:.1f} / {line[f'{which}_median']:.1f} %" for which in ("analytical", "hybrid"))
        widths = (f"{line['coverage']:.0f} %", f"{line['width']:.0f} %")
        name = f"{model.family}, power" if model.extra else model.family
        found.append((name, str(line["held_out"]), f"{line['rows']:,}", *pairs, *widths))
    return found
