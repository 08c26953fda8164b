"""PyTorch as a library whose kernels are measured."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from ircost.datasets.measuring.cases import Case
from ircost.datasets.measuring.cpu import cpu_limits, cpu_machine
from ircost.datasets.measuring.errors import CaseError, MeasureError
from ircost.datasets.measuring.library import Machine, PowerMeter, Sampler
from ircost.datasets.measuring.nvml import Nvml, nvml_of, power_meter
from ircost.datasets.measuring.pytorch.clocks import Clock, EventClock, GraphClock, HostClock
from ircost.datasets.measuring.pytorch.gpu import cache_bytes, gpu_limits, gpu_machine
from ircost.datasets.measuring.pytorch.kernels import Operands, calls_of
from ircost.datasets.measuring.sampling import SHARES, Limits

WARM_UP_S = {"cuda": 1.0, "cpu": 0.2}
WARM_UP_SIDE = 2048  # of a product's matrices
NO_MEMORY = "can't allocate memory"  # on a CPU; the message goes on with sizes
CACHES_PASSED = 2.0  # weights that take turns are so many times as large as the last cache


@dataclass(frozen=True, slots=True)
class PyTorch:
    """Args:
    clock: how calls are launched and timed.
    nvml: of the GPU, where it answers.
    """

    device: torch.device
    clock: Clock
    nvml: Nvml | None = None

    @property
    def framework(self) -> str:
        return self.clock.framework

    @property
    def version(self) -> str:
        return str(torch.__version__)

    @property
    def protocol(self) -> str:
        return self.clock.protocol

    @property
    def machine(self) -> Machine:
        is_cpu = self.device.type == "cpu"
        return cpu_machine(torch.get_num_threads()) if is_cpu else gpu_machine(self.device, self.nvml)

    @property
    def limits(self) -> Limits:
        is_cpu = self.device.type == "cpu"
        return cpu_limits(torch.get_num_threads()) if is_cpu else gpu_limits(self.device)

    @property
    def kinds(self) -> tuple[tuple[str, str], ...]:
        return tuple((family, kind) for family, kinds in SHARES.items() for kind in kinds)

    @property
    def dtypes(self) -> tuple[str, ...]:
        if self.device.type == "cpu":
            return ("float32", "bfloat16", "float16")
        return ("bfloat16", "float16", "float32", "tf32")

    def power_meter(self) -> PowerMeter:
        return power_meter(self.nvml)

    def warm_up(self) -> None:
        side = torch.randn(WARM_UP_SIDE, WARM_UP_SIDE, dtype=torch.float32, device=self.device)
        end = time.monotonic() + WARM_UP_S[self.device.type]
        while time.monotonic() < end:
            (side @ side).sum().item()

    @contextmanager
    def ready(self, case: Case, seed: int) -> Iterator[Sampler]:
        # Float32 is what it says: by default PyTorch runs convolutions in TF32.
        in_tf32 = case.dtype == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = in_tf32
        generator = torch.Generator(self.device).manual_seed(seed)
        turns = CACHES_PASSED * cache_bytes(self.device) if self.clock.weights_take_turns else 0.0
        with torch.inference_mode(), _told_as_case_error():
            calls = calls_of(case, Operands(self.device, generator, turns))
            if not bool(torch.isfinite(calls[0]()).all()):
                raise CaseError("the result is not finite")
            yield self.clock.sampler(calls)


@contextmanager
def _told_as_case_error() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise CaseError("out of memory") from error
    except (RuntimeError, NotImplementedError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise CaseError("out of memory" if NO_MEMORY in first else first) from error


def open_pytorch(device: str | None, eager: bool, threads: int | None) -> PyTorch:
    """PyTorch on a device; the first GPU where there is one and none is named.

    Raises:
        MeasureError: there is no such device.
    """
    name = device or ("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(name)
    except RuntimeError as error:
        raise MeasureError(f"--device {name}: no such device", help="cpu, cuda or cuda:0 are such") from error
    if found.type == "cpu":
        if threads is not None:
            torch.set_num_threads(threads)
        return PyTorch(found, HostClock())
    if found.type != "cuda":
        raise MeasureError(f"--device {name}: kernels are measured on GPUs (cuda) and on the CPU", help="take one")
    count = torch.cuda.device_count()
    if not torch.cuda.is_available() or (found.index or 0) >= count:
        there = ", ".join(f"cuda:{number}" for number in range(count)) or "no GPU"
        raise MeasureError(f"--device {name}: PyTorch {torch.__version__} sees {there}", help="--device cpu is there")
    found = torch.device("cuda", found.index or 0)
    torch.cuda.set_device(found)
    clock = EventClock() if eager else GraphClock(torch.cuda.Stream(found))
    uuid = getattr(torch.cuda.get_device_properties(found), "uuid", None)
    has_nvml = uuid is not None and torch.version.hip is None
    return PyTorch(found, clock, nvml_of(f"GPU-{uuid}") if has_nvml else None)
