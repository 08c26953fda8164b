"""Learned models held against rows that they never saw: what is printed of a model is computed here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.stats import kendalltau

from ircost.cost_models.learned.calibration import Calibration, calibrated
from ircost.cost_models.learned.grades import UNKNOWN_HALF_WIDTH
from ircost.cost_models.learned.held_out import Judged
from ircost.cost_models.learned.machines_left_out import LeftOut, joined_rows
from ircost.cost_models.learned.rows import Rows


@dataclass(frozen=True, slots=True)
class Outcome:
    """Rows as measured, and as foretold by models that never saw their group; seconds, all arrays [rows].

    Args:
        low_s, high_s: ends of the hybrid's interval of 90 %.
        group: what was left out.
    """

    rows: Rows
    learned_s: np.ndarray
    hybrid_s: np.ndarray
    low_s: np.ndarray
    high_s: np.ndarray
    group: np.ndarray

    @property
    def is_inside(self) -> np.ndarray:
        """Whether a row's latency lies in its interval."""
        inside: np.ndarray = (self.low_s <= self.rows.measured_s) & (self.rows.measured_s <= self.high_s)
        return inside

    def at(self, rows: np.ndarray) -> Outcome:
        own = {name: getattr(self, name)[rows] for name in self.__slots__ if name != "rows"}
        return Outcome(self.rows.at(rows), **own)


def outcome_of(judged: Judged, by_group: bool) -> Outcome:
    """Trust and intervals of each group are those that the other groups ask for, so that nothing is judged by itself.

    Args:
        by_group: groups are what a new one of comes as a whole.
    """
    held = judged.held
    return _outcome(judged, lambda group: calibrated(held.at(held.group != group), by_group))


def outcome_of_machines(left_out: LeftOut) -> Outcome:
    """The same of devices. Rows that stand for nobody's runtime are no outcome, since the rows themselves are."""
    of_strangers = cache(left_out.stranger_calibration)
    parts = []
    if left_out.kin is not None:
        parts.append(_outcome(left_out.kin, left_out.kin_calibration))
    if left_out.others is not None:
        parts.append(_outcome(left_out.others, lambda device: of_strangers(left_out.breeds[device])))
    names = [name for name in Outcome.__slots__ if name != "rows"]
    own = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    found = Outcome(joined_rows([part.rows for part in parts]), **own)
    order = np.lexsort((found.rows.place, found.group.astype(str)))
    return found.at(order[~found.rows.is_replay[order]])


def _outcome(judged: Judged, calibration_without: Callable[[str], Calibration | None]) -> Outcome:
    """Args:
    calibration_without: for each group, what all others ask for.
    """
    held, rows = judged.held, judged.rows
    believed, half_width = np.zeros(len(rows)), np.full(len(rows), UNKNOWN_HALF_WIDTH)
    for group in np.unique(held.group):
        own = np.flatnonzero(held.group == group)
        calibration = calibration_without(group)
        if calibration is not None:
            believed[own] = calibration.believed(held.correction[own], held.level[own])
            half_width[own] = calibration.half_width(held.features[own], held.level[own])
    hybrid_s = rows.analytical_s * np.exp(believed)
    return Outcome(
        rows,
        np.maximum(rows.analytical_s * np.exp(held.correction), rows.limit_s),
        np.maximum(hybrid_s, rows.limit_s),
        np.maximum(hybrid_s * np.exp(-half_width), rows.limit_s),
        np.maximum(hybrid_s * np.exp(half_width), rows.limit_s),
        held.group,
    )


def errors_of(outcome: Outcome, held_out: str) -> dict[str, object]:
    """Errors of all models, order (Kendall's tau) and intervals of the hybrid, of some rows; in percent but for tau.

    ``tau`` is None where the rows have no order.
    """
    rows = outcome.rows
    found: dict[str, object] = {"held_out": held_out, "rows": len(rows)}
    predictions = {
        **{"roofline": rows.roofline_s, "analytical": rows.analytical_s},
        **{"learned": outcome.learned_s, "hybrid": outcome.hybrid_s},
    }
    for name, predicted_s in predictions.items():
        size = 100 * np.abs(predicted_s / rows.measured_s - 1)
        found |= {f"{name}_mape": round(float(size.mean()), 2), f"{name}_median": round(float(np.median(size)), 2)}
    width = (outcome.high_s - outcome.low_s) / outcome.hybrid_s
    return {
        **found,
        "tau": order_of(outcome.hybrid_s, rows.measured_s),
        "coverage": round(100 * float(outcome.is_inside.mean()), 1),
        "width": round(100 * float(width.mean()), 1),
    }


def order_of(predicted_s: np.ndarray, measured_s: np.ndarray) -> float | None:
    """Kendall's; None where rows have no order: one alone, or all equal."""
    tau = float(kendalltau(predicted_s, measured_s).statistic) if len(measured_s) > 1 else np.nan
    return round(tau, 3) if np.isfinite(tau) else None


def errors_by_group(outcome: Outcome, text: str) -> Iterator[dict[str, object]]:
    """Of each group that was left out, in the order of their names."""
    for group in np.unique(outcome.group):
        yield errors_of(outcome.at(outcome.group == group), text.format(group))
