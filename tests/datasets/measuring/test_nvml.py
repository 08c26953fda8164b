"""Power from the counter of energy, which moves in steps; what a board does not tell; nothing is ever set."""

from __future__ import annotations

import pytest

from ircost.datasets.measuring.errors import MeasureError
from ircost.datasets.measuring.nvml import LEAD_S, WINDOW_S, Nvml, power_meter

STEP_S = 0.1  # the counter moves that often
DRAWN_W = 400.0


class NVMLError(Exception):
    pass


class FakeDriver:
    """A board that draws 400 W while it works, and 50 W before: the module ``pynvml`` on a clock of its own."""

    NVMLError = NVMLError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = range(3)

    def __init__(self, *, counts_energy: bool = True) -> None:
        self.now_s, self.counts_energy = 0.0, counts_energy

    def sample(self) -> float:
        self.now_s += 0.003
        return 0.003

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: object) -> int:  # noqa: N802
        if not self.counts_energy:
            raise NVMLError("Not Supported")
        steps = int(self.now_s / STEP_S)
        return int(1000 * (DRAWN_W * max(steps * STEP_S - LEAD_S, 0.0) + 50 * min(steps * STEP_S, LEAD_S)))

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: object) -> int:  # noqa: N802
        return 700_000

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.1"

    def nvmlDeviceGetClockInfo(self, handle: object, which: int) -> int:  # noqa: N802
        return 1980 - which

    def nvmlDeviceGetMaxClockInfo(self, handle: object, which: int) -> int:  # noqa: N802
        raise NVMLError("Not Supported")

    def nvmlDeviceGetTemperature(self, handle: object, which: int) -> int:  # noqa: N802
        return 40


def test_power_is_that_of_the_repeated_kernel_alone() -> None:
    driver = FakeDriver()
    power_w = Nvml(driver, None).power_w(driver, lambda: driver.now_s)
    assert power_w == pytest.approx(DRAWN_W, rel=0.03)
    assert driver.now_s == pytest.approx(LEAD_S + WINDOW_S, abs=0.01)


def test_a_counter_that_stands_still_tells_nothing() -> None:
    driver = FakeDriver()
    driver.nvmlDeviceGetTotalEnergyConsumption = lambda handle: 5  # type: ignore[method-assign]
    assert Nvml(driver, None).power_w(driver, lambda: driver.now_s) is None


def test_facts_are_those_that_the_board_tells() -> None:
    facts = Nvml(FakeDriver(), None).facts()
    assert facts == {
        **{"driver": "580.1", "processor_clock_mhz": 1980, "memory_clock_mhz": 1979},
        **{"power_limit_w": 700.0, "temperature_c": 40},
    }


@pytest.mark.parametrize(
    ("nvml", "message"),
    [(None, "no power can be read"), (Nvml(FakeDriver(counts_energy=False), None), "does not count energy")],
)
def test_without_a_counter_power_is_refused(nvml: Nvml | None, message: str) -> None:
    with pytest.raises(MeasureError, match=message):
        power_meter(nvml)
