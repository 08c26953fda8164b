"""How long main memory must be busy at least."""

from __future__ import annotations

import numpy as np

from ircost.backends import Target


def main_memory_floor_s(traffic_bytes: np.ndarray | float, target: Target) -> np.ndarray:
    """Shortest time for compulsory traffic, if caches still hold all that they can from the run before.

    Only what exceeds the caches must cross main memory. Measured GEMMs whose operands stay in a 96 MB cache do beat
    their bytes over the main memory's bandwidth (15 % of the measured bf16 ones on an L40S).

    Args:
        traffic_bytes: bytes that are read or written, each counted once.

    Returns:
        Seconds, of the shape of ``traffic_bytes``.
    """
    exceeding = np.maximum(np.asarray(traffic_bytes, dtype=float) - cache_bytes(target), 0.0)
    floor_s: np.ndarray = exceeding / target.main_memory.bandwidth_bytes_per_s
    return floor_s


def cache_bytes(target: Target) -> float:
    """What all memories nearer than main memory hold together."""
    return sum(
        level.capacity_bytes * (target.processors.count if level.per_processor else 1) for level in target.memory[1:]
    )
