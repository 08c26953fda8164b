"""A GPU as PyTorch and its driver tell of it, and what one case may take of it."""

from __future__ import annotations

import torch

from ircost.datasets.measuring.library import MOST_OF_MEMORY, Machine
from ircost.datasets.measuring.nvml import Nvml
from ircost.datasets.measuring.sampling import Limits

MOST_FLOPS = 2e13  # some 30 ms at the usual speed of one that serves, so that a thousand cases take minutes
# Where a build of PyTorch does not tell: more than any GPU of today has.
USUAL_CACHE_BYTES = 128 * 2**20


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


def gpu_limits(device: torch.device) -> Limits:
    return Limits(MOST_OF_MEMORY * torch.cuda.mem_get_info(device)[0], MOST_FLOPS)


def cache_bytes(device: torch.device) -> int:
    """The last cache that all processors of a GPU share."""
    found = getattr(torch.cuda.get_device_properties(device), "L2_cache_size", 0)
    return int(found) or USUAL_CACHE_BYTES
