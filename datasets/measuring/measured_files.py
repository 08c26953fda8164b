"""Tables as files, Parquet or CSV, and what stands beside each: on what machine and how it was measured."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ircost.datasets.measuring.cases import Case, case_of
from ircost.datasets.measuring.errors import MeasureError
from ircost.datasets.measuring.session import Row
from ircost.datasets.tables import read_table
from ircost.ir.json_document import parse_json


def check_writer(path: Path) -> None:
    """Raises:
    MeasureError: no library writes such a file.
    """
    if path.suffix == ".csv":
        return
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise MeasureError("writing Parquet needs pyarrow", help="pip install 'ircost[data]', or give --csv") from error


def table_bytes(path: Path, rows: Sequence[Row]) -> bytes:
    """The rows as a file; a column that only some have is empty in the others."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return _csv(names, rows) if path.suffix == ".csv" else _parquet(names, rows)


def _csv(names: Sequence[str], rows: Iterable[Row]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _parquet(names: Sequence[str], rows: Iterable[Row]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    out = io.BytesIO()
    whole = [{name: row.get(name) for name in names} for row in rows]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(whole), out, compression="zstd")
    return out.getvalue()


def read_rows(path: Path, family: str) -> dict[Case, Row]:
    """The rows of a table that was measured before, by their cases.

    Raises:
        MeasureError: it is none of that family, or not of ``irc measure``.
        TableError: it is damaged.
    """
    columns = {name: column.tolist() for name, column in read_table(path).columns.items()}
    rows = [_plain(dict(zip(columns, values, strict=True))) for values in zip(*columns.values(), strict=True)]
    return {_case(path, family, row, number): row for number, row in enumerate(rows, start=1)}


def _case(path: Path, family: str, row: Row, number: int) -> Case:
    try:
        return case_of(family, dict(row))
    except (KeyError, ValueError) as error:
        raise MeasureError(
            f"{path} is no {family} table of irc measure: {error}", help="give another -o, or move it away"
        ) from error
    except (TypeError, OverflowError) as error:
        raise MeasureError(
            f"{path}: row {number} lacks a size, or has an infinite one", help="take the row out, or give another -o"
        ) from error


def _plain(row: Mapping[str, str | float]) -> Row:
    """Whole numbers as such, whatever the file made of them; nothing where nothing was measured."""
    return {name: _cell(value) for name, value in row.items()}


def _cell(value: str | float) -> str | int | float | None:
    if isinstance(value, float):
        return None if value != value else int(value) if value.is_integer() else value
    return value


def about_path(table: Path) -> Path:
    """The file beside a table that says how it was measured."""
    return table.with_suffix(".json")


def about_text(table: Path, runs: Sequence[Mapping[str, object]]) -> str:
    """What stands beside a table: the runs that it was measured in, the first one first."""
    # Drivers' bindings tell some facts as objects of their own.
    return json.dumps({"table": table.name, "runs": list(runs)}, indent=1, default=str) + "\n"


def runs_before(path: Path) -> list[Mapping[str, object]]:
    """The runs that a table was measured in so far.

    Raises:
        MeasureError: the file beside it says something else.
    """
    beside = about_path(path)
    if not beside.exists():
        return []
    try:
        content = parse_json(beside.read_text())
        return list(content["runs"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MeasureError(f"{beside} does not say how {path.name} was measured", help="move it away") from error
