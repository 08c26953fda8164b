"""Where ``irc measure`` puts its rows: a table for each family, always whole, and beside it how it was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ircost.commands.output import write_whole
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
    if output.suffix in SUFFIXES:
        if len(families) > 1:
            raise MeasureError(
                f"-o {output} holds one family, not {', '.join(families)}",
                help="name it: --family gemm; or give a folder",
            )
        return {families[0]: output}
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MeasureError(f"-o {output}: {error.strerror}", help="give a folder that can be written") from error
    return {family: output / f"{family}{SUFFIXES[as_csv]}" for family in families}


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
