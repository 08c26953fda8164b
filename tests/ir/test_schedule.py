"""Schedules as text: there and back, and what does not fit its kernel."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ircost.ir.errors import VerifyError
from ircost.ir.parser import parse_module
from ircost.ir.schedule import Directive, Schedule, ScheduleError, parse_schedule
from ircost.ir.verify import verify

WORDS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True)
SETTINGS = st.dictionaries(WORDS, st.integers(0, 10**6) | WORDS, max_size=4).map(lambda found: tuple(found.items()))
DIRECTIVES = st.builds(Directive, WORDS, SETTINGS, st.just("") | WORDS)


@given(st.lists(DIRECTIVES, max_size=5).map(tuple).map(Schedule))
def test_text_reads_back(schedule: Schedule) -> None:
    assert parse_schedule(str(schedule)) == schedule


@pytest.mark.parametrize("text", ["tile m = 3", "m=3", "tile@ m=3", "tile m=3;;", "tile m=3 m=4", "tile m="])
def test_what_is_no_schedule_is_said(text: str) -> None:
    with pytest.raises(ScheduleError):
        parse_schedule(text)


def kernel(schedule: str) -> str:
    return (
        "func @main(%x: 64x32xf16, %w: 32x16xf16) -> 64x16xf16 { %y = kernel %x, %w "
        f'{{schedule = "{schedule}"}} body(%a: 64x32xf16, %b: 32x16xf16) '
        "{ %c = matmul %a, %b yield %c } : 64x16xf16 return %y }"
    )


@pytest.mark.parametrize(
    "schedule",
    [
        "tile@shared m=16 k=8; loop@shared m=4 k=4; stages shared=2; split k=2",
        "tile@l2 m=32; tile@shared m=32 n=8",
        "chain rows=64 by=hand",  # a directive of somebody else
    ],
)
def test_what_fits_is_taken(schedule: str) -> None:
    verify(parse_module(kernel(schedule)))


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        ("tile@shared q=16", "names dim 'q', which the kernel lacks"),
        ("tile@shared m=128", "tile of m at shared is 128, that around it 64"),
        ("tile@l2 m=16; tile@shared m=32", "tile of m at shared is 32, that around it 16"),
        ("tile@shared m=0", "a number of 1 or more expected"),
        ("tile@shared m=all", "a number of 1 or more expected"),
        ("split n=2", "n is not a reduction dim"),
        ("tile m", "is not a directive"),
    ],
)
def test_what_does_not_fit_is_refused(schedule: str, why: str) -> None:
    with pytest.raises(VerifyError, match=why):
        verify(parse_module(kernel(schedule)))
