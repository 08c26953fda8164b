"""What a library must be able to do for its kernels to be measured: one folder or file for each that can."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from ircost.datasets.measuring.cases import Case
from ircost.datasets.measuring.sampling import Limits

# Whose kernels they are, as tables and cost models call it: how kernels are launched and what is in caches hangs on it.
EAGER, GRAPHS, SESSIONS = "pytorch", "pytorch graphs", "onnxruntime"
MOST_OF_MEMORY = 0.25  # that is free: operands and result, and as much again for what a library takes beside them


class Sampler(Protocol):
    """A kernel that is ready to run."""

    def sample(self) -> float:
        """Seconds of one launch, the mean over a short run of them."""
        ...


class PowerMeter(Protocol):
    """What reads a device's power."""

    @property
    def limit_w(self) -> float:
        """What the board may draw."""

    def power_w(self, sampler: Sampler) -> float | None:
        """Mean power while a kernel repeats; None where there was no reading."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The device, as its driver tells.

    Args:
        name: such as ``NVIDIA H100 80GB HBM3``.
        kind: ``gpu`` or ``cpu``.
        facts: for people: driver, clocks, threads, ...
    """

    name: str
    kind: str
    facts: Mapping[str, object]


class Library(Protocol):
    """A library on a device."""

    @property
    def framework(self) -> str:
        """Whose kernels they are, as tables call it."""

    @property
    def version(self) -> str:
        """Of the library."""

    @property
    def protocol(self) -> str:
        """How kernels are launched and timed, and what is in caches: for people."""

    @property
    def machine(self) -> Machine:
        """The device, as it is now."""

    @property
    def limits(self) -> Limits:
        """What one case may take."""

    @property
    def kinds(self) -> tuple[tuple[str, str], ...]:
        """(family, kind) of the kernels that it has."""

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Number formats that it computes in on this device, the usual one first."""

    def power_meter(self) -> PowerMeter:
        """What reads the device's power.

        Raises:
            MeasureError: nothing does.
        """

    def warm_up(self) -> None:
        """Keeps the device busy until its clocks have risen."""

    def ready(self, case: Case, seed: int) -> AbstractContextManager[Sampler]:
        """A case with operands of random numbers, run once and its result found finite; they are freed at the end.

        Raises:
            CaseError: it cannot be run, or its result is not finite.
        """
