"""Energy of measured kernels whose shape was never seen: analytical, and with what is learned of time and power."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ircost.backends import load_target
from ircost.cost_models.gpu.constants import bundled_constants
from ircost.cost_models.gpu.power_constants import bundled_power_constants
from ircost.cost_models.gpu.power_draw import Drawn
from ircost.cost_models.gpu.power_rows import PowerRows, power_rows
from ircost.cost_models.gpu.table_work import Columns
from ircost.cost_models.learned.estimators.boosted import BoostedResidual
from ircost.cost_models.learned.features import power_features
from ircost.cost_models.learned.power import LEAST_ROWS, LEAVES, TREES, analytical_power_w
from ircost.cost_models.learned.rows import Rows, readable, rows_of
from ircost.cost_models.learned.splits import folds_of

POWERED = ("gemm", "attention", "moe", "quantize", "recurrent")
MOST_ROWS = 40_000  # of a family, drawn by a fixed seed
AIM = 12


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows with power: what is seen of them, and what they draw; all arrays [rows]."""

    rows: Rows
    drawn: PowerRows

    def __len__(self) -> int:
        return len(self.rows)


def sample_of(name: str, columns: Columns) -> Sample:
    power_w = np.asarray(columns["power_w"], float)
    has_power = np.isfinite(power_w) & (power_w > 0)
    picked = np.sort(np.random.default_rng(0).permutation(np.flatnonzero(has_power))[:MOST_ROWS])
    own = {key: column[picked] for key, column in columns.items()}
    drawn = power_rows(own, name, load_target, bundled_constants())
    assert drawn is not None, "tables with power"
    table = readable(own, name, load_target)
    rows = rows_of(table, lambda target: bundled_constants(), table.vocabulary())
    order = np.argsort(drawn.place)[np.searchsorted(np.sort(drawn.place), rows.place)]
    return Sample(rows, _at(drawn, order))


def in_time(drawn: PowerRows, latency_s: np.ndarray) -> PowerRows:
    """The same kernels, were they to take so long."""
    longer = latency_s / drawn.latency_s
    own = drawn.drawn
    energies = replace(own, static_j=own.static_j * longer, active_j=own.active_j * longer)
    return replace(drawn, drawn=energies, latency_s=latency_s)


def foretold_j(sample: Sample, is_taught: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[rows] energies by the analytical model alone, and with corrections of time and power that saw other shapes only.

    Args:
        is_taught: [rows] whose power may be learned from, if they are of other shapes.
    """
    constants = bundled_power_constants()
    rows, drawn = sample.rows, sample.drawn
    plain_j = analytical_power_w(in_time(drawn, rows.analytical_s), constants) * rows.analytical_s
    truth = np.log(drawn.power_w / analytical_power_w(drawn, constants))
    features = power_features(rows.family, rows.features, analytical_power_w(drawn, constants))
    learned_j = np.zeros(len(sample))
    for out in folds_of(rows, "shape"):
        times = _model().fit(rows.features[~out], rows.residual[~out])
        latency_s = rows.analytical_s[out] * np.exp(times.predict(rows.features[out]))
        power = _model().fit(features[~out & is_taught], truth[~out & is_taught])
        own = in_time(_at(drawn, out), latency_s)
        power_w = analytical_power_w(own, constants)
        told = power_w * np.exp(power.predict(power_features(rows.family, rows.features[out], power_w)))
        learned_j[out] = told * latency_s
    return plain_j, learned_j


def _at(drawn: PowerRows, kept: np.ndarray) -> PowerRows:
    picked = {key: getattr(drawn, key)[kept] for key in PowerRows.__slots__ if key not in ("family", "drawn")}
    return replace(drawn, drawn=Drawn(*(getattr(drawn.drawn, key)[kept] for key in Drawn.__slots__)), **picked)


def _model() -> BoostedResidual:
    return BoostedResidual(trees=TREES, leaves=LEAVES, least_rows=LEAST_ROWS)


def kernel_lines(name: str, columns: Columns) -> Iterator[str]:
    """Rows of the table: steady readings, by models of steady readings; and all, by models of all."""
    sample = sample_of(name, columns)
    read_j = sample.drawn.power_w * sample.drawn.latency_s
    everything = np.ones(len(sample), dtype=bool)
    for words, kept in (("steady", sample.drawn.is_steady), ("all", everything)):
        plain_j, learned_j = foretold_j(sample, kept)
        cells = [_error(found_j, read_j, kept) for found_j in (plain_j, learned_j)]
        yield f"| {name} | {words} | {kept.sum():,} | {' | '.join(cells)} | {AIM} % |"


def _error(found_j: np.ndarray, read_j: np.ndarray, kept: np.ndarray) -> str:
    """Median error and bias."""
    error = 100 * (found_j[kept] / read_j[kept] - 1)
    return f"{np.median(np.abs(error)):.1f} % | {np.median(error):+.1f} %"
