"""``irc train``: learns what the analytical model leaves, from measurements."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ircost.commands.measured_tables import given_constants, read_tables, target_finder
from ircost.commands.options import OptionError
from ircost.commands.row_checks import check_rows
from ircost.commands.train_text import train_as_text
from ircost.commands.trained_folders import check_families, told_if_too_few, write_folders
from ircost.table import print_table
from ircost.terminal import progress

if TYPE_CHECKING:
    from ircost.backends import Target
    from ircost.cost_models.learned.family_model import FamilyModel
    from ircost.datasets.tables import MeasuredTable

POWER = "power"  # as `storage.POWER`
HEAD = ("family", "held out", "rows", "analytical", "hybrid", "inside", "width")


@click.command()
@click.argument("tables", nargs=-1, required=True, type=click.Path())
@click.option("-o", "--output", required=True, metavar="DIR", help="Where the models go, a folder for each family.")
@click.option(
    "--only", type=click.Choice(["latency", "power"]), help="Of the two; without it both, power where it was read."
)
@click.option("--targets", "folders", multiple=True, metavar="DIR", help="Look for target files here too.")
@click.option(
    "--text", "as_text", is_flag=True, help="Models that read kernels as printed IR, in place of corrections."
)
def command(tables: tuple[str, ...], output: str, only: str | None, folders: tuple[str, ...], as_text: bool) -> None:
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
    target_of, read = target_finder(folders), read_tables(tables)
    for line in [line for table in read for line in check_rows(table, target_of)]:
        click.echo(f"note: {line}", err=True)
    if as_text:
        train_as_text(read, output, target_of)
        return
    models = [] if only == "power" else [trained(table, target_of) for table in read]
    powers = [] if only == "latency" else [own for table in read if (own := trained_power(table, target_of))]
    if only == "power" and not powers:
        raise OptionError("no table has enough steady readings of power", help="rows with power_w are needed")
    for found in (models, powers):
        check_families(found)
    write_folders(models, output, write_model)
    write_folders(powers, str(Path(output) / POWER), write_model)
    lines = [line for model in (*models, *powers) for line in error_lines(model)]
    print_table(HEAD, lines, right=range(2, len(HEAD)))


def trained_power(table: MeasuredTable, target_of: Callable[[str], Target]) -> FamilyModel | None:
    """The model of one table's power; None where it has too few steady readings."""
    from ircost.cost_models.gpu.constants import bundled_constants
    from ircost.cost_models.gpu.power_constants import bundled_power_constants
    from ircost.cost_models.learned.power import made_power, power_table

    constants, power = bundled_constants(), bundled_power_constants()
    with progress(f"training on the power of {table.path}") as advance:
        rows = power_table(table.columns, table.path, target_of, constants, power)
        try:
            return None if rows is None else made_power(rows, table.path, table.sha256, constants, power, advance)
        except ValueError:
            return None


def trained(table: MeasuredTable, target_of: Callable[[str], Target]) -> FamilyModel:
    """The model of one table.

    Raises:
        OptionError: it has too few rows.
    """
    from ircost.cost_models.learned.made import made

    constants = given_constants(None)("")
    with progress(f"training on {table.path}") as advance, told_if_too_few(table.path):
        return made(table.columns, table.path, table.sha256, target_of, constants, on_progress=advance)


def error_lines(model: FamilyModel) -> list[tuple[str, ...]]:
    """The errors of the card, as cells."""
    found = []
    for line in model.about["errors"]:  # type: ignore[attr-defined]
        pairs = (f"{line[f'{which}_mape']:.1f} / {line[f'{which}_median']:.1f} %" for which in ("analytical", "hybrid"))
        widths = (f"{line['coverage']:.0f} %", f"{line['width']:.0f} %")
        name = f"{model.family}, power" if model.extra else model.family
        found.append((name, str(line["held_out"]), f"{line['rows']:,}", *pairs, *widths))
    return found
