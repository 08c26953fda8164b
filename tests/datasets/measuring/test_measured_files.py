"""Tables as files: what is written is read again, whole numbers stay whole, runs are listed."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest
from fake_library import FakeLibrary

from ircost.datasets.measuring.cases import Case
from ircost.datasets.measuring.errors import MeasureError
from ircost.datasets.measuring.measured_files import about_text, read_rows, runs_before, table_bytes
from ircost.datasets.measuring.sampling import cases
from ircost.datasets.measuring.session import Measured, Row, Session
from ircost.datasets.tables import TableError


def measured(family: str, count: int) -> dict[Case, Row]:
    library = FakeLibrary()
    kinds = [pair for pair in library.kinds if pair[0] == family]
    drawn = islice(cases(kinds, ["float32"], 0, library.limits), count)
    found = Session(library, "mine", "us").measure(drawn)
    return {own.case: own.row for own in found if isinstance(own, Measured)}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("family", ["gemm", "attention", "vector", "conv"])
def test_what_is_written_is_read_again(tmp_path: Path, family: str, suffix: str) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="Parquet is written and read")
    rows = measured(family, 30)
    path = tmp_path / f"{family}.{suffix}"
    path.write_bytes(table_bytes(path, list(rows.values())))
    again = read_rows(path, family)
    assert list(again) == list(rows)
    for case, row in rows.items():
        assert again[case] == {name: pytest.approx(value) for name, value in row.items()}


def test_a_reading_that_is_missing_stays_so(tmp_path: Path) -> None:
    (first, row), (second, other) = list(measured("vector", 2).items())
    path = tmp_path / "vector.csv"
    path.write_bytes(table_bytes(path, [{**row, "power_w": 300.0}, {**other, "power_w": None}]))
    again = read_rows(path, "vector")
    assert (again[first]["power_w"], again[second]["power_w"]) == (300, None)


def test_runs_are_listed_beside_the_table(tmp_path: Path) -> None:
    path = tmp_path / "gemm.parquet"
    assert runs_before(path) == []
    path.with_suffix(".json").write_text(about_text(path, [{"seed": 0}]))
    assert runs_before(path) == [{"seed": 0}]
    assert json.loads(about_text(path, [*runs_before(path), {"seed": 1}])) == {
        "table": "gemm.parquet",
        "runs": [{"seed": 0}, {"seed": 1}],
    }


@pytest.mark.parametrize("cell", ["", "inf"])
def test_a_row_without_a_size_is_not_gone_on_with(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "vector.csv"
    path.write_text(f"device,op,dtype,rows,cols,latency_us\nt4,add,float32,8,64,9\nt4,add,float32,8,{cell},9\n")
    with pytest.raises(MeasureError, match="row 2 lacks a size"):
        read_rows(path, "vector")


def test_other_files_are_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "gemm.csv"
    path.write_text("device,latency_us,rows,cols\nh100,1,2,3\n")
    with pytest.raises(MeasureError, match="no gemm table of irc measure"):
        read_rows(path, "gemm")
    path.write_text("nothing\n")
    with pytest.raises(TableError):
        read_rows(path, "gemm")
    for text in ("[]", "[" * 100_000):
        path.with_suffix(".json").write_text(text)
        with pytest.raises(MeasureError, match="does not say how"):
            runs_before(path)
