"""``irc train``: learns what the analytical model leaves, from measurements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ircost.commands.measured_tables import given_constants, read_tables, target_finder
from ircost.commands.options import OptionError
from ircost.table import print_table
from ircost.terminal import progress

if TYPE_CHECKING:
    from ircost.backends import Target
    from ircost.cost_models.learned.family_model import FamilyModel
    from ircost.cost_models.learned.text_training import TextModel
    from ircost.datasets.tables import MeasuredTable

HEAD = ("family", "held out", "rows", "analytical", "hybrid", "inside", "width")
TEXT_HEAD = ("family", "held out", "rows", "analytical", "text", "tau", "tau of text")


@click.command()
@click.argument("tables", nargs=-1, required=True, type=click.Path())
@click.option("-o", "--output", required=True, metavar="DIR", help="Where the models go, a folder for each family.")
@click.option("--targets", "folders", multiple=True, metavar="DIR", help="Look for target files here too.")
@click.option(
    "--text", "as_text", is_flag=True, help="Models that read kernels as printed IR, in place of corrections."
)
def command(tables: tuple[str, ...], output: str, folders: tuple[str, ...], as_text: bool) -> None:
    """Train corrections of the analytical model on TABLES of measurements, one family each.

    Every figure that is printed, and every interval, is of rows that were held out: whole shapes, and whole devices,
    for which the analytical model's constants are fitted anew without the device. The same tables give the same models.

    \b
    irc train gemm.parquet attention.parquet -o models/
    irc evaluate gemm.parquet --model analytical --model hybrid --split device
    irc train gemm.parquet --text -o text-models/
    """
    target_of = target_finder(folders)
    models = [trained(table, target_of, as_text) for table in read_tables(tables)]
    if len({model.family for model in models}) < len(models):
        raise OptionError("two tables are of one family", help="give one table for each family")
    write(models, output)
    head = TEXT_HEAD if as_text else HEAD
    print_table(head, [line for model in models for line in error_lines(model, as_text)], right=range(2, len(head)))


def trained(table: MeasuredTable, target_of: Callable[[str], Target], as_text: bool) -> FamilyModel | TextModel:
    """The model of one table.

    Raises:
        OptionError: it has too few rows.
        RowTextError: its rows have no text.
    """
    from ircost.cost_models.learned.made import made, made_of_text

    make = made_of_text if as_text else made
    with progress(f"training on {table.path}") as advance:
        try:
            return make(
                table.columns, table.path, table.sha256, target_of, given_constants(None)(""), on_progress=advance
            )
        except ValueError as error:
            raise OptionError(f"{table.path}: too little to learn from: {error}", help="give more rows") from error


def write(models: Sequence[FamilyModel | TextModel], output: str) -> None:
    from ircost.cost_models.learned.family_model import FamilyModel
    from ircost.cost_models.learned.storage import write_model
    from ircost.cost_models.learned.text_storage import write_text_model

    try:
        for model in models:
            if isinstance(model, FamilyModel):
                write_model(model, output)
            else:
                write_text_model(model, output)
            click.echo(f"wrote {Path(output) / model.family}", err=True)
    except OSError as error:
        raise OptionError(f"-o {output}: {error.strerror}", help="give a folder that can be written") from error


def error_lines(model: FamilyModel | TextModel, as_text: bool) -> list[tuple[str, ...]]:
    """The errors on what was held out, as cells."""
    found = []
    for line in model.about["errors"]:  # type: ignore[attr-defined]
        both = ("analytical", "text" if as_text else "hybrid")
        pairs = (f"{line[f'{which}_mape']:.1f} / {line[f'{which}_median']:.1f} %" for which in both)
        taus = (f"{line[f'{which}_tau']:.3f}" for which in both) if as_text else ()
        widths = () if as_text else (f"{line['coverage']:.0f} %", f"{line['width']:.0f} %")
        found.append((model.family, str(line["held_out"]), f"{line['rows']:,}", *pairs, *taus, *widths))
    return found
