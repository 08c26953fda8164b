"""The CPU at hand, as the operating system tells of it, and what one case may take of it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from ircost.datasets.measuring.library import MOST_OF_MEMORY, Machine
from ircost.datasets.measuring.sampling import Limits

MOST_BYTES = 2**29  # more than caches hold; in ONNX Runtime weights are part of a model, which has two GiB at most
MOST_FLOPS = 4e9  # of one thread: some 50 ms of a core with AVX-512, so that a thousand cases take minutes
UNKNOWN = "unknown CPU"


def cpu_machine(threads: int) -> Machine:
    """The CPU by its own name.

    Args:
        threads: that kernels run on.
    """
    facts = {
        "threads": threads,
        "processors": processors(),
        "memory_bytes": available_bytes(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
    }
    return Machine(processor_name(), "cpu", facts)


def cpu_limits(threads: int) -> Limits:
    return Limits(min(MOST_OF_MEMORY * available_bytes(), MOST_BYTES), MOST_FLOPS * threads)


def processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, as the kernel or, elsewhere, Python has it."""
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine() or UNKNOWN


def available_bytes(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Memory that programs can still have; half of all where the system does not tell."""
    if meminfo.is_file():
        for line in meminfo.read_text().splitlines():
            key, _, value = line.partition(":")
            if key == "MemAvailable":
                return int(value.split()[0]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
