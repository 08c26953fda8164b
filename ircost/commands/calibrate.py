"""``irc calibrate``: fits the analytical model's constants to measurements."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import click

from ircost.commands.output import write_whole
from ircost.terminal import progress, working


@click.command()
@click.option("--data", "tables", multiple=True, required=True, metavar="TABLE", help="Measurements; may be repeated.")
@click.option("-o", "--output", required=True, metavar="FILE.json", help="Where the constants go.")
@click.option("--targets", "folders", multiple=True, metavar="DIR", help="Look for target files here too.")
@click.option("--workers", type=click.IntRange(1), default=os.cpu_count() or 1, help="Processes.  [default: all cores]")
@click.argument("more", nargs=-1, type=click.Path())
def command(
    tables: tuple[str, ...], more: tuple[str, ...], output: str, folders: tuple[str, ...], workers: int
) -> None:
    """Fit the few constants that no data sheet gives to tables of measurements, and write them as JSON.

    The same tables give the same file. The bundled one is cost_models/gpu/constants.json, of all tables in
    docs/cost-models.md:

    \b
    irc calibrate --data gemm.parquet attention.parquet moe.parquet -o constants.json
    irc evaluate gemm.parquet --constants constants.json
    """
    from ircost.backends import load_target
    from ircost.cost_models.gpu.calibrate import calibrate, measured_samples
    from ircost.datasets.tables import read_table

    target_of = lru_cache(maxsize=None)(lambda name: load_target(name, folders))
    samples, hashes = [], {}
    for path in (*tables, *more):
        with working(f"reading {path}"):
            table = read_table(path)
            hashes[Path(path).name] = table.sha256
            samples += measured_samples(table.columns, path, target_of)
    with progress("fitting") as advance:
        constants = calibrate(samples, hashes, workers=workers, on_progress=advance)
    write_whole(output, constants.to_json())
    rows = sum(len(sample.latency_s) for sample in samples)
    click.echo(f"{output}: {len(constants.fits)} sets of constants, fitted to samples of {rows:,} rows")
