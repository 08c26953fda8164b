"""Runs that the system broke off are repeated, for some time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ircost.datasets.measuring import host_clock
from ircost.datasets.measuring.host_clock import MOST_TRIES, HostRun, host_run


@pytest.mark.parametrize(
    ("counts", "runs"),
    [((0, 0), 1), ((5, 6, 6, 6), 2), ((0, 1, 1, 2, 2, 2), 3), (tuple(range(2 * MOST_TRIES)), MOST_TRIES)],
)
def test_a_run_that_was_broken_off_is_repeated(
    monkeypatch: pytest.MonkeyPatch, counts: tuple[int, ...], runs: int
) -> None:
    told: Iterator[int] = iter(counts)
    monkeypatch.setattr(host_clock, "taken_away", lambda: next(told))
    called: list[int] = []
    HostRun(lambda: called.append(0), 1).sample()
    assert len(called) == runs


def test_short_calls_are_run_many_times_between_two_readings() -> None:
    assert host_run(lambda: None).count == host_clock.MOST_LAUNCHES


def test_a_long_run_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter(range(100))
    monkeypatch.setattr(host_clock, "taken_away", lambda: next(told))
    monkeypatch.setattr(HostRun, "_seconds", lambda run: 1.0)
    HostRun(lambda: None, 1).sample()
    assert next(told) == 2
