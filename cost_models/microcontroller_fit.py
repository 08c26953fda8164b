"""Fits the constants of microcontrollers to whole networks, and says how far off they are elsewhere."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ircost.cost_models.microcontroller_constants import MicrocontrollerConstants
from ircost.cost_models.microcontroller_work import TERMS

ROUNDS = 100  # of terms and factors in turn; the last ones change nothing in the fourth digit
REFERENCE = "cortex_m4"
COVERAGE = 0.9


@dataclass(frozen=True, slots=True)
class Runs:
    """Measured runs of whole networks; all arrays are [rows].

    Args:
        best_s: [rows, terms] as of ``seconds_at_best``.
        measured_s: of one inference.
        device, core, runtime, network: words. machine: the chip, where several devices have the same.
    """

    best_s: np.ndarray
    measured_s: np.ndarray
    device: np.ndarray
    machine: np.ndarray
    core: np.ndarray
    runtime: np.ndarray
    network: np.ndarray

    def __len__(self) -> int:
        return len(self.measured_s)

    def at(self, rows: np.ndarray) -> Runs:
        columns = ("best_s", "measured_s", "device", "machine", "core", "runtime", "network")
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})


@dataclass(frozen=True, slots=True)
class Factors:
    """What a fit found; see ``MicrocontrollerConstants``."""

    terms: np.ndarray
    cores: Mapping[str, float]
    runtimes: Mapping[str, float]

    def predicted_s(self, runs: Runs, is_runtime_known: bool = True) -> np.ndarray:
        """[rows] seconds; of a core or a runtime that the fit never met as of their geometric means."""
        cores = np.array([self.cores.get(name, _mean(self.cores)) for name in runs.core])
        runtimes = np.array([self.runtimes.get(name, 1.0) if is_runtime_known else 1.0 for name in runs.runtime])
        predicted_s: np.ndarray = runs.best_s @ self.terms * cores * runtimes
        return predicted_s


def fit_factors(runs: Runs) -> Factors:
    """Terms by least squares of relative errors, none negative; factors by mean errors in ln; in turn, many times."""
    cores, runtimes = ({str(name): 1.0 for name in np.unique(column)} for column in (runs.core, runs.runtime))
    terms = np.ones(len(TERMS))
    for _ in range(ROUNDS):
        factors = _of(runs.core, cores) * _of(runs.runtime, runtimes)
        terms = non_negative_least_squares(runs.best_s * (factors / runs.measured_s)[:, None], np.ones(len(runs)))
        left = np.log(runs.measured_s / (runs.best_s @ terms))
        cores = _means(runs.core, left - np.log(_of(runs.runtime, runtimes)))
        runtimes = _means(runs.runtime, left - np.log(_of(runs.core, cores)))
        mean, reference = _mean(runtimes), cores.get(REFERENCE, _mean(cores))
        runtimes = {name: factor / mean for name, factor in runtimes.items()}
        cores = {name: factor / reference for name, factor in cores.items()}
    # What the scales of the factors took from the terms goes back to them.
    factors = _of(runs.core, cores) * _of(runs.runtime, runtimes)
    terms = non_negative_least_squares(runs.best_s * (factors / runs.measured_s)[:, None], np.ones(len(runs)))
    return Factors(terms, cores, runtimes)


def non_negative_least_squares(columns: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Of all sets of columns whose least squares have no negative factor, those with least error; few columns only.

    >>> non_negative_least_squares(np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([3.0, 1.0])).round(6).tolist()
    [2.0, 1.0]
    """
    count = columns.shape[1]
    best, least = np.zeros(count), float(wanted @ wanted)
    for size in range(1, count + 1):
        for chosen in itertools.combinations(range(count), size):
            found = np.linalg.lstsq(columns[:, chosen], wanted, rcond=None)[0]
            error = float(((columns[:, chosen] @ found - wanted) ** 2).sum())
            if (found >= 0).all() and error < least:
                least, best = error, np.zeros(count)
                best[list(chosen)] = found
    return best


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Errors of runs that were not fitted to: ln of predicted over measured.

    Args:
        what: that was left out, such as a machine. error: with the runtime named; mean_error: as of no runtime.
        is_met: whether the core and the runtime were met elsewhere. is_core_met: whether the core was.
        is_sound: whether every kind of product that takes a tenth of the time was.
    """

    what: str
    rows: np.ndarray
    error: np.ndarray
    mean_error: np.ndarray
    is_met: np.ndarray
    is_core_met: np.ndarray
    is_sound: np.ndarray


def left_out(runs: Runs, by: np.ndarray) -> Iterator[LeftOut]:
    """Each word of a column left out in turn, the rest fitted, and what was left out predicted."""
    for what in np.unique(by):
        rows = np.flatnonzero(by == what)
        others = runs.at(np.flatnonzero(by != what))
        factors, own = fit_factors(others), runs.at(rows)
        is_core_met = np.isin(own.core, others.core)
        yield LeftOut(
            str(what),
            rows,
            np.log(factors.predicted_s(own) / own.measured_s),
            np.log(factors.predicted_s(own, is_runtime_known=False) / own.measured_s),
            is_core_met & np.isin(own.runtime, others.runtime),
            is_core_met,
            _is_sound(own, others),
        )


def _is_sound(own: Runs, others: Runs) -> np.ndarray:
    """[rows] whether each term that is a tenth of a run at best is that of some other run too."""
    known = (_shares(others) >= 0.1).any(axis=0)
    return np.asarray((known | (_shares(own) < 0.1)).all(axis=1))


def _shares(runs: Runs) -> np.ndarray:
    shares: np.ndarray = runs.best_s / runs.best_s.sum(axis=1, keepdims=True)
    return shares


def half_width(errors: Sequence[np.ndarray]) -> float:
    """What holds nine of ten errors, by the rank that makes it hold for the next one too (conformal)."""
    sizes = np.sort(np.abs(np.concatenate(errors)))
    rank = min(int(np.ceil((len(sizes) + 1) * COVERAGE)), len(sizes))
    return float(sizes[rank - 1])


def fit_constants(runs: Runs, powered: Sequence[str], table: str) -> MicrocontrollerConstants:
    """The constants that come with the package.

    Args:
        powered: devices of which energies were published. table: SHA-256 of the file that the runs are of.
    """
    factors = fit_factors(runs)
    errors = [*left_out(runs, runs.machine), *left_out(runs, runs.network)]
    sound = [(one, one.is_sound & one.is_core_met) for one in errors]
    cores = [one for one in left_out(runs, runs.core) if len(one.rows) < len(runs)]
    return MicrocontrollerConstants(
        terms={name: _rounded(value) for name, value in zip(TERMS, factors.terms, strict=True)},
        cores={name: _rounded(value) for name, value in factors.cores.items()},
        runtimes={name: _rounded(value) for name, value in factors.runtimes.items()},
        half_width={
            "known": _rounded(half_width([one.error[keep & one.is_met] for one, keep in sound])),
            "no runtime": _rounded(half_width([one.mean_error[keep] for one, keep in sound])),
            "new core": _rounded(half_width([one.mean_error for one in cores])),
        },
        devices=tuple(map(str, np.unique(runs.device))),
        powered=tuple(sorted(powered)),
        rows=len(runs),
        networks=len(np.unique(runs.network)),
        table=table,
    )


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _of(names: np.ndarray, factors: Mapping[str, float]) -> np.ndarray:
    return np.array([factors[name] for name in names])


def _means(names: np.ndarray, left: np.ndarray) -> dict[str, float]:
    return {str(name): float(np.exp(left[names == name].mean())) for name in np.unique(names)}


def _mean(factors: Mapping[str, float]) -> float:
    return float(np.exp(np.mean(np.log([*factors.values()]))))
