"""What a GPU draws beyond published figures: four fitted factors, and where they come from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from pathlib import Path

import numpy as np

from ircost.ir.errors import IrcError
from ircost.ir.json_document import parse_json

BUNDLED = Path(__file__).parent / "power_constants.json"
VERSION = 1
LEAST = 0.1  # of a factor: below, its digits do not matter
SAME = 5e-3  # relative: what other CPUs' rounding may make of the same fit


class PowerConstantsError(IrcError):
    """A file of constants is no such file."""


@dataclass(frozen=True, slots=True)
class PowerFactors:
    """Factors without a unit, so that they carry over to machines whose power nobody measured.

    Args:
        static: of the idle power that a target's file gives: leakage, clocks and memory while anything runs.
        active: of the board's power above idle, drawn while all processors have work: clocks, schedulers, leakage.
        ports: of the same, drawn if all ports between L2 and the processors were busy: wires, L1, registers.
        operations: of published energies of operations; see ``power.energy_j_per_flop``.
    """

    static: float
    active: float
    ports: float
    operations: float

    def to_array(self) -> np.ndarray:
        """In the order of ``FACTORS``."""
        return np.array([getattr(self, name) for name in FACTORS])


FACTORS = tuple(f.name for f in fields(PowerFactors))


@dataclass(frozen=True, slots=True)
class PowerConstants:
    """Args:
    factors: the fit.
    spread: of each factor, a standard error: that of fits to all kinds of kernels but one (jackknife).
    tables: SHA-256 of each table's file, by name.
    rows, devices: that were fitted to. kinds: of kernels, with the median error of each, a share.
    median_error: of the power of all those rows, a share.
    """

    factors: PowerFactors
    spread: PowerFactors
    tables: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0
    devices: tuple[str, ...] = ()
    kinds: Mapping[str, float] = field(default_factory=dict)
    median_error: float = 0.0

    def to_json(self) -> str:
        """The text of a file: sorted, the same for the same fit."""
        about = {
            **{"rows": self.rows, "devices": list(self.devices), "median_error": round(self.median_error, 4)},
            "kinds": {name: round(error, 4) for name, error in sorted(self.kinds.items())},
        }
        plain = {
            **{"version": VERSION, "tables": dict(sorted(self.tables.items())), "about": about},
            **{"factors": _rounded(self.factors), "spread": _rounded(self.spread)},
        }
        return json.dumps(plain, indent=1) + "\n"


def _rounded(factors: PowerFactors) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in asdict(factors).items()}


def read_power_constants(path: str | Path) -> PowerConstants:
    """Constants from a file.

    Raises:
        PowerConstantsError: it is none, or of another version.
    """
    try:
        content = parse_json(Path(path).read_text(encoding="utf-8"))
        if content["version"] != VERSION:
            raise PowerConstantsError(
                f"{path}: version {content['version']}, {VERSION} expected",
                help="write it again with irc calibrate --power",
            )
        about = content["about"]
        return PowerConstants(
            _factors(content["factors"]),
            _factors(content["spread"]),
            tables={str(name): str(digest) for name, digest in content["tables"].items()},
            rows=int(about["rows"]),
            devices=tuple(map(str, about["devices"])),
            kinds={str(name): float(error) for name, error in about["kinds"].items()},
            median_error=float(about["median_error"]),
        )
    except (OSError, ValueError, OverflowError, KeyError, TypeError, AttributeError) as error:
        raise PowerConstantsError(
            f"{path} holds no power constants: {error}", help="irc calibrate --power writes such a file"
        ) from error


def _factors(entry: Mapping[str, float]) -> PowerFactors:
    values = [float(entry[name]) for name in FACTORS]
    if not all(np.isfinite(value) and value >= 0 for value in values):
        raise ValueError("factors must be numbers, zero or more")
    return PowerFactors(*values)


def power_differences(one: PowerConstants, other: PowerConstants) -> list[str]:
    """What two files have different, in words: factors beyond ``SAME``, and the tables that they were fitted to."""
    found = [
        f"table {name}: {one.tables.get(name, 'none')[:12]}, {other.tables.get(name, 'none')[:12]}"
        for name in sorted({*one.tables, *other.tables})
        if one.tables.get(name) != other.tables.get(name)
    ]
    for name in FACTORS:
        here, there = getattr(one.factors, name), getattr(other.factors, name)
        if abs(here - there) > SAME * max(here, there, LEAST):
            found.append(f"{name}: {here:.4f}, {there:.4f}")
    return found


@lru_cache(maxsize=1)
def bundled_power_constants() -> PowerConstants:
    """Those that come with the package."""
    return read_power_constants(BUNDLED)
