"""What a family's model gives back, and the small formulas that all families share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ircost.cost_models.gpu.machine import GpuMachine

Constants = Mapping[str, float]
Column = np.ndarray  # float64, a row for each kernel


@dataclass(frozen=True, slots=True)
class Terms:
    """Times of kernels, taken apart.

    Args:
        latency_s: [rows] fixed + what overlaps of ``busy``.
        busy: [rows] each, of resources that work side by side; the slowest sets the pace.
        fixed: [rows] each, of what nothing hides: launch, prologue, waves' tails, reductions.
        choice: [rows] which of ``choices`` the model took.
        choices: tiles, in words.
    """

    latency_s: Column
    busy: Mapping[str, Column]
    fixed: Mapping[str, Column]
    choice: Column | None = None
    choices: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Parameter:
    """A constant that no data sheet gives.

    Args:
        default: before any fit.
        low, high: what physics allows.
        meaning: for people.
    """

    default: float
    low: float
    high: float
    meaning: str


def overlapped(busy: Mapping[str, Column], sharpness: float) -> Column:
    """Time of resources that work side by side: the largest, and a little more where others come near to it.

    (sum of t^p)^(1/p): p = 1 is one after the other, p without end the largest alone.
    """
    columns = np.broadcast_arrays(*busy.values())
    top = np.maximum.reduce(columns)
    safe = np.where(top > 0, top, 1.0)
    total = sum((column / safe) ** sharpness for column in columns)
    result: Column = top * total ** (1.0 / sharpness)
    return result


def cold_share(footprint_bytes: Column, machine: GpuMachine, resident: float) -> Column:
    """Share of what a kernel touches that main memory must bring: 1 where it is more than ``resident`` of the cache.

    A kernel that is measured again and again finds in the cache what the runs between have left there. The step is
    steep: least-recently-used replacement loses everything of what is a little too large.
    """
    if machine.cache_bytes <= 0 or resident <= 0:
        return np.ones_like(footprint_bytes)
    share: Column = 1.0 / (1.0 + (resident * machine.cache_bytes / np.maximum(footprint_bytes, 1.0)) ** 8)
    return share
