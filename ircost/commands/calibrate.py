"""``irc calibrate``: fits the analytical model's constants to measurements."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import click

from ircost.commands.output import write_whole
from ircost.terminal import progress, working


@click.command()
@click.option("--data", "tables", multiple=True, required=True, metavar="TABLE", help="Measurements; may be repeated.")
@click.option("-o", "--output", required=True, metavar="FILE.json", help="Where the constants go.")
@click.option("--targets", "folders", multiple=True, metavar="DIR", help="Look for target files here too.")
@click.argument("more", nargs=-1, type=click.Path())
def command(
    tables: tuple[str, ...], more: tuple[str, ...], output: str, folders: tuple[str, ...]
) -> None:
    """Fit the few constants that no data sheet gives to tables of measurements, and write them as JSON.

    The same tables give the same file. The bundled one is cost_models/gpu/constants.json, of all tables in
    docs/cost-models.md:

    \b
    irc calibrate --data gemm.parquet attention.parquet moe.parquet -o constants.json
    irc evaluate gemm.parquet --constants constants.json
    """
    from ircost.backends import load_target
    from ircost.cost_models.gpu.calibrate import calibrate, measured
    from ircost.datasets.tables import read_table

    target_of = lru_cache(maxsize=None)(lambda name: load_target(name, folders))
    data, hashes = [], {}
    for path in (*tables, *more):
        with working(f"reading {path}"):
            table = read_table(path)
            hashes[Path(path).name] = table.sha256
            data.append(measured(table.columns, path, target_of))
    with progress("fitting") as advance:
        constants = calibrate(data, hashes, on_progress=advance)
    write_whole(output, constants.to_json())
    rows = sum(fit.rows for fit in constants.fits.values())
    click.echo(f"{output}: constants of {len(constants.fits)} families, fitted to samples of {rows:,} rows")
