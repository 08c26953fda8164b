"""What the operating system says of a CPU."""

from __future__ import annotations

import os
import platform
from pathlib import Path

UNKNOWN = "unknown CPU"


def processor_name(cpuinfo: Path) -> str:
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
