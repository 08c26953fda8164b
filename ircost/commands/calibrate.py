"""``irc calibrate``: fits the analytical model's constants to measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ircost.commands.measured_tables import hashes_of, read_tables, samples_of, target_finder
from ircost.commands.options import OptionError
from ircost.commands.output import write_whole
from ircost.terminal import progress

if TYPE_CHECKING:
    from ircost.cost_models.gpu.constants import ConstantsFile

DIFFERENCES_SHOWN = 10


@click.command()
@click.option(
    "--data", "tables", multiple=True, required=True, metavar="TABLE...", help="Measurements: Parquet or CSV."
)
@click.option("-o", "--output", metavar="FILE.json", help="Where the constants go.")
@click.option("--check", metavar="FILE.json", help="Compare with this file instead: exit code 1 where they differ.")
@click.option("--targets", "folders", multiple=True, metavar="DIR", help="Look for target files here too.")
@click.argument("more", nargs=-1, type=click.Path(), metavar="")
def command(
    tables: tuple[str, ...], more: tuple[str, ...], output: str | None, check: str | None, folders: tuple[str, ...]
) -> int:
    """Fit the few constants that no data sheet gives to tables of measurements, and write them as JSON.

    The same tables give the same file. Which tables the bundled one is of, docs/cost-models.md says.

    \b
    irc calibrate --data gemm.parquet attention.parquet moe.parquet -o constants.json
    irc evaluate gemm.parquet --constants constants.json

    Exit code 1: with --check, the file holds other constants.
    """
    from ircost.cost_models.gpu.calibrate import calibrate
    from ircost.cost_models.gpu.constants import read_constants

    if not output and not check:
        raise OptionError("neither -o nor --check", help="give -o FILE.json for the constants, or --check FILE.json")
    there = read_constants(check) if check else None
    target_of, read = target_finder(folders), read_tables((*tables, *more))
    hashes, data = hashes_of(read), samples_of(read, target_of)
    with progress("fitting") as advance:
        constants = calibrate(data, hashes, advance)
    if not constants.fits:
        raise OptionError(
            "no rows to fit to", help="rows of known devices and formats are needed, eight alike at least"
        )
    if output:
        write_whole(output, constants.to_json())
        click.echo(f"{output}: {summary(constants)}", err=output == "-")
    return compare(constants, there, check) if there is not None and check else 0


def summary(constants: ConstantsFile) -> str:
    rows = sum(fit.rows for fit in constants.fits.values())
    return f"constants of {len(constants.fits)} families, fitted to samples of {rows:,} rows"


def compare(constants: ConstantsFile, there: ConstantsFile, check: str) -> int:
    """Tells whether two fits are the same, and how they differ.

    Returns:
        The exit code.
    """
    from ircost.cost_models.gpu.constants import differences

    found = differences(constants, there)
    if not found:
        click.echo(f"{check}: the same, {summary(constants)}")
        return 0
    click.echo(f"{check}: {len(found)} differences (now, there)")
    for line in found[:DIFFERENCES_SHOWN]:
        click.echo(f"  {line}")
    if len(found) > DIFFERENCES_SHOWN:
        click.echo(f"  ... and {len(found) - DIFFERENCES_SHOWN} more")
    return 1
