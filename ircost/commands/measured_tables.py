"""What the commands on measured tables share: their options, machines that tables name, the constants of a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ircost.commands.options import OptionError
from ircost.terminal import progress, working

if TYPE_CHECKING:
    from ircost.backends import Target
    from ircost.cost_models.evaluation import ConstantsOf
    from ircost.cost_models.gpu.calibrate import Measured
    from ircost.cost_models.gpu.power_fit import PowerSample
    from ircost.datasets.tables import MeasuredTable


def read_tables(paths: Iterable[str]) -> list[MeasuredTable]:
    """Raises:
    TableError: one cannot be read.
    """
    from ircost.datasets.tables import read_table

    found = []
    for path in paths:
        with working(f"reading {path}"):
            found.append(read_table(path))
    return found


def target_finder(folders: Sequence[str], models: Sequence[str] = ()) -> Callable[[str], Target]:
    """Targets by name or alias, each read once.

    Args:
        models: whose own runtimes may be named with them.

    Raises:
        OptionError: one of the folders is none.
        TargetError: a file in them is wrong: found now, not as rows that fail.
    """
    from ircost.backends import load_target
    from ircost.backends.target_files import target_loader
    from ircost.kernel_tables import own_runtimes_of

    for folder in folders:
        if not Path(folder).is_dir():
            raise OptionError(f"--targets {folder}: no such folder", help="give the folder of your target files")
        for path in sorted(Path(folder).glob("*.yaml")):
            load_target(path, folders)
    return target_loader(folders, [runtime for model in models for runtime in own_runtimes_of(model)])


def samples_of(
    tables: Sequence[MeasuredTable], target_of: Callable[[str], Target], is_onto: bool = False
) -> list[Measured]:
    """What the constants are fitted to; beside others that stay, fewer rows are enough."""
    from ircost.cost_models.gpu.calibrate import FEWEST_ONTO, FEWEST_ROWS, measured

    found = []
    for table in tables:
        with working(f"sampling {table.path}"):
            fewest = FEWEST_ONTO if is_onto else FEWEST_ROWS
            found.append(measured(table.columns, table.path, target_of, fewest_rows=fewest))
    return found


def power_samples_of(tables: Sequence[MeasuredTable], target_of: Callable[[str], Target]) -> list[PowerSample]:
    """What the factors of power are fitted to, of tables that have any."""
    from ircost.cost_models.gpu.constants import bundled_constants
    from ircost.cost_models.gpu.power_fit import power_samples
    from ircost.cost_models.gpu.power_rows import power_rows

    found = []
    for table in tables:
        with working(f"sampling {table.path}"):
            rows = power_rows(table.columns, table.path, target_of, bundled_constants())
        found += power_samples(rows) if rows is not None else []
    return found


def hashes_of(tables: Iterable[MeasuredTable]) -> dict[str, str]:
    """SHA-256 of each file, by its name.

    Raises:
        OptionError: two have one name.
    """
    names = [Path(table.path).name for table in tables]
    for name, count in Counter(names).items():
        if count > 1:
            raise OptionError(
                f"{count} tables are named {name}", help="rename one: the constants' file lists them by name"
            )
    return dict(zip(names, (table.sha256 for table in tables), strict=True))


def given_constants(file: str | None) -> ConstantsOf:
    """Those of a file, or the bundled ones: the same for every target."""
    from ircost.cost_models.gpu.constants import bundled_constants, read_constants

    constants = read_constants(file) if file else bundled_constants()
    return lambda target: constants


def constants_without_each(tables: Sequence[MeasuredTable], target_of: Callable[[str], Target]) -> ConstantsOf:
    """For each target those fitted to the rows of all others in these tables.

    Raises:
        OptionError: a table of models' operators is there, but not those of the kernels that they are made of.
    """
    from ircost.cost_models.gpu.calibrate import calibrate_without_each
    from ircost.cost_models.gpu.model_ops import DIMS, is_model_ops

    kernels = [table for table in tables if not is_model_ops(table.columns)]
    data = samples_of(kernels, target_of)
    missing = sorted(set(DIMS) - {own.family for own in data})
    if missing and len(kernels) < len(tables):
        raise OptionError(
            f"--leave-out-device: no table of {', '.join(missing)} to fit to",
            help="operators of models are made of these kernels: give their tables too",
        )
    for name, devices in devices_of(data).items():
        if len(devices) == 1:
            click.echo(f"note: {name}: without {devices[0]} no row is left to fit to; defaults are judged", err=True)
    with progress("fitting without each device") as advance:
        found = calibrate_without_each(data, advance)
    return lambda target: found[target if target in found else ""]


def devices_of(data: Sequence[Measured]) -> dict[str, list[str]]:
    """The targets whose rows each family is fitted to."""
    from ircost.cost_models.gpu.calibrate import by_family

    return {own.family: sorted(set(own.devices)) for own in by_family(data)}
