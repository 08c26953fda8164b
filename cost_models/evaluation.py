"""Cost models compared with measured tables: errors, bias, order, and whether physical limits hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ircost.cost_models.frames import columns_of
from ircost.cost_models.gpu.constants import ConstantsFile
from ircost.cost_models.gpu.families import Family
from ircost.cost_models.gpu.model_ops import backward_us, is_model_ops, parts_of_model_ops
from ircost.cost_models.gpu.rows import (
    RowGroup,
    TargetOf,
    analytical_rows,
    by_code,
    groups_of,
    limit_rows,
    roofline_rows,
)
from ircost.cost_models.gpu.table_schema import (
    DEFAULTS,
    completed,
    family_of,
    number_column,
    readable_column,
    unreadable,
)
from ircost.cost_models.gpu.table_work import Columns, coded
from ircost.cost_models.learned.grades import GRADES
from ircost.cost_models.learned.row_models import hybrid_rows

# [rows] seconds, NaN where it cannot tell; or [rows, 4] with what ``row_models.known_rows`` finds beside.
RowModel = Callable[[Family, Columns, Sequence[RowGroup], ConstantsFile], np.ndarray]
ConstantsOf = Callable[[str], ConstantsFile]  # by the target's name
ROW_MODELS: dict[str, RowModel] = {"roofline": roofline_rows, "analytical": analytical_rows, "hybrid": hybrid_rows}
GROUPINGS = ("device", "framework", "dtype")
ROUNDING = 1e-9  # how far below its bound a prediction may lie that was raised to it


@dataclass(frozen=True, slots=True)
class Prediction:
    """A table's rows, as measured and as predicted.

    Args:
        family: of kernels, or ``model_ops``.
        columns: [rows] each, of the table.
        measured_s, predicted_s, bound_s: [rows]; NaN where a row failed.
        failures: why rows could not be expressed, and which.
        interval_s: [rows, 2] ends of an interval around the prediction, of models that give one; NaN of rows that have
            none.
        grade: [rows] how well kernels are known, of the same models; the empty word of rows that have none.
    """

    family: str
    columns: Columns
    measured_s: np.ndarray
    predicted_s: np.ndarray
    bound_s: np.ndarray
    failures: Mapping[str, np.ndarray]
    interval_s: np.ndarray | None = None
    grade: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.measured_s)


@dataclass(frozen=True, slots=True)
class Score:
    """Errors of one group of rows, in percent.

    Args:
        family: of kernels.
        labels: what the rows share.
        rows: all of them.
        failed: those that could not be expressed.
        mape: mean of |predicted - measured| / measured; median_ape, p90_ape: its median and ninetieth percentile.
        bias: median of (predicted - measured) / measured.
        kendall_tau: 1 where the model puts all rows into their measured order, 0 by chance (tau-b).
        below_bound: share of rows predicted below the physical limit.
        coverage: share of rows inside of their interval; width: its mean, of the prediction; None without intervals.
    """

    family: str
    labels: Mapping[str, str]
    rows: int
    failed: int
    mape: float | None = None
    median_ape: float | None = None
    p90_ape: float | None = None
    bias: float | None = None
    kendall_tau: float | None = None
    below_bound: float | None = None
    coverage: float | None = None
    width: float | None = None

    def to_json(self) -> dict[str, object]:
        told = NUMBERS if self.coverage is None else (*NUMBERS, *INTERVALS)
        return {"family": self.family, **self.labels, **{name: getattr(self, name) for name in told}}


NUMBERS = ("rows", "failed", "mape", "median_ape", "p90_ape", "bias", "kendall_tau", "below_bound")
INTERVALS = ("coverage", "width")


def predict_table(
    columns: Columns, at: str, target_of: TargetOf, model: RowModel, constants_of: ConstantsOf
) -> Prediction:
    """What a model says of a table's rows.

    Args:
        columns: of the table, in the schema of `docs/cost-models.md`, or anything that has them (``columns_of``).
        at: the table's name, for errors.
        target_of: finds the machine by the table's device names.
        constants_of: the fitted constants for a target, by its name.

    Raises:
        FrameError: it is no table, a column is missing, or they have different lengths.
        TargetError: the columns tell of no family of kernels.
    """
    columns = columns_of(columns, at, ["device"])
    parts: list[tuple[Family, Columns, np.ndarray]]
    if is_model_ops(columns):
        name, (parts, failures) = "model_ops", parts_of_model_ops(columns)
        measured_s = number_column(columns["forward_us"]) + backward_us(columns)
    else:
        family = family_of(columns, at)
        name, parts, failures = family.name, [(family, columns, np.arange(len(columns["device"])))], {}
        measured_s = number_column(columns_of(columns, at, ["latency_us"])["latency_us"])
    measured_s = measured_s.astype(float) * 1e-6
    predicted_s, bound_s = np.zeros(len(measured_s)), np.zeros(len(measured_s))
    for family, own, rows in parts:
        part = _predict_part(completed(family, own), family, target_of, model, constants_of)
        np.add.at(predicted_s, rows, part.predicted_s)
        np.add.at(bound_s, rows, part.bound_s)
        for reason, where in part.failures.items():
            failures.setdefault(reason, []).append(rows[where])
    failures["no positive latency was measured"] = [np.flatnonzero(~(measured_s > 0) | np.isinf(measured_s))]
    told = {reason: np.unique(np.concatenate(where)) for reason, where in failures.items()}
    for where in told.values():
        predicted_s[where] = bound_s[where] = np.nan
    failed = {reason: rows for reason, rows in sorted(told.items()) if len(rows)}
    found = Prediction(name, columns, measured_s, predicted_s, bound_s, failed)
    if is_model_ops(columns) or part.interval_s is None or part.grade is None:
        return found
    is_known = np.isfinite(predicted_s)
    return replace(
        found,
        interval_s=np.where(is_known[:, None], part.interval_s, np.nan),
        grade=np.where(is_known, part.grade, ""),
    )


def _predict_part(
    columns: Columns, family: Family, target_of: TargetOf, model: RowModel, constants_of: ConstantsOf
) -> Prediction:
    """Rows of one family; only those that can be read reach the model."""
    count = len(columns["device"])
    failures = {reason: [rows] for reason, rows in unreadable(family, columns).items()}
    readable = np.ones(count, dtype=bool)
    for (rows,) in failures.values():
        readable[rows] = False
    kept = np.flatnonzero(readable)
    own = columns if len(kept) == count else {name: column[kept] for name, column in columns.items()}
    answers = np.full((count, 4), np.nan)
    groups = list(groups_of(family, own, target_of))
    has_certainty = False
    with np.errstate(all="ignore"):  # what comes of extents of zero is told below
        for constants, some in _by_constants(groups, constants_of):
            rows = np.concatenate([group.rows for group in some])
            said = model(family, own, some, constants)
            has_certainty = said.ndim > 1
            answers[kept[rows], : 4 if has_certainty else 1] = said[rows].reshape(len(rows), -1)
        if not has_certainty:
            answers[kept, 3] = limit_rows(family, own, groups)
    predicted_s, half_width, grade, bound_s = answers.T
    for group in groups:
        if group.setting is None:
            failures.setdefault(group.failure, []).append(kept[group.rows])
        else:
            odd = group.rows[~(np.isfinite(predicted_s[kept[group.rows]]) & (predicted_s[kept[group.rows]] > 0))]
            failures.setdefault("the model finds no latency for such extents", []).append(kept[odd])
    told = {reason: np.concatenate(rows) for reason, rows in failures.items()}
    found = Prediction(family.name, columns, np.full(count, np.nan), predicted_s, bound_s, told)
    return _with_certainty(found, half_width, grade) if has_certainty else found


def _with_certainty(found: Prediction, half_width: np.ndarray, grade: np.ndarray) -> Prediction:
    """Args:
    half_width: [rows] of the interval of the logarithm. grade: [rows] places in ``GRADES``; both NaN where nobody says.
    """
    low_s, high_s = found.predicted_s * np.exp(-half_width), found.predicted_s * np.exp(half_width)
    words = np.array([*GRADES, ""], dtype=object)[np.where(np.isnan(grade), len(GRADES), grade).astype(int)]
    return replace(found, interval_s=np.stack([np.maximum(low_s, found.bound_s), high_s], axis=1), grade=words)


def _by_constants(
    groups: Iterable[RowGroup], constants_of: ConstantsOf
) -> Iterator[tuple[ConstantsFile, list[RowGroup]]]:
    """Groups of known machines; those of one file of constants together, however many machines they are of."""
    found: dict[int, tuple[ConstantsFile, list[RowGroup]]] = {}
    for group in groups:
        if group.setting is not None:
            constants = constants_of(group.setting.machine.chip)
            found.setdefault(id(constants), (constants, []))[1].append(group)
    yield from found.values()


def joined(predictions: Iterable[Prediction]) -> Prediction:
    """Predictions of tables of one family, as one; rows are numbered as they come."""
    first, *others = predictions
    for other in others:
        failures = dict(first.failures)
        for reason, rows in other.failures.items():
            failures[reason] = np.concatenate([failures.get(reason, rows[:0]), rows + len(first)])
        shared = [name for name in first.columns if name in other.columns]
        first = Prediction(
            first.family,
            {name: np.concatenate([first.columns[name], other.columns[name]]) for name in shared},
            measured_s=np.concatenate([first.measured_s, other.measured_s]),
            predicted_s=np.concatenate([first.predicted_s, other.predicted_s]),
            bound_s=np.concatenate([first.bound_s, other.bound_s]),
            failures=failures,
            interval_s=None
            if first.interval_s is None or other.interval_s is None
            else np.concatenate([first.interval_s, other.interval_s]),
        )
    return first


def label_column(prediction: Prediction, name: str) -> np.ndarray:
    """The words of a grouping's column; where the table has none, what that means."""
    column = prediction.columns.get(name)
    return np.full(len(prediction), DEFAULTS[name], dtype=object) if column is None else readable_column(name, column)


