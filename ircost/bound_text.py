"""What limits a kernel or a run, in words."""

from __future__ import annotations

NAMES_OF_BOUNDS = {
    "matrix": "matrix units",
    "vector": "vector units",
    "special": "special functions",
    "shared": "shared memory",
    "steps": "steps",
    "launch": "launch",
    "link": "links",
    "unknown": "unknown",
}


def bound_text(bound: str) -> str:
    """A limit by the name that reports, sweeps and drawings share; memories have those of their targets.

    >>> bound_text("vector"), bound_text("gddr")
    ('vector units', 'GDDR')
    """
    return NAMES_OF_BOUNDS.get(bound, bound.upper())
