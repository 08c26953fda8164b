"""Measured tables: Parquet or CSV files in the schema of `docs/cost-models.md`, as NumPy columns."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ircost.ir.errors import IrcError

TEXT = frozenset(
    "device source framework framework_version op dtype kv_dtype kernel phase distribution topology model".split()
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

    def of_device(self, device: str) -> dict[str, np.ndarray]:
        """The columns of one device's rows."""
        rows = np.flatnonzero(self.columns["device"] == device)
        return {name: column[rows] for name, column in self.columns.items()}


def read_table(path: str | Path) -> MeasuredTable:
    """A table of measurements.

    Raises:
        TableError: the file is missing, damaged, or lacks a column that every table has; a reader is not installed.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror}") from error
    columns = _csv(path) if path.suffix == ".csv" else _parquet(path)
    needed = ("device", "forward_us" if "forward_us" in columns else "latency_us")
    missing = [name for name in needed if name not in columns]
    if missing:
        raise TableError(
            f"{path} has no column {', '.join(missing)}", help="tables have device, latency_us and dims"
        )
    return MeasuredTable(str(path), columns, hashlib.sha256(data).hexdigest())


def _parquet(path: Path) -> dict[str, np.ndarray]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise TableError("reading Parquet needs pyarrow", help="pip install 'ircost[data]', or give CSV") from error
    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise TableError(f"{path} is no Parquet file: {error}") from error
    columns = {}
    for name in table.column_names:
        array = table[name].to_numpy(zero_copy_only=False)
        columns[name] = np.where(array == None, "", array).astype(object) if array.dtype == object else array  # noqa: E711
    return columns


def _csv(path: Path) -> dict[str, np.ndarray]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns: dict[str, np.ndarray] = {}
    for name in rows[0] if rows else ():
        texts = [row[name] or "" for row in rows]
        if name in TEXT:
            columns[name] = np.array(texts, dtype=object)
            continue
        try:
            columns[name] = np.array([float(text) if text else np.nan for text in texts])
        except ValueError:
            columns[name] = np.array(texts, dtype=object)
    return columns
