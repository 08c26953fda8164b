"""Tables of kernels in the forms that users have: pandas and polars frames, Arrow tables, dicts of lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from numbers import Number
from typing import Any

import numpy as np

from ircost.cost_models.gpu.table_work import Columns
from ircost.ir.errors import IrcError

HELP = "give a frame of pandas or polars, a table of Arrow, or a dict of columns"
NUMERIC = "iufb"


class FrameError(IrcError):
    """What is given is no table, or its columns do not fit together."""


def columns_of(table: Any, at: str, needed: Iterable[str] = ()) -> Columns:
    """The columns of a table by name, as arrays of [rows]; none of these libraries is imported.

    Args:
        table: anything that has columns by name: each an array, a series or a list. Of a dict, a single word or number
            stands for all rows.
        at: the table's name, for errors.
        needed: names of columns that it must have.

    Raises:
        FrameError: it is no table, a column is missing, there twice or no list, or they have different lengths.

    >>> {name: column.tolist() for name, column in columns_of({"device": "t4", "m": [1, 2]}, "mine").items()}
    {'device': ['t4', 't4'], 'm': [1, 2]}
    """
    names = _names(table, at)
    missing = [name for name in needed if name not in names]
    if missing:
        raise FrameError(
            f"{at} has no column {', '.join(missing)}", help=f"it has {', '.join(names) if names else 'none'}"
        )
    found = {name: table[name] for name in names}
    single = {name for name, column in found.items() if isinstance(column, (str, Number))}
    columns = {name: _array(column, name, at) for name, column in found.items() if name not in single}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise FrameError(f"{at}: columns have different lengths: {told}", help="give a value for each row")
    rows = next(iter(lengths.values()), 1 if single else 0)
    return {name: _repeated(found[name], rows) if name in single else columns[name] for name in names}


def _names(table: Any, at: str) -> list[str]:
    if isinstance(table, Mapping):
        names: list[Any] = list(table)
    elif hasattr(table, "collect"):
        raise FrameError(f"{at}: a {type(table).__name__} holds no rows yet", help="give what its collect() gives")
    else:
        listed = getattr(table, "column_names", getattr(table, "columns", None))  # Arrow's `columns` are the arrays
        if listed is None or not hasattr(table, "__getitem__"):
            raise FrameError(f"{at}: a {type(table).__name__} is not a table", help=HELP)
        names = list(listed)
    for name, count in Counter(names).items():
        if not isinstance(name, str):
            raise FrameError(f"{at}: a column is named {name!r}, which is not text", help=HELP)
        if count > 1:
            raise FrameError(f"{at} has {count} columns '{name}'", help="leave one, or rename the others")
    return names


def _array(column: Any, name: str, at: str) -> np.ndarray:
    """[rows] numbers as such, all else as objects; None where nothing stands."""
    if isinstance(column, (list, tuple, range)):
        array = np.asarray(column, dtype=None if all(isinstance(x, Number) for x in column) else object)
    elif hasattr(column, "isna") and column.dtype.kind not in NUMERIC:
        array = column.to_numpy(dtype=object, na_value=None)  # pandas has several values for none
    elif isinstance(column, np.ndarray) or hasattr(column, "to_numpy"):
        array = np.asarray(column if isinstance(column, np.ndarray) else column.to_numpy())
    else:
        raise FrameError(f"{at}: column {name} is a {type(column).__name__}, not a list", help=HELP)
    if array.ndim != 1:
        raise FrameError(f"{at}: column {name} has shape {array.shape}", help="give one value for each row")
    return array if array.dtype.kind in NUMERIC else array.astype(object, copy=False)


def _repeated(value: Any, rows: int) -> np.ndarray:
    return np.full(rows, value, dtype=object if isinstance(value, str) else None)
