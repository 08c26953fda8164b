"""Samples are taken until their median is known, and no longer."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import pytest

from ircost.datasets.measuring.timing import Effort, median_error, timed

EFFORT = Effort(tolerance=0.01, least=9, most=200, most_s=1.0)


class Ticking:
    """A clock that moves on by the same step each time it is read."""

    def __init__(self, step_s: float) -> None:
        self.now_s, self.step_s = 0.0, step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


def test_a_steady_kernel_takes_the_fewest_samples() -> None:
    found = timed(lambda: 2e-5, EFFORT, Ticking(1e-6))
    assert (found.median_s, found.quartiles_s, found.samples) == (2e-5, 0.0, 9)


def test_an_unsteady_one_takes_more_until_the_median_is_known() -> None:
    draw = random.Random(0)
    found = timed(lambda: draw.lognormvariate(0.0, 0.04), EFFORT, Ticking(1e-6))
    assert 9 < found.samples < 200
    assert found.median_s == pytest.approx(1.0, abs=0.03)
    assert 0.02 < found.quartiles_s < 0.1


def test_one_that_never_settles_is_given_up() -> None:
    draw = random.Random(0)
    assert timed(lambda: draw.lognormvariate(0.0, 2.0), EFFORT, Ticking(1e-6)).samples == 200
    assert timed(lambda: draw.lognormvariate(0.0, 2.0), EFFORT, Ticking(0.1)).samples < 20


def test_a_long_one_has_three_samples() -> None:
    assert timed(lambda: 5.0, EFFORT, Ticking(5.0)).samples == 3


def test_outliers_do_not_move_it() -> None:
    def seconds() -> Iterator[float]:
        while True:
            yield from (1.0, 1.0, 1.0, 1.0, 50.0)

    assert timed(seconds().__next__, EFFORT, Ticking(1e-6)).median_s == 1.0


def test_the_error_covers_the_median_as_often_as_it_says() -> None:
    draw = random.Random(1)
    inside = 0
    for _ in range(400):
        samples = sorted(draw.lognormvariate(0.0, 0.1) for _ in range(40))
        median = (samples[19] + samples[20]) / 2
        inside += abs(median - 1.0) <= 2 * median_error(samples) * median
    assert inside >= 0.93 * 400


def test_few_samples_tell_nothing() -> None:
    assert median_error([1.0] * 4) == math.inf
