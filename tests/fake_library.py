"""A library that is none: kernels take what their bytes and operations take at a fixed speed, and nothing is run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ircost.datasets.measuring.cases import Case
from ircost.datasets.measuring.errors import CaseError
from ircost.datasets.measuring.library import Machine, PowerMeter
from ircost.datasets.measuring.nvml import power_meter
from ircost.datasets.measuring.sampling import SHARES, Limits

# Of a GPU and a CPU, about half of what data sheets say of an H100 and of a server's socket.
BYTES_PER_S = {"gpu": 2e12, "cpu": 1e11}
FLOPS_PER_S = {"gpu": 4e14, "cpu": 2e12}
LAUNCH_S = 1e-5
LIMITS = Limits(1e8, 1e10)


@dataclass
class FakeSampler:
    seconds: float

    def sample(self) -> float:
        return self.seconds


@dataclass
class FakeLibrary:
    """Args:
    failing: families that cannot be run. interrupted_after: cases until the user breaks off.
    """

    kind: str = "cpu"
    name: str = "Example CPU"
    framework: str = "pytorch"
    version: str = "1.0"
    protocol: str = "nothing is run"
    failing: tuple[str, ...] = ()
    interrupted_after: int | None = None
    limits: Limits = LIMITS
    dtypes: tuple[str, ...] = ("float32", "bfloat16")
    met: list[Case] = field(default_factory=list)

    @property
    def machine(self) -> Machine:
        return Machine(self.name, self.kind, {"threads": 1})

    @property
    def kinds(self) -> tuple[tuple[str, str], ...]:
        return tuple((family, kind) for family, kinds in SHARES.items() for kind in kinds)

    def power_meter(self) -> PowerMeter:
        return power_meter(None)

    def warm_up(self) -> None:
        pass

    @contextmanager
    def ready(self, case: Case, seed: int) -> Iterator[FakeSampler]:
        if len(self.met) == self.interrupted_after:
            raise KeyboardInterrupt
        self.met.append(case)
        if case.family in self.failing:
            raise CaseError("out of memory")
        yield FakeSampler(seconds_of(case, self.kind))


def seconds_of(case: Case, kind: str) -> float:
    return max(case.touched_bytes / BYTES_PER_S[kind], case.flops / FLOPS_PER_S[kind]) + LAUNCH_S
