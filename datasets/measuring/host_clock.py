"""Calls timed by the host's clock: on a CPU a call is over when it returns."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

try:
    import resource
except ImportError:  # not a Unix: it does not tell
    resource = None  # type: ignore[assignment]

WARM_CALLS = 3  # of each call that takes a turn, at least one: libraries choose and load their kernels
# A run of launches between two readings of the clock: long enough that reading it is no percent.
RUN_S = 5e-4
MOST_LAUNCHES = 512
MOST_TRIES = 4  # of a run that the system broke off to run something else
SLICE_S = 0.01  # some time that a scheduler gives to each: longer runs are broken off wherever others work


def launches(launch_s: float, run_s: float, turns: int) -> int:
    """How many launches a run has: as many as fill it, and whole turns.

    >>> launches(1e-4, 2e-3, 1), launches(1e-6, 2e-3, 6), launches(1.0, 2e-3, 3)
    (20, 516, 3)
    """
    wanted = min(max(math.ceil(run_s / max(launch_s, 1e-9)), 1), MOST_LAUNCHES)
    return math.ceil(wanted / turns) * turns


@dataclass(frozen=True, slots=True)
class HostRun:
    """A short run of one call.

    Args:
        count: calls. kernels: in each of them.
    """

    call: Callable[[], object]
    count: int
    kernels: int = 1

    def sample(self) -> float:
        for _ in range(MOST_TRIES):
            before = taken_away()
            seconds = self._seconds()
            if taken_away() == before or seconds * self.count > SLICE_S:
                break
        return seconds / self.kernels

    def _seconds(self) -> float:
        call, rounds = self.call, range(self.count)
        start = time.perf_counter()
        for _ in rounds:
            call()
        return (time.perf_counter() - start) / self.count


def taken_away() -> int:
    """How often the system took a processor away from a thread of this process that had work to do."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw if resource is not None else 0


def host_run(call: Callable[[], object], kernels: int = 1) -> HostRun:
    """A call, warmed up."""
    return HostRun(call, launches(warm_s(call), RUN_S, 1), kernels)


def warm_s(call: Callable[[], object]) -> float:
    """Seconds of a call after a few others."""
    for _ in range(WARM_CALLS):
        start = time.perf_counter()
        call()
        seconds = time.perf_counter() - start
    return seconds
