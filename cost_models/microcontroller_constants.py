"""How far kernels of microcontrollers are from the data sheet, and where that is known from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

BUNDLED = Path(__file__).parent / "microcontroller_constants.json"


@dataclass(frozen=True, slots=True)
class MicrocontrollerConstants:
    """Seconds of a kernel are core x runtime x the sum of terms, each its seconds at best times a factor.

    Args:
        terms: factor of each of ``microcontroller_work.TERMS``, on a Cortex-M4, of runtimes on the mean.
        cores: by the architecture of a target, relative to the Cortex-M4.
        runtimes: relative to the geometric mean of all.
        half_width: of the interval of 90 %, in ln of the latency: by what was left out of the fit in turn, ``known``
            of a core and a runtime that are in it, ``no runtime`` of one that is not named, ``new core``.
        devices: with published runs. powered: those with published energies.
        rows: runs that were fitted to. networks: of those, how many differ. table: SHA-256 of their file.
    """

    terms: Mapping[str, float]
    cores: Mapping[str, float]
    runtimes: Mapping[str, float]
    half_width: Mapping[str, float]
    devices: tuple[str, ...]
    powered: tuple[str, ...]
    rows: int
    networks: int
    table: str

    def core(self, architecture: str) -> float:
        """The factor of a core; of one that nobody measured the geometric mean of all."""
        mean = float(np.exp(np.mean(np.log([*self.cores.values()]))))
        return self.cores.get(architecture, mean)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"


@lru_cache(maxsize=1)
def bundled_microcontroller_constants() -> MicrocontrollerConstants:
    """Those that come with the package; ``python -m benchmarks.microcontrollers --fit`` writes them."""
    said = json.loads(BUNDLED.read_text(encoding="utf-8"))
    lists = {name: tuple(said[name]) for name in ("devices", "powered")}
    return MicrocontrollerConstants(**{**said, **lists})
