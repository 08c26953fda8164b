"""Measured tables: Parquet or CSV files in the schema of `docs/cost-models.md`, as NumPy columns."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ircost.ir.errors import IrcError

# Words even where they look like numbers; of CSV, whose columns do not say.
TEXT = frozenset(
    (
        *("device", "source", "framework", "framework_version", "op", "dtype", "kv_dtype"),
        *("kernel", "phase", "distribution", "topology", "model", "caches", "library"),
    )
)


class TableError(IrcError):
    """A file is no table of measurements."""


@dataclass(frozen=True, slots=True)
class MeasuredTable:
    """Rows of one file.

    Args:
        path: of the file.
        columns: by name, all of one length; text as objects, all else as numbers.
        sha256: of the file, as hex digits.
    """

    path: str
    columns: Mapping[str, np.ndarray]
    sha256: str

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))


def read_table(path: str | Path, *, is_measured: bool = True) -> MeasuredTable:
    """A table of measurements.

    Args:
        is_measured: else it may lack latencies: a list of kernels.

    Raises:
        TableError: the file is missing, damaged, or lacks a column that every table has; a reader is not installed.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TableError(f"cannot read {path}: {error.strerror}", help="give a Parquet or CSV file") from error
    columns = _csv(data, path) if path.suffix.lower() == ".csv" else _parquet(data, path)
    needed = ("device", "op", "forward_us") if {"dims", "forward_us"} <= columns.keys() else ("device", "latency_us")
    missing = [name for name in needed if name not in columns and (is_measured or name != "latency_us")]
    if missing:
        found = f"it has {', '.join(map(repr, columns))}" if columns else "it has none"
        raise TableError(
            f"{path} has no column {', '.join(missing)}",
            help=f"tables have device, latency_us and dims of the kernels, with commas between; {found}",
        )
    return MeasuredTable(str(path), columns, hashlib.sha256(data).hexdigest())


def _parquet(data: bytes, path: Path) -> dict[str, np.ndarray]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise TableError("reading Parquet needs pyarrow", help="pip install 'ircost[data]', or give CSV") from error
    try:
        table = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data)).read()
        _check_names(table.column_names, path)
        is_nested = pyarrow.types.is_nested  # lists and records: no size, and no word
        return {
            name: _column(table.column(place))
            for place, name in enumerate(table.column_names)
            if not is_nested(table.column(place).type)
        }
    except (pyarrow.ArrowException, OSError) as error:
        raise TableError(f"{path} is no Parquet file: {error}", help="CSV is told by the ending .csv") from error


def _check_names(names: Sequence[str], path: Path) -> None:
    """Raises:
    TableError: two columns have one name: which of them is meant?
    """
    for name, count in Counter(names).items():
        if count > 1:
            raise TableError(f"{path} has {count} columns '{name}'", help="leave one, or rename the others")


def _column(column: Any) -> np.ndarray:
    """As NumPy: numbers with NaN where nothing stands, words as objects with the empty word there."""
    import pyarrow

    if pyarrow.types.is_dictionary(column.type):
        # The words of a dictionary stay one object each, however many rows have them.
        values = [chunk.dictionary.to_pylist() for chunk in column.chunks]
        chunks = [
            np.array([*words, None], dtype=object)[chunk.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)]
            for words, chunk in zip(values, column.chunks, strict=True)
        ]
        array = np.concatenate([np.zeros(0, dtype=object), *chunks])
    else:
        array = column.to_numpy(zero_copy_only=False)
    return np.where(array == None, "", array).astype(object) if array.dtype == object else array  # noqa: E711


def _csv(data: bytes, path: Path) -> dict[str, np.ndarray]:
    try:
        lines = [row for row in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"{path} is no CSV file: {error}", help="it has to be UTF-8, with commas") from error
    head, rows = (lines[0], lines[1:]) if lines else ([], [])
    _check_names(head, path)
    for number, row in enumerate(rows, start=1):
        if len(row) != len(head):
            raise TableError(f"{path}: row {number} has {len(row)} fields, the head {len(head)}")
    texts = zip(*rows, strict=True) if rows else ((),) * len(head)
    return {name: _csv_column(name, column) for name, column in zip(head, texts, strict=True)}


def _csv_column(name: str, texts: tuple[str, ...]) -> np.ndarray:
    if name not in TEXT:
        try:
            return np.array([float(text) if text else np.nan for text in texts], dtype=float)
        except ValueError:
            pass
    return np.array(texts, dtype=object)
