"""Tables of kernels as people have them, from Python: predicted and scored alike, or told what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import ircost
from ircost.cost_models.frames import columns_of
from ircost.ir import IrcError

PRODUCTS: dict[str, Any] = {
    "device": ["h100", "h100", "nosuch", "t4"],
    "m": [1024, 2048, 512, 64],
    "n": [1024, 1024, 1024, 64],
    "k": [1024, 1024, 1024, None],
}


class Frame:
    """A frame as of polars: columns by name, each of which makes an array."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self.columns = list(columns)
        self._own = columns

    def __getitem__(self, name: str) -> Any:
        own = np.array([np.nan if x is None else x for x in self._own[name]])
        return SimpleNamespace(to_numpy=lambda: own)


class LazyFrame(Frame):
    """As of polars: a plan of a frame."""

    def collect(self) -> Frame:
        return Frame(self._own)

    def __getitem__(self, name: str) -> Any:
        raise TypeError("LazyFrame is not subscriptable")


def pandas_frame(columns: dict[str, Any]) -> Any:
    return pytest.importorskip("pandas").DataFrame(columns)


def pandas_with_its_own_kinds(columns: dict[str, Any]) -> Any:
    frame = pytest.importorskip("pandas").DataFrame(columns).convert_dtypes()
    return frame.assign(device=frame["device"].astype("category"))


def polars_frame(columns: dict[str, Any]) -> Any:
    return pytest.importorskip("polars").DataFrame(columns)


def arrow_table(columns: dict[str, Any]) -> Any:
    return pytest.importorskip("pyarrow").table(columns)


FORMS: list[Callable[[dict[str, Any]], Any]] = [
    dict,
    Frame,
    pandas_frame,
    pandas_with_its_own_kinds,
    polars_frame,
    arrow_table,
]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_table_has_the_same_figures(form: Callable[[dict[str, Any]], Any]) -> None:
    found = ircost.predict(form(PRODUCTS), model="analytical")
    known = ircost.predict({name: column[:2] for name, column in PRODUCTS.items()}, model="analytical")
    assert found.latency_s[:2].tolist() == known.latency_s.tolist()
    assert np.isnan(found.latency_s[2:]).all()
    told = found.to_columns()
    assert [bool(reason) for reason in told["failure"]] == [False, False, True, True]
    assert "no target 'nosuch'" in told["failure"][2]
    assert "k is not a number" in told["failure"][3]
    assert {len(column) for column in told.values()} == {4}


@pytest.mark.parametrize("form", FORMS)
def test_a_frame_without_rows_has_no_figures(form: Callable[[dict[str, Any]], Any]) -> None:
    found = ircost.predict(form({name: column[:2][:0] for name, column in PRODUCTS.items()}))
    assert len(found) == 0
    assert found.failures == {}


def test_a_single_value_stands_for_all_rows() -> None:
    one = ircost.predict({"device": "h100", "m": 4096, "n": 4096, "k": 4096})
    many = ircost.predict({"device": "h100", "m": [4096, 8192], "n": 4096, "k": 4096})
    assert many.latency_s[0] == one.latency_s[0]
    assert one.low_s[0] < one.latency_s[0] < one.high_s[0]
    assert repr(many) == "<RowEstimates of 2 gemm kernels>"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({name: column for name, column in PRODUCTS.items() if name != "k"}, "its columns match no family"),
        ({name: column for name, column in PRODUCTS.items() if name != "device"}, "has no column device"),
        ({}, "has no column device"),
        ({**PRODUCTS, "m": [1, 2]}, "different lengths: device 4, m 2"),
        ({**PRODUCTS, "m": np.ones((4, 2))}, "column m has shape"),
        ({**PRODUCTS, "m": None}, "column m is a NoneType"),
        (dict([*PRODUCTS.items(), (3, [1, 2, 3, 4])]), "a column is named 3"),
        ([1, 2, 3], "a list is not a table"),
        ("gemm.parquet", "a str is not a table"),
        (LazyFrame(PRODUCTS), "a LazyFrame holds no rows yet"),
    ],
)
def test_what_is_no_table_of_kernels_is_told(table: Any, message: str) -> None:
    with pytest.raises(IrcError) as told:
        ircost.predict(table)
    assert message in told.value.message
    assert told.value.help


def test_two_columns_of_one_name_are_told() -> None:
    frame = pytest.importorskip("pandas").DataFrame([["h100", 1, 2]], columns=["device", "m", "m"])
    with pytest.raises(IrcError, match="has 2 columns 'm'"):
        ircost.predict(frame)


def test_models_of_tables_are_checked() -> None:
    with pytest.raises(IrcError, match="did you mean hybrid"):
        ircost.predict(PRODUCTS, model="hybird")
    with pytest.raises(IrcError, match="no cost model 'learned' for tables"):
        ircost.evaluate(PRODUCTS, model="learned")
    with pytest.raises(IrcError, match="no such grouping"):
        ircost.evaluate(PRODUCTS, by=["colour"])


def test_scores_of_a_frame() -> None:
    measured = {**PRODUCTS, "latency_us": [8.0, 12.0, 1.0, 1.0]}
    (score,) = ircost.evaluate(measured)
    assert (score.rows, score.failed) == (4, 2)
    assert [own.labels["device"] for own in ircost.evaluate(measured, by=["device"])] == ["h100", "nosuch", "t4"]
    with pytest.raises(IrcError, match="no row can be used: the table: it has no rows"):
        ircost.evaluate({name: column[:0] for name, column in measured.items()})
    with pytest.raises(IrcError, match="has no column latency_us"):
        ircost.evaluate(PRODUCTS)


def test_where_every_row_failed_there_is_no_score() -> None:
    measured = {"device": "nosuch", "m": [1, 2], "n": 3, "k": 4, "latency_us": 5.0}
    with pytest.raises(IrcError, match=r"no row can be used: .*2 failed: no target 'nosuch'"):
        ircost.evaluate(measured)


def test_columns_are_arrays_of_numbers_or_objects() -> None:
    found = columns_of({"device": np.array(["a", "b"]), "m": (1, 2), "note": ["x", None], "flag": True}, "mine")
    assert [column.dtype.kind for column in found.values()] == ["O", "i", "O", "b"]
