"""``irc calibrate``: fits the analytical model's constants to measurements."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

import click

from ircost.commands.measured_tables import hashes_of, power_samples_of, read_tables, samples_of, target_finder
from ircost.commands.options import OptionError
from ircost.commands.output import told_if_unwritable, write_whole
from ircost.commands.row_checks import check_power, check_rows
from ircost.terminal import progress, working

if TYPE_CHECKING:
    from ircost.backends import Target
    from ircost.cost_models.gpu.constants import ConstantsFile
    from ircost.cost_models.gpu.power_constants import PowerConstants
    from ircost.datasets.tables import MeasuredTable

DIFFERENCES_SHOWN = 10


@click.command()
@click.option(
    "--data", "tables", multiple=True, required=True, metavar="TABLE...", help="Measurements: Parquet or CSV."
)
@click.option("-o", "--output", metavar="FILE.json", help="Where the constants go.")
@click.option("--check", metavar="FILE.json", help="Compare with this file instead: exit code 1 where they differ.")
@click.option("--onto", metavar="FILE.json", help="Keep these constants (or bundled); fit what they never met.")
@click.option("--power", is_flag=True, help="Fit what GPUs draw instead, to rows with power_w.")
@click.option("--targets", "folders", multiple=True, metavar="DIR", help="Look for target files here too.")
@click.argument("more", nargs=-1, type=click.Path(), metavar="")
def command(
    tables: tuple[str, ...],
    more: tuple[str, ...],
    output: str | None,
    check: str | None,
    onto: str | None,
    power: bool,
    folders: tuple[str, ...],
) -> int:
    """Fit the few constants that no data sheet gives to tables of measurements, and write them as JSON.

    The same tables give the same file. Which tables the bundled one is of, docs/cost-models.md says.

    \b
    irc calibrate --data gemm.parquet attention.parquet moe.parquet -o constants.json
    irc evaluate gemm.parquet --constants constants.json
    irc calibrate --data my_gpu.csv --onto bundled -o constants.json
    irc calibrate --power --data gemm.parquet attention.parquet -o power_constants.json

    With --onto, what the tables hold of known machines, runtimes and formats moves nothing: a few rows of a new
    machine give its own constants, beside all others.

    Exit code 1: with --check, the file holds other constants.
    """
    if not output and not check:
        raise OptionError(
            "nothing to do: neither -o nor --check is given",
            help="give -o FILE.json for the constants, or --check FILE.json",
        )
    if output and output != "-":
        check_writable(output)
    if power and onto:
        raise OptionError(
            "--onto adds to latency constants; power is always fitted from scratch", help="leave out --onto or --power"
        )
    if power:
        return _fit_power((*tables, *more), output, check, folders)
    return _fit_times((*tables, *more), output, check, folders, onto)


def check_writable(output: str) -> None:
    """Puts a file beside the place of the constants, as ``write_whole`` does, and takes it away.

    Raises:
        OutputError: it cannot be written.
    """
    path = Path(output).resolve()
    with told_if_unwritable(output):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not path.exists() or path.is_file():  # devices and pipes are left alone
            with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
                pass


def _fit_times(
    tables: Sequence[str], output: str | None, check: str | None, folders: Sequence[str], onto: str | None
) -> int:
    from ircost.cost_models.gpu.calibrate import calibrate
    from ircost.cost_models.gpu.constants import bundled_constants, differences, read_constants

    there = read_constants(check) if check else None
    known = bundled_constants() if onto == "bundled" else read_constants(onto) if onto else None
    target_of, read = target_finder(folders), read_tables(tables)
    hashes, data = hashes_of(read), samples_of(read, target_of, is_onto=known is not None)
    for line in [line for table in read for line in check_rows(table, target_of)]:
        click.echo(f"note: {line}", err=True)
    for line in chip_lines(read, target_of, known):
        click.echo(f"note: {line}", err=True)
    with progress("fitting") as advance:
        constants = calibrate(data, hashes, advance, known)
    if known is not None:
        from ircost.cost_models.learned.fitted_onto import with_half_widths

        with progress("leaving out machines") as advance:
            constants = with_half_widths(constants, data, known, advance)
    if not any(own.samples for own in data):
        raise OptionError(
            "no rows to fit",
            help="the fit needs rows of known devices and formats, at least eight of a kind (three with --onto)",
        )
    if output:
        write_whole(output, constants.to_json())
        click.echo(f"{output}: {summary(constants)}", err=output == "-")
    return compare(differences(constants, there), check, summary(constants)) if there is not None and check else 0


def chip_lines(
    tables: Sequence[MeasuredTable], target_of: Callable[[str], Target], known: ConstantsFile | None
) -> Iterator[str]:
    """Rows that move nothing, since constants know their machine's chip by another name."""
    from ircost.backends.errors import TargetError
    from ircost.cost_models.gpu.table_schema import family_of

    for table in tables if known is not None else ():
        family = family_of(table.columns, table.path).name
        for device in sorted(set(map(str, table.columns["device"].tolist()))):
            try:
                target = target_of(device)
            except TargetError:
                continue  # such rows are told already
            name, chip = target.name.partition("+")[0], target.measured_as
            if name != chip and known is not None and known.has_met(family, "device", chip):
                yield (
                    f"{Path(table.path).name}: {name} has the chip of {chip}, whose constants stay: its rows move none "
                    f"of them ('chip: {name}' in a file of your own makes it a chip of its own)"
                )


def _fit_power(tables: Sequence[str], output: str | None, check: str | None, folders: Sequence[str]) -> int:
    from ircost.cost_models.gpu.power_constants import power_differences, read_power_constants
    from ircost.cost_models.gpu.power_fit import fit_power

    there = read_power_constants(check) if check else None
    target_of, read = target_finder(folders), read_tables(tables)
    hashes = hashes_of(read)
    for table in read:
        if "power_w" in table.columns:
            check_power(table, target_of)
    samples = power_samples_of(read, target_of)
    if not samples:
        raise OptionError(
            "no power readings to fit",
            help="the fit needs rows with power_w, of kernels that run long enough to be read",
        )
    with working("fitting"):
        constants = fit_power(samples, hashes)
    if output:
        write_whole(output, constants.to_json())
        click.echo(f"{output}: {power_summary(constants)}", err=output == "-")
    if there is None or not check:
        return 0
    return compare(power_differences(constants, there), check, power_summary(constants))


def power_summary(constants: PowerConstants) -> str:
    return f"factors of power, fitted to samples of {constants.rows:,} rows of {', '.join(constants.devices)}"


def summary(constants: ConstantsFile) -> str:
    rows, added = (sum(getattr(fit, name) for fit in constants.fits.values()) for name in ("rows", "added_rows"))
    onto = f", and onto them to {added:,} rows" if added else ""
    return f"constants of {len(constants.fits)} families, fitted to samples of {rows:,} rows{onto}"


def compare(found: Sequence[str], check: str, what: str) -> int:
    """Tells whether two fits are the same, and how they differ.

    Args:
        found: differences, in words. what: was fitted.

    Returns:
        The exit code.
    """
    if not found:
        click.echo(f"{check}: the same, {what}")
        return 0
    click.echo(f"{check}: {len(found)} differences (now, there)")
    for line in found[:DIFFERENCES_SHOWN]:
        click.echo(f"  {line}")
    if len(found) > DIFFERENCES_SHOWN:
        click.echo(f"  ... and {len(found) - DIFFERENCES_SHOWN} more")
    return 1
