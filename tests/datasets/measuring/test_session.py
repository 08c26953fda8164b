"""One case after the other: rows, failures, the end of the time, a device that broke."""

from __future__ import annotations

from itertools import islice

import pytest
from fake_library import FakeLibrary, FakeSampler, seconds_of

from ircost.datasets.measuring.cases import Case
from ircost.datasets.measuring.errors import MeasureError
from ircost.datasets.measuring.library import Sampler
from ircost.datasets.measuring.sampling import cases
from ircost.datasets.measuring.session import MOST_FAILURES_IN_A_ROW, Failed, Measured, Session


def drawn(library: FakeLibrary, count: int) -> list[Case]:
    return list(islice(cases(library.kinds, ["float32"], 0, library.limits), count))


def test_a_row_says_what_was_measured_where_and_by_whom() -> None:
    library = FakeLibrary()
    (case,) = drawn(library, 1)
    (found,) = Session(library, "mine", "irc measure").measure([case])
    assert isinstance(found, Measured)
    row = found.row
    assert (row["device"], row["source"]) == ("mine", "irc measure")
    assert (row["framework"], row["framework_version"]) == ("pytorch", "1.0")
    assert row["latency_us"] == pytest.approx(1e6 * seconds_of(case, "cpu"))
    assert (row["latency_iqr_us"], row["samples"]) == (0.0, 9)
    assert "power_w" not in row


def test_failures_are_told_and_the_others_go_on() -> None:
    library = FakeLibrary(failing=("attention",))
    found = list(Session(library, "mine", "us").measure(drawn(library, 60)))
    failed = [own for own in found if isinstance(own, Failed)]
    assert {own.case.family for own in failed} == {"attention"}
    assert {own.reason for own in failed} == {"out of memory"}
    assert len(found) == 60


def test_a_device_on_which_all_fails_is_given_up() -> None:
    library = FakeLibrary(failing=("gemm", "attention", "vector", "conv"))
    with pytest.raises(MeasureError, match="25 cases in a row failed, the last one: out of memory"):
        list(Session(library, "mine", "us").measure(drawn(library, 100)))
    assert len(library.met) == MOST_FAILURES_IN_A_ROW


def test_no_case_is_begun_once_the_time_is_over() -> None:
    library = FakeLibrary()
    seconds = iter(range(100))
    found = list(Session(library, "mine", "us", seconds=5).measure(drawn(library, 60), lambda: next(seconds)))
    assert len(found) == 4


class Meter:
    limit_w = 700.0

    def power_w(self, sampler: Sampler) -> float | None:
        assert isinstance(sampler, FakeSampler)
        return 321.0


def test_power_stands_beside_the_latency() -> None:
    library = FakeLibrary()
    (found,) = Session(library, "mine", "us", meter=Meter()).measure(drawn(library, 1))
    assert isinstance(found, Measured)
    assert (found.row["power_w"], found.row["power_limit_w"]) == (321.0, 700.0)
