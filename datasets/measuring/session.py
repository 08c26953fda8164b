"""One case after the other, as long as there is time: rows of tables, and what failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ircost.datasets.measuring.cases import Case, columns_of
from ircost.datasets.measuring.errors import CaseError, MeasureError
from ircost.datasets.measuring.library import Library, PowerMeter
from ircost.datasets.measuring.timing import USUAL_EFFORT, Effort, timed

# After a fault that no later kernel survives, such as one of a driver, all cases fail.
MOST_FAILURES_IN_A_ROW = 25

Row = dict[str, str | int | float | None]


@dataclass(frozen=True, slots=True)
class Measured:
    """A case that was measured, as a row of its table."""

    case: Case
    row: Row


@dataclass(frozen=True, slots=True)
class Failed:
    """A case that was not, and why."""

    case: Case
    reason: str


@dataclass(frozen=True, slots=True)
class Session:
    """What all rows share.

    Args:
        device: the target's name.
        source: who measured, as tables have it.
        meter: reads power; None where nobody asked for it.
        seed: of the operands.
        seconds: no case is begun after so long; without end where None.
    """

    library: Library
    device: str
    source: str
    effort: Effort = USUAL_EFFORT
    meter: PowerMeter | None = None
    seed: int = 0
    seconds: float | None = None

    def measure(
        self, cases: Iterable[Case], clock: Callable[[], float] = time.monotonic
    ) -> Iterator[Measured | Failed]:
        """Each case in turn.

        Raises:
            MeasureError: nothing but failures: the device is in a state that no kernel survives.
        """
        start, in_a_row = clock(), 0
        for case in cases:
            if self.seconds is not None and clock() - start >= self.seconds:
                return
            try:
                found: Measured | Failed = Measured(case, self._row(case))
                in_a_row = 0
            except CaseError as error:
                found, in_a_row = Failed(case, str(error)), in_a_row + 1
            yield found
            if isinstance(found, Failed) and in_a_row == MOST_FAILURES_IN_A_ROW:
                raise MeasureError(
                    f"{in_a_row} cases in a row failed, the last one: {found.reason}",
                    help="look at the device; what was measured before is kept, and --resume goes on",
                )

    def _row(self, case: Case) -> Row:
        with self.library.ready(case, self.seed) as sampler:
            timing = timed(sampler.sample, self.effort)
            power: Row = {}
            if self.meter is not None:
                power = {"power_w": self.meter.power_w(sampler), "power_limit_w": self.meter.limit_w}
        about: Row = {"device": self.device, "source": self.source}
        whose: Row = {"framework": self.library.framework, "framework_version": self.library.version}
        times: Row = {"latency_us": 1e6 * timing.median_s, "latency_iqr_us": 1e6 * timing.quartiles_s}
        return {**about, **whose, **columns_of(case), **times, "samples": timing.samples, **power}
