"""``irc train --text``: models that read kernels as printed IR."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ircost.commands.measured_tables import given_constants
from ircost.commands.trained_folders import told_if_too_few, write_folders
from ircost.table import print_table
from ircost.terminal import progress

if TYPE_CHECKING:
    from ircost.backends import Target
    from ircost.cost_models.learned.text_training import TextModel
    from ircost.datasets.tables import MeasuredTable

HEAD = ("family", "held out", "rows", "analytical", "text", "tau", "tau of text")


def train_as_text(tables: Sequence[MeasuredTable], output: str, target_of: Callable[[str], Target]) -> None:
    """Trains, writes, and prints the errors on what was held out.

    Raises:
        OptionError: a table has too few rows, or the folder cannot be written.
        RowTextError: rows have no text.
    """
    from ircost.cost_models.learned.text_storage import write_text_model

    models = write_folders((trained(table, target_of) for table in tables), output, write_text_model)
    print_table(HEAD, [line for model in models for line in error_lines(model)], right=range(2, len(HEAD)))


def trained(table: MeasuredTable, target_of: Callable[[str], Target]) -> TextModel:
    from ircost.cost_models.learned.made import made_of_text

    constants = given_constants(None)("")
    with progress(f"training on {table.path}") as advance, told_if_too_few(table.path):
        return made_of_text(table.columns, table.path, table.sha256, target_of, constants, on_progress=advance)


def error_lines(model: TextModel) -> list[tuple[str, ...]]:
    found = []
    for line in model.about["errors"]:  # type: ignore[attr-defined]
        pairs = (f"{line[f'{which}_mape']:.1f} / {line[f'{which}_median']:.1f} %" for which in ("analytical", "text"))
        orders = (line[f"{which}_tau"] for which in ("analytical", "text"))
        taus = ("-" if tau is None else f"{tau:.3f}" for tau in orders)
        found.append((model.family, str(line["held_out"]), f"{line['rows']:,}", *pairs, *taus))
    return found
