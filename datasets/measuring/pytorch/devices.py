"""What PyTorch, the driver and the operating system say of a device."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from ircost.datasets.measuring.cpu_facts import available_bytes, processor_name
from ircost.datasets.measuring.library import Machine
from ircost.datasets.measuring.nvml import Nvml


def gpu_machine(device: torch.device, nvml: Nvml | None) -> Machine:
    """A GPU by its driver's name; clocks, limits and temperature as they are now, where NVML tells."""
    found = torch.cuda.get_device_properties(device)
    facts: dict[str, object] = {
        "processors": found.multi_processor_count,
        "memory_bytes": found.total_memory,
        "cache_bytes": cache_bytes(device),
        "cuda": torch.version.cuda or "",
        "hip": torch.version.hip or "",
        "cudnn": torch.backends.cudnn.version() or 0,
        **(nvml.facts() if nvml is not None else {"nvml": "not installed: no clocks, no limits"}),
    }
    return Machine(found.name, "gpu", facts)


def cpu_machine() -> Machine:
    facts = {
        "threads": torch.get_num_threads(),
        "processors": os.cpu_count(),
        "memory_bytes": available_bytes(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": platform.platform(),
    }
    return Machine(processor_name(Path("/proc/cpuinfo")), "cpu", facts)


# Where a build of PyTorch does not tell: more than any GPU of today has.
USUAL_CACHE_BYTES = 128 * 2**20


def cache_bytes(device: torch.device) -> int:
    """The last cache that all processors of a GPU share."""
    found = getattr(torch.cuda.get_device_properties(device), "L2_cache_size", 0)
    return int(found) or USUAL_CACHE_BYTES


def free_bytes(device: torch.device) -> int:
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else available_bytes()
