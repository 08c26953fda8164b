"""A GPU's power, clocks and limits, read through NVIDIA's management library; nothing is ever set.

Needs ``nvidia-ml-py``, the extra ``power``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ircost.datasets.measuring.errors import MeasureError
from ircost.datasets.measuring.library import Sampler

LEAD_S = 0.5  # before power is read: the board's regulators and clocks settle
WINDOW_S = 1.5  # over which it is read: the counter of energy moves some ten times a second


@dataclass(frozen=True, slots=True)
class Nvml:
    """One device.

    Args:
        library: the module ``pynvml``. handle: of the device.
    """

    library: Any
    handle: Any

    def facts(self) -> dict[str, object]:
        """What it says for people; what a board does not tell is left out."""
        nvml, handle = self.library, self.handle
        asked: dict[str, Callable[[], object]] = {
            "driver": nvml.nvmlSystemGetDriverVersion,
            "processor_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
            "processor_clock_most_mhz": lambda: nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM),
            "memory_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM),
            "power_limit_w": lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000,
            "temperature_c": lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
        }
        return {name: value for name, of in asked.items() if (value := self._told(of)) is not None}

    def _told(self, of: Callable[[], object]) -> object:
        try:
            return of()
        except self.library.NVMLError:
            return None

    @property
    def limit_w(self) -> float:
        return float(self.library.nvmlDeviceGetEnforcedPowerLimit(self.handle)) / 1000

    def energy_j(self) -> float:
        """Counted since the driver was loaded."""
        return float(self.library.nvmlDeviceGetTotalEnergyConsumption(self.handle)) / 1000

    def power_w(self, sampler: Sampler, clock: Callable[[], float] = time.perf_counter) -> float | None:
        """Mean power while a kernel repeats, from one step of the counter to another."""
        start = clock()
        while clock() < start + LEAD_S:
            sampler.sample()
        begin = clock()
        readings: list[tuple[float, float]] = []
        while clock() < begin + WINDOW_S:
            sampler.sample()
            energy_j = self.energy_j()
            if not readings or energy_j > readings[-1][1]:
                readings.append((clock(), energy_j))
        # The first reading lies somewhere between two steps of the counter.
        steps = readings[1:]
        if len(steps) < 2:
            return None
        (first_s, first_j), (last_s, last_j) = steps[0], steps[-1]
        return (last_j - first_j) / (last_s - first_s)


def nvml_of(uuid: str) -> Nvml | None:
    """The device of that identifier; None without the library, or a driver that answers."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        return Nvml(pynvml, pynvml.nvmlDeviceGetHandleByUUID(uuid))
    except pynvml.NVMLError:
        return None


def power_meter(nvml: Nvml | None) -> Nvml:
    """Raises:
    MeasureError: power cannot be read on this device.
    """
    if nvml is None:
        raise MeasureError(
            "--power: no power can be read", help="it needs an NVIDIA GPU and pip install 'ircost[power]'"
        )
    try:
        nvml.energy_j()
    except nvml.library.NVMLError as error:
        raise MeasureError(
            f"--power: the driver does not count energy: {error}", help="GPUs since Volta do; leave out --power"
        ) from error
    return nvml
