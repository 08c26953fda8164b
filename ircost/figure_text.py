"""Figures of targets for people, by the paths that they have there."""

from __future__ import annotations

from ircost.quantity_text import si_text, small_text

# What a figure's name ends in -> its unit, and whether prefixes below one suit it; the first that fits counts.
UNITS = (
    ("_bytes_per_s", "B/s", False),
    ("_j_per_byte", "J/B", True),
    ("_per_s", "op/s", False),
    ("_bytes", "B", False),
    ("_hz", "Hz", False),
    ("_s", "s", True),
    ("_w", "W", True),
    ("count", "", False),
    ("block_scaled", "x", False),
)
RATES = ("matrix.", "vector.")
ENERGIES = ("energy.",)


def figure_text(path: str, value: float) -> str:
    """A figure with its unit, which its name tells.

    >>> figure_text("memory.hbm.bandwidth_bytes_per_s", 3.35e12)
    '3.35 TB/s'
    >>> figure_text("matrix.f16", 989.4e12)
    '989 Top/s'
    """
    unit, is_small = _unit_of(path)
    return small_text(value, unit) if is_small else si_text(value, unit)


def _unit_of(path: str) -> tuple[str, bool]:
    if path.startswith(RATES):
        return "op/s", False
    if path.startswith(ENERGIES):
        return "J/op", True
    return next((unit, is_small) for ending, unit, is_small in UNITS if path.endswith(ending))
