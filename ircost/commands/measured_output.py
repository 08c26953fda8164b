"""Where ``irc measure`` puts its rows: a table for each family, always whole, and beside it how it was measured."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ircost.commands.output import told_if_unwritable, write_whole
from ircost.datasets.measuring.cases import Case
from ircost.datasets.measuring.errors import MeasureError
from ircost.datasets.measuring.measured_files import (
    about_path,
    about_text,
    check_writer,
    read_rows,
    runs_before,
    table_bytes,
)
from ircost.datasets.measuring.session import Measured, Row

SUFFIXES = (".parquet", ".csv")
# What rows of one table share: measured otherwise, they are another table.
SHARED = ("device", "framework", "framework_version")


@dataclass(slots=True)
class OutputTable:
    """Rows of one family, those of earlier runs first.

    Args:
        runs: that it was measured in before. rows: by their cases.
        is_written: whether the file holds all rows.
    """

    path: Path
    runs: list[Mapping[str, object]]
    rows: dict[Case, Row]
    is_written: bool = True

    def write(self, run: Mapping[str, object]) -> None:
        """The table and what stands beside it, each whole."""
        if not self.is_written:
            write_whole(str(self.path), table_bytes(self.path, list(self.rows.values())))
            write_whole(str(about_path(self.path)), about_text(self.path, [*self.runs, run]))
            self.is_written = True


@dataclass(slots=True)
class Output:
    """The tables of a run, by family."""

    tables: dict[str, OutputTable] = field(default_factory=dict)

    def add(self, measured: Measured) -> None:
        table = self.tables[measured.case.family]
        table.rows[measured.case] = measured.row
        table.is_written = False

    def missing(self, cases: Iterable[Case]) -> Iterable[Case]:
        """Those that no table has yet."""
        return (case for case in cases if case not in self.tables[case.family].rows)

    def write(self, run: Mapping[str, object]) -> None:
        for table in self.tables.values():
            table.write(run)

    def __len__(self) -> int:
        return sum(len(table.rows) for table in self.tables.values())


def open_output(output: str, families: Iterable[str], as_csv: bool, resumes: bool) -> Output:
    """The tables at a path: a file of one family, or a folder that has one for each.

    Args:
        resumes: rows that are there stay, and their cases are not measured again.

    Raises:
        MeasureError: a table is there already, or none can be put there.
    """
    paths = paths_of(Path(output), list(dict.fromkeys(families)), as_csv)
    found = Output()
    for family, path in paths.items():
        check_writer(path)
        if path.exists() and not resumes:
            raise MeasureError(f"{path} is there already", help="--resume adds to it; or give another -o")
        rows = read_rows(path, family) if path.exists() else {}
        found.tables[family] = OutputTable(path, runs_before(path) if rows else [], rows)
    return found


def paths_of(output: Path, families: list[str], as_csv: bool) -> dict[str, Path]:
    """Where each family's table goes, in a folder that is there and can be written: found now, not after minutes."""
    if output.suffix not in SUFFIXES:
        _check_folder(output, output, makes=True)
        return {family: output / f"{family}{SUFFIXES[as_csv]}" for family in families}
    if len(families) > 1:
        told = f"-o {output} holds one family, not {', '.join(families)}"
        raise MeasureError(told, help="name one, such as --family gemm; or give a folder")
    if as_csv and output.suffix != ".csv":
        raise MeasureError(f"--csv and -o {output}", help="leave out --csv, or end the name in .csv")
    _check_folder(output, output.parent, makes=False)
    return {families[0]: output}


def _check_folder(output: Path, folder: Path, makes: bool) -> None:
    with told_if_unwritable(str(output)):
        if makes:
            folder.mkdir(parents=True, exist_ok=True)
        if not folder.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def check_shared(output: Output, shared: Mapping[str, str]) -> None:
    """Raises:
    MeasureError: rows that are there are of another machine or library.
    """
    for table in output.tables.values():
        for row in table.rows.values():
            there = {name: str(row.get(name, "")) for name in SHARED}
            if there != shared:
                was, is_now = (" ".join(words[name] for name in SHARED) for words in (there, shared))
                raise MeasureError(f"{table.path} was measured on {was}; this is {is_now}", help="give another -o")
