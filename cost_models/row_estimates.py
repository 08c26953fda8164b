"""Estimates for the rows of a table of kernels, measured or not: latency, interval, grade, limit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ircost.cost_models.evaluation import ROW_MODELS, RowModel, predict_table
from ircost.cost_models.frames import columns_of
from ircost.cost_models.gpu.constants import ConstantsFile, bundled_constants
from ircost.cost_models.gpu.families import Family
from ircost.cost_models.gpu.kernel_work import library, runtime_label
from ircost.cost_models.gpu.labels import GRAPH_REPLAY
from ircost.cost_models.gpu.rows import TargetOf, at_rows, groups_of
from ircost.cost_models.gpu.table_schema import completed, family_of, unreadable
from ircost.cost_models.gpu.table_work import TURNING, Columns
from ircost.cost_models.learned.row_models import known_rows
from ircost.cost_models.part_groups import heads_name

if TYPE_CHECKING:
    from ircost.cost_models.learned.family_model import FamilyModel

AT_ONCE = 16_384  # rows, whose features are held at one time
MEASURED = "latency_us"  # which rows may have, and nobody looks at here
DEVICE, RUNTIME, KERNEL, CACHES = "device", "framework", "kernel", "caches"


@dataclass(frozen=True, slots=True, repr=False)
class RowEstimates:
    """All arrays are [rows], seconds; NaN where a row failed.

    Args:
        family: of the kernels.
        at_best_s: physical limit: no run is shorter.
        low_s, high_s: ends of the interval of 90 %; NaN of models that give none.
        grade: A, B or C, as of ``learned.grades``; the empty word of models that give none.
        failures: why rows could not be expressed, and which.
    """

    family: str
    latency_s: np.ndarray
    at_best_s: np.ndarray
    low_s: np.ndarray
    high_s: np.ndarray
    grade: np.ndarray
    failures: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.latency_s)

    def __repr__(self) -> str:
        failed = f", {(~self.is_known).sum():,} failed" if self.failures else ""
        return f"<RowEstimates of {len(self):,} {self.family} kernels{failed}>"

    def to_columns(self) -> dict[str, np.ndarray]:
        """[rows] each, by name, as frames take them; ``failure`` says why a row failed, and is empty where it did not.

        >>> import numpy as np
        >>> one = np.ones(1)
        >>> list(RowEstimates("gemm", one, one, one, one, np.array(["A"], object), {}).to_columns())
        ['latency_s', 'low_s', 'high_s', 'at_best_s', 'grade', 'failure']
        """
        failure = np.full(len(self), "", dtype=object)
        for reason, rows in self.failures.items():
            failure[rows] = [f"{told}; {reason}" if told else reason for told in failure[rows]]
        names = ("latency_s", "low_s", "high_s", "at_best_s", "grade")
        return {**{name: getattr(self, name) for name in names}, "failure": failure}

    @property
    def is_known(self) -> np.ndarray:
        """[rows] those that did not fail."""
        found: np.ndarray = np.isfinite(self.latency_s)
        return found


def estimate_rows(
    columns: Columns,
    at: str,
    target_of: TargetOf,
    model: str,
    learned: Mapping[str, FamilyModel] | None = None,
    fitted: ConstantsFile | None = None,
) -> RowEstimates:
    """Estimates of the kernels of a table.

    Args:
        columns: of the table, in the schema of ``docs/cost-models.md``, or anything that has them (``columns_of``);
            latencies may be missing.
        at: the table's name, for errors.
        target_of: finds the machine by the table's device names.
        model: a key of ``ROW_MODELS``; of no account where there are learned models.
        learned: corrections by family, of the bundled constants.
        fitted: constants; the bundled ones where left out.

    Raises:
        FrameError: it is no table, lacks devices, or its columns have different lengths.
        TargetError: the columns tell of no family of kernels.
    """
    columns = columns_of(columns, at, ["device"])
    constants = fitted or bundled_constants()
    rows_of: RowModel = ROW_MODELS[model] if learned is None else partial(known_rows, learned)
    family = family_of(columns, at)
    asked = as_networks(family, columns, target_of, constants)
    timed = {**columns, MEASURED: np.ones(len(columns["device"])), **asked}
    found = predict_table(timed, at, target_of, rows_of, lambda target: constants)
    nothing = np.full((len(found), 2), np.nan), np.full(len(found), "", dtype=object)
    interval_s = nothing[0] if found.interval_s is None else found.interval_s
    grade = nothing[1] if found.grade is None else found.grade
    low_s, high_s = interval_s.T
    return RowEstimates(family.name, found.predicted_s, found.bound_s, low_s, high_s, grade, found.failures)


def as_networks(
    family: Family, columns: Columns, target_of: TargetOf, constants: ConstantsFile
) -> dict[str, np.ndarray]:
    """[rows] whose kernels they are, runtime and library: where nobody says, those that networks get.

    Nobody's in particular are on the mean those of the runtimes that replay graphs, by whose benchmarks weights take
    turns: that is what was learned of them. Where they stand in for a runtime that a row names, its device does.
    """
    whole = completed(family, columns)
    devices, runtimes, kernels, caches = (whole[name].copy() for name in (DEVICE, RUNTIME, KERNEL, CACHES))
    readable = np.ones(len(runtimes), dtype=bool)
    for rows in unreadable(family, whole).values():
        readable[rows] = False
    kept = np.flatnonzero(readable)
    own = {name: column[kept] for name, column in whole.items()}
    for group in groups_of(family, own, target_of):
        if group.setting is None:
            continue
        rows = kept[group.rows]
        kind, dtype = group.labels["kind"], str(whole["dtype"][rows[0]])
        cache = str(whole["kv_dtype"][rows[0]]) if "kv_dtype" in family.columns else ""
        runtimes[rows] = runtime_label(group.setting.runtime, group.setting.machine.kind, family.name, kind, constants)
        if runtimes[rows[0]] == GRAPH_REPLAY != group.setting.runtime:
            caches[rows] = np.where(caches[rows] == "", TURNING, caches[rows])
            if group.setting.runtime and group.setting.machine.is_of_measured_kind:
                devices[rows] = f"{group.device.partition('+')[0]}+{group.setting.runtime}"
        words = (family.name, kind, dtype, "" if cache == dtype else cache)
        for heads, some in _by_heads(family, whole, rows):
            taken = library(str(runtimes[rows[0]]), group.labels["architecture"], *words, heads)
            named = np.where(kernels[some] == "", taken, kernels[some])
            # Names of some families tell of more than a library: the kind that was found stands.
            if (family.kinds({**at_rows(whole, some), KERNEL: named}) == kind).all():
                kernels[some] = named
    runtimes[runtimes == ""] = GRAPH_REPLAY
    return {DEVICE: devices, RUNTIME: runtimes, KERNEL: kernels, CACHES: caches}


def _by_heads(family: Family, columns: Columns, rows: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Rows of attention by what libraries choose kernels by; others together."""
    if family.name != "attention":
        yield "", rows
        return
    pairs = np.stack([columns["head_dim"][rows], columns["window"][rows] > 0])
    for width, has_window in np.unique(pairs, axis=1).T:
        yield heads_name(width, has_window), rows[(pairs[0] == width) & (pairs[1] == has_window)]
