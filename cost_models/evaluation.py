"""Cost models held against measured tables: errors, bias, order, and whether physics is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ircost.cost_models.gpu.constants import ConstantsFile
from ircost.cost_models.gpu.families import Family
from ircost.cost_models.gpu.model_ops import is_model_ops, parts_of_model_ops
from ircost.cost_models.gpu.rows import (
    RowGroup,
    TargetOf,
    analytical_rows,
    family_of,
    groups_of,
    limit_rows,
    roofline_rows,
)
from ircost.cost_models.gpu.table_work import Columns

RowModel = Callable[[Family, Columns, Sequence[RowGroup], ConstantsFile], np.ndarray]  # seconds; NaN: cannot tell
ROW_MODELS: dict[str, RowModel] = {"roofline": roofline_rows, "analytical": analytical_rows}
GROUPINGS = ("device", "framework", "dtype")


@dataclass(frozen=True, slots=True)
class Prediction:
    """A table's rows, as measured and as predicted.

    Args:
        family: of kernels, or ``model_ops``.
        labels: [rows] of each column in ``GROUPINGS`` that the table has.
        measured_s, predicted_s, bound_s: [rows]; NaN where a row failed.
        failures: why rows could not be expressed, and which.
    """

    family: str
    labels: Mapping[str, np.ndarray]
    measured_s: np.ndarray
    predicted_s: np.ndarray
    bound_s: np.ndarray
    failures: Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Score:
    """Errors of one group of rows, in percent.

    Args:
        family: of kernels. labels: what the rows share.
        rows: all of them. failed: those that could not be expressed.
        mape: mean of |predicted - measured| / measured; median_ape, p90_ape: its median and ninetieth percentile.
        bias: median of (predicted - measured) / measured.
        kendall_tau: 1 where the model puts all rows into their measured order, 0 by chance (tau-b).
        below_bound: share of rows predicted below the physical limit.
    """

    family: str
    labels: Mapping[str, str]
    rows: int
    failed: int
    mape: float | None
    median_ape: float | None
    p90_ape: float | None
    bias: float | None
    kendall_tau: float | None
    below_bound: float | None

    def to_json(self) -> dict[str, object]:
        own = {name: getattr(self, name) for name in NUMBERS}
        return {"family": self.family, **self.labels, **own}


NUMBERS = ("rows", "failed", "mape", "median_ape", "p90_ape", "bias", "kendall_tau", "below_bound")


def predict_table(
    columns: Columns, at: str, target_of: TargetOf, model: RowModel, constants: ConstantsFile
) -> Prediction:
    """What a model says of a table's rows.

    Args:
        columns: of the table, in the schema of `docs/cost-models.md`.
        at: the table's name, for errors.
        target_of: finds the machine by the table's device names.

    Raises:
        TargetError: the columns tell of no family of kernels.
    """
    count = len(columns["device"])
    labels = {name: columns[name].astype(str) for name in GROUPINGS if name in columns}
    if is_model_ops(columns):
        parts, failures = parts_of_model_ops(columns)
        measured_s = (columns["forward_us"] + np.nan_to_num(columns["backward_us"])) * 1e-6
        name = "model_ops"
    else:
        family = family_of(columns, at)
        parts, failures = [(family, columns, np.arange(count))], {}
        measured_s = columns["latency_us"].astype(float) * 1e-6
        name = family.name
    predicted_s, bound_s = np.zeros(count), np.zeros(count)
    for family, own, rows in parts:
        groups = list(groups_of(family, own, target_of))
        np.add.at(predicted_s, rows, model(family, own, groups, constants))
        np.add.at(bound_s, rows, limit_rows(family, own, groups))
        for group in groups:
            if group.failure:
                failures.setdefault(group.failure, []).append(rows[group.rows])
    unmeasured = np.flatnonzero(~(measured_s > 0))
    if len(unmeasured):
        failures.setdefault("no positive latency was measured", []).append(unmeasured)
    told = {reason: np.unique(np.concatenate(where)) for reason, where in failures.items()}
    for where in told.values():
        predicted_s[where] = np.nan
    return Prediction(name, labels, measured_s, predicted_s, bound_s, told)


def joined(predictions: Iterable[Prediction]) -> Prediction:
    """Predictions of parts of one table, as one; rows are numbered as they come."""
    parts = list(predictions)
    failures: dict[str, list[np.ndarray]] = {}
    start = 0
    for part in parts:
        for reason, rows in part.failures.items():
            failures.setdefault(reason, []).append(rows + start)
        start += len(part.measured_s)
    return Prediction(
        parts[0].family,
        {name: np.concatenate([part.labels[name] for part in parts]) for name in parts[0].labels},
        np.concatenate([part.measured_s for part in parts]),
        np.concatenate([part.predicted_s for part in parts]),
        np.concatenate([part.bound_s for part in parts]),
        {reason: np.concatenate(rows) for reason, rows in failures.items()},
    )


def scores_of(prediction: Prediction, by: Sequence[str] = ()) -> list[Score]:
    """Scores of all rows, or of each group that shares the columns ``by``, in the order of their names."""
    used = [name for name in by if name in prediction.labels]
    count = len(prediction.measured_s)
    if not used:
        return [_score(prediction, {}, np.arange(count))] if count else []
    codes = np.zeros(count, dtype=np.int64)
    names = []
    for label in used:
        words, numbers = np.unique(prediction.labels[label], return_inverse=True)
        codes = codes * len(words) + numbers.reshape(-1)
        names.append(words)
    found = []
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        first = {label: str(prediction.labels[label][rows[0]]) for label in used}
        found.append(_score(prediction, first, rows))
    return found


def _score(prediction: Prediction, labels: Mapping[str, str], rows: np.ndarray) -> Score:
    from scipy.stats import kendalltau

    predicted_s, measured_s = prediction.predicted_s[rows], prediction.measured_s[rows]
    told = np.isfinite(predicted_s)
    failed = int((~told).sum())
    if not told.any():
        return Score(prediction.family, labels, len(rows), failed, *(None,) * 6)
    predicted_s, measured_s, bound_s = predicted_s[told], measured_s[told], prediction.bound_s[rows][told]
    error = 100 * (predicted_s / measured_s - 1)
    size = np.abs(error)
    tau = kendalltau(predicted_s, measured_s).statistic if len(error) > 1 else np.nan
    return Score(
        prediction.family,
        labels,
        rows=len(rows),
        failed=failed,
        mape=_percent(size.mean()),
        median_ape=_percent(np.median(size)),
        p90_ape=_percent(np.quantile(size, 0.9)),
        bias=_percent(np.median(error)),
        kendall_tau=round(float(tau), 4) if np.isfinite(tau) else None,
        below_bound=_percent(100 * (predicted_s < bound_s * (1 - 1e-9)).mean()),
    )


def _percent(value: float) -> float:
    return round(float(value), 3)
