"""Kernels one after another, with the host that launches them: what each adds to the time of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from ircost.backends import Target
from ircost.cost_models.energy import static_w
from ircost.cost_models.interface import Estimates
from ircost.cost_models.kernel_table import KernelRun

FOLLOWED = 3  # trips of a loop, kernel by kernel


def run_seconds(runs: Sequence[KernelRun], estimates: Estimates) -> np.ndarray:
    """[runs] seconds that each run adds to those before it, all of its repetitions together.

    Where launches are replayed these are the kernels' own times. Where a host launches kernel by kernel, it is at the
    next while the device still works: behind long kernels launches do not show, and behind short ones the device waits.
    The sum is never more than that of the kernels' own times.
    """
    rows = np.array([run.row for run in runs], dtype=int)
    counts = np.array([run.count for run in runs], dtype=float)
    if estimates.host_s is None or estimates.device_s is None or not len(rows):
        found: np.ndarray = estimates.latency_s[rows] * counts
        return found
    return _side_by_side(estimates.host_s[rows], estimates.device_s[rows], counts)


def run_energies_j(runs: Sequence[KernelRun], seconds: np.ndarray, estimates: Estimates, target: Target) -> np.ndarray:
    """[runs] of all repetitions: a device that need not wait for its host draws nothing while it would.

    Args:
        seconds: of ``run_seconds``.
    """
    rows = np.array([run.row for run in runs], dtype=int)
    counts = np.array([run.count for run in runs], dtype=float)
    saved_s = np.maximum(estimates.latency_s[rows] * counts - seconds, 0.0)
    found: np.ndarray = estimates.energy_j[rows] * counts - static_w(target) * saved_s
    return found


def _side_by_side(host_s: np.ndarray, device_s: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """[runs] as they come: a kernel starts when it is launched and the one before has ended.

    Neighbours that run as often as each other are the body of one loop; what its later trips take is shared out as the
    last trip that was followed shows it.
    """
    shown_s = np.zeros(len(counts))
    clocks = Clocks()
    kernels = list(zip(host_s.tolist(), device_s.tolist(), strict=True))
    for count, places in groupby(range(len(counts)), key=lambda place: counts[place]):
        first, *others = places
        own = slice(first, first + 1 + len(others))
        trips = int(count)
        followed = min(trips, FOLLOWED)
        last_s = np.zeros(len(others) + 1)
        for _ in range(followed):
            last_s = np.array([clocks.pass_by(*kernel) for kernel in kernels[own]])
            shown_s[own] += last_s
        if trips > followed:
            rest_s = clocks.pass_trips(kernels[own], trips - followed)
            shown_s[own] += rest_s * (last_s / last_s.sum() if last_s.any() else 1 / len(last_s))
    return shown_s


@dataclass(slots=True)
class Clocks:
    """Args:
    launched_s: what the host has behind it. ended_s: the device.
    """

    launched_s: float = 0.0
    ended_s: float = 0.0

    @property
    def latest_s(self) -> float:
        return max(self.launched_s, self.ended_s)

    def pass_by(self, host_s: float, device_s: float) -> float:
        """One kernel more. Returns: seconds that it adds."""
        before_s = self.latest_s
        self.ended_s = before_s + device_s
        self.launched_s += host_s
        return self.latest_s - before_s

    def pass_trips(self, body: Sequence[tuple[float, float]], trips: int) -> float:
        """So many trips of a loop's body more. Returns: seconds that they add.

        The last kernel ends at the end of the longest chain: of device times alone, or of launches up to some kernel
        and device times from there. How long a chain is grows evenly with the trip that it changes over in, so that the
        longest changes over in the first or in the last.
        """
        before_s = self.latest_s
        trip_host_s, trip_device_s = (sum(column) for column in zip(*body, strict=True))
        ended_s, launches_s, rest_s = self.ended_s + trips * trip_device_s, 0.0, trip_device_s
        for host_s, device_s in body:
            other_trips_s = (trips - 1) * max(trip_host_s, trip_device_s)
            ended_s = max(ended_s, self.launched_s + launches_s + other_trips_s + rest_s)
            launches_s += host_s
            rest_s -= device_s
        self.launched_s, self.ended_s = self.launched_s + trips * trip_host_s, ended_s
        return self.latest_s - before_s
