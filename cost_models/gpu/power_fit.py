"""Fits the factors of power to rows whose power was read while the kernel ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ircost.cost_models.gpu.power_constants import FACTORS, PowerConstants, PowerFactors
from ircost.cost_models.gpu.power_rows import PowerRows

SAMPLE_ROWS = 1500  # of a kind of kernel: more change the factors by less than their spread
FEWEST_ROWS = 30
KNEE = 0.1  # |ln(predicted / measured)| beyond which a row is taken for a bad reading more and more (Cauchy)
# Where the board holds its power at the limit, NVML reads within this share of it: what the kernel would draw is not
# known, but that it is no less.
AT_LIMIT = 0.96
ROUNDS = 30
# A thousandth of the readings may be lower than what is drawn while anything runs: those taken before the kernel did.
LEAST_SHARE = 1e-3


@dataclass(frozen=True, slots=True)
class PowerSample:
    """Steady rows of one kind of kernel.

    Args:
        scaled_w: [rows, factors] power at factors of one. main_w: [rows] of main memory, which no factor scales.
        power_w, limit_w: [rows] as read.
        least_w: that was read of any kernel of the device, steady or not, in this table.
    """

    kind: str
    device: str
    least_w: float
    scaled_w: np.ndarray
    main_w: np.ndarray
    power_w: np.ndarray
    limit_w: np.ndarray


def power_samples(rows: PowerRows, sample_rows: int = SAMPLE_ROWS) -> list[PowerSample]:
    """The same every time."""
    found = []
    for device in sorted(set(rows.device)):
        least_w = float(np.quantile(rows.power_w[rows.device == device], LEAST_SHARE))
        for kind in sorted(set(rows.kind)):
            own = np.flatnonzero(rows.is_steady & (rows.kind == kind) & (rows.device == device))
            if len(own) < FEWEST_ROWS:
                continue
            own = np.random.default_rng(len(own)).permutation(own)[:sample_rows]
            joules = (rows.drawn.static_j, rows.drawn.active_j, rows.drawn.ports_j, rows.drawn.operations_j)
            scaled_w = np.stack([column[own] / rows.latency_s[own] for column in joules], axis=1)
            main_w = rows.drawn.main_j[own] / rows.latency_s[own]
            found.append(PowerSample(kind, device, least_w, scaled_w, main_w, rows.power_w[own], rows.limit_w[own]))
    return found


def fit_power(samples: Sequence[PowerSample], tables: Mapping[str, str] | None = None) -> PowerConstants:
    """The factors, all kinds of kernels counting alike.

    Args:
        tables: SHA-256 of the tables' files, by name.

    Raises:
        ValueError: there are no samples.
    """
    if not samples:
        raise ValueError("no rows with a steady reading of power")
    factors = _factors(samples)
    kinds = sorted({sample.kind for sample in samples})
    others = [[sample for sample in samples if sample.kind != kind] for kind in kinds] if len(kinds) > 1 else []
    without = np.array([_factors(own) for own in others]) if others else factors[None]
    count = len(without)
    spread = np.sqrt((count - 1) / count * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    sizes = {kind: _errors([sample for sample in samples if sample.kind == kind], factors) for kind in kinds}
    every = np.concatenate(list(sizes.values()))
    return PowerConstants(
        PowerFactors(*map(float, factors)),
        PowerFactors(*map(float, spread)),
        dict(tables or {}),
        rows=len(every),
        devices=tuple(sorted({sample.device for sample in samples})),
        kinds={kind: float(np.median(own)) for kind, own in sizes.items()},
        median_error=float(np.median(every)),
    )


def _errors(samples: Sequence[PowerSample], factors: np.ndarray) -> np.ndarray:
    """[rows of all samples] abs(predicted / read - 1)."""
    return np.concatenate([np.abs(predicted_w(sample, factors) / sample.power_w - 1) for sample in samples])


def predicted_w(sample: PowerSample, factors: np.ndarray) -> np.ndarray:
    """[rows] held at the limit."""
    found: np.ndarray = np.minimum(sample.scaled_w @ factors + sample.main_w, sample.limit_w)
    return found


def _factors(samples: Sequence[PowerSample]) -> np.ndarray:
    """The least that was read is static; the others by reweighted least squares of ln(predicted / measured).

    Rows at the limit ask only for as much as it. Weights are those of a Cauchy distribution: readings that are not of
    the kernel are far off, on one side.

    Source: Holland, Welsch, "Robust regression using iteratively reweighted least-squares", 1977; Tobin, "Estimation of
    Relationships for Limited Dependent Variables", 1958 (rows at a limit).
    """
    from scipy.optimize import least_squares

    # What is drawn while next to nothing happens has been read; the rest is fitted beside it.
    static = min(sample.least_w / float(sample.scaled_w[0, 0]) for sample in samples)
    scaled_w = np.concatenate([sample.scaled_w for sample in samples])
    main_w, power_w, limit_w = (
        np.concatenate([getattr(sample, name) for sample in samples]) for name in ("main_w", "power_w", "limit_w")
    )
    alike = np.concatenate([np.full(len(sample.power_w), 1 / len(sample.power_w)) for sample in samples])
    is_held = power_w > AT_LIMIT * limit_w

    def errors(point: np.ndarray) -> np.ndarray:
        found = np.log((scaled_w @ np.r_[static, point] + main_w) / power_w)
        return np.where(is_held & (found > 0), 0.0, found)

    point = np.full(len(FACTORS) - 1, 0.5)
    for _ in range(ROUNDS):
        weights = np.sqrt(alike / (1 + (errors(point) / KNEE) ** 2))
        before = point
        point = least_squares(lambda z, w=weights: errors(z) * w, point, bounds=(0, np.inf)).x
        if np.abs(point - before).max() < 1e-5:
            break
    found: np.ndarray = np.r_[static, point]
    return found