def scores_of(prediction: Prediction, by: Sequence[str] = ()) -> list[Score]:
    """Scores of all rows, or of each group that shares the columns ``by``, in the order of their names."""
    codes = np.zeros(len(prediction), dtype=np.int64)
    vocabularies = []
    for label in by:
        numbers, names = coded(label_column(prediction, label))
        ordered = sorted(names)
        place = np.array([ordered.index(name) for name in names], dtype=np.int64)
        codes = codes * max(len(names), 1) + (place[numbers] if names else 0)
        vocabularies.append(ordered)
    found = []
    for code, rows in by_code(codes):
        labels = {}
        for label, names in reversed([*zip(by, vocabularies, strict=True)]):
            code, number = divmod(code, len(names))
            labels[label] = names[number]
        found.append(_score(prediction, {label: labels[label] for label in by}, rows))
    return found


def _score(prediction: Prediction, labels: Mapping[str, str], rows: np.ndarray) -> Score:
    from scipy.stats import kendalltau

    told = rows[np.isfinite(prediction.predicted_s[rows])]
    score = Score(prediction.family, labels, rows=len(rows), failed=len(rows) - len(told))
    if not len(told):
        return score
    predicted_s, measured_s = prediction.predicted_s[told], prediction.measured_s[told]
    error = 100 * (predicted_s / measured_s - 1)
    size = np.abs(error)
    tau = float(kendalltau(predicted_s, measured_s).statistic) if len(told) > 1 else np.nan
    if prediction.interval_s is not None and (has_ends := np.isfinite(prediction.interval_s[told]).all(axis=1)).any():
        low_s, high_s = prediction.interval_s[told[has_ends]].T
        inside = (low_s <= measured_s[has_ends]) & (measured_s[has_ends] <= high_s)
        width = _percent(100 * ((high_s - low_s) / predicted_s[has_ends]).mean())
        score = replace(score, coverage=_percent(100 * inside.mean()), width=width)
    return replace(
        score,
        mape=_percent(size.mean()),
        median_ape=_percent(np.median(size)),
        p90_ape=_percent(np.quantile(size, 0.9)),
        bias=_percent(np.median(error)),
        kendall_tau=round(tau, 4) if np.isfinite(tau) else None,
        below_bound=_percent(100 * (predicted_s < prediction.bound_s[told] * (1 - ROUNDING)).mean()),
    )


def _percent(value: float) -> float:
    return round(float(value), 3)
