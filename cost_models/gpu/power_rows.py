"""Rows of measured tables that tell of power: what each kernel keeps busy, and what the board drew meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ircost.cost_models.gpu.activity import activity_of
from ircost.cost_models.gpu.constants import ConstantsFile
from ircost.cost_models.gpu.demand import Column, Terms, times
from ircost.cost_models.gpu.families import Family
from ircost.cost_models.gpu.machine import GpuMachine
from ircost.cost_models.gpu.power_draw import Drawn, drawn, operation_j
from ircost.cost_models.gpu.rows import RowGroup, TargetOf, groups_of
from ircost.cost_models.gpu.table_schema import completed, family_of, number_column, unreadable
from ircost.cost_models.gpu.table_work import Columns, Setting

CHUNK = 1024  # rows at a time: columns of candidates stay in the CPU's cache
LEAST_ON_DEVICE = 0.9  # share of a row's time that must be the device's: the host's part is no kernel's power
# Readings of shorter kernels are not of the kernel. A benchmark repeats a kernel so many times while NVML averages over
# a time of its own; in these tables the power of shorter ones is diluted by what was before, in proportion to their
# latency: of two products that differ by one row of 17, one reads 180 W and the other 385 W (docs/energy.md). Attention
# comes to rest later, quantisation sooner.
STEADY_S: Mapping[str, float] = {"attention": 400e-6, "mla": 400e-6, "quantize": 20e-6}
USUAL_STEADY_S = 65e-6
# vLLM's products with scales for each block were timed with some 50 us of its host (see ``kernel_work.WITH_SCALES``),
# their power was read without: only where the host is a small part of it, the two belong together.
HOST_TIMED_S: Mapping[tuple[str, str, str], float] = {("gemm", "vllm", "fp8_block"): 300e-6}


@dataclass(frozen=True, slots=True)
class PowerRows:
    """Rows of one family; every array has one entry for each.

    Args:
        place: of the row in its table.
        drawn: what the kernel draws at factors of one, in its measured time.
        latency_s, power_w: as measured.
        limit_w: of the board.
        is_steady: whether the reading is of the kernel alone.
        kind: family, number format, kind, and what the analytical model finds slowest, in words.
    """

    family: str
    place: np.ndarray
    drawn: Drawn
    latency_s: np.ndarray
    power_w: np.ndarray
    limit_w: np.ndarray
    is_steady: np.ndarray
    kind: np.ndarray
    device: np.ndarray

    def __len__(self) -> int:
        return len(self.place)


def steady_s(family: str, labels: Mapping[str, str]) -> float:
    """Shortest latency of which the reading of power is one of the kernel."""
    own = (family, labels.get("runtime", ""), labels.get("dtype", ""))
    return HOST_TIMED_S.get(own, STEADY_S.get(family, USUAL_STEADY_S))


def power_rows(columns: Columns, at: str, target_of: TargetOf, constants: ConstantsFile) -> PowerRows | None:
    """Rows of a table with power, as the analytical model understands them; None where there is none.

    Args:
        columns: of the table, in the schema of `docs/cost-models.md`, with ``power_w``. at: its name, for errors.
        constants: by which the tile of a kernel is chosen.

    Raises:
        TargetError: the columns tell of no family of kernels.
    """
    if "power_w" not in columns:
        return None
    family = family_of(columns, at)
    whole = completed(family, columns)
    place = _readable(family, whole)
    own = {name: column[place] for name, column in whole.items()}
    parts = [
        part
        for group in groups_of(family, own, target_of)
        if group.setting is not None
        for part in _parts(family, own, group, group.setting, constants)
    ]
    if not parts:
        return None
    rows = np.concatenate([part.rows for part in parts])
    latency_s = number_column(own["latency_us"]).astype(float)[rows] * 1e-6
    return PowerRows(
        family.name,
        place[rows],
        Drawn(*(np.concatenate([getattr(part.drawn, name) for part in parts]) for name in Drawn.__slots__)),
        latency_s,
        number_column(own["power_w"]).astype(float)[rows],
        np.concatenate([part.limit_w for part in parts]),
        np.concatenate([part.is_steady for part in parts]),
        np.concatenate([part.kind for part in parts]),
        np.concatenate([np.full(len(part.rows), part.device, dtype=object) for part in parts]),
    )


def _readable(family: Family, columns: Columns) -> np.ndarray:
    latency_us, power_w = (number_column(columns[name]).astype(float) for name in ("latency_us", "power_w"))
    kept = np.isfinite(latency_us) & (latency_us > 0) & np.isfinite(power_w) & (power_w > 0)
    for rows in unreadable(family, columns).values():
        kept[rows] = False
    return np.flatnonzero(kept)


@dataclass(frozen=True, slots=True)
class _Part:
    rows: np.ndarray
    drawn: Drawn
    limit_w: np.ndarray
    is_steady: np.ndarray
    kind: np.ndarray
    device: str


def _parts(
    family: Family, columns: Columns, group: RowGroup, setting: Setting, constants: ConstantsFile
) -> Iterator[_Part]:
    fitted = constants.of(family.name, group.labels)
    words = " ".join(filter(None, (family.name, group.labels["dtype"], group.labels["kind"])))
    for start in range(0, len(group.rows), CHUNK):
        rows = group.rows[start : start + CHUNK]
        own = {name: column[rows] for name, column in columns.items()}
        with np.errstate(all="ignore"):
            terms = times(family.demand(own, setting), fitted)
            latency_s = number_column(own["latency_us"]).astype(float) * 1e-6
            energies = drawn(
                activity_of(terms, fitted, setting.machine),
                operations_j(family, own, setting, terms),
                latency_s,
                setting.target,
            )
        is_steady = latency_s >= steady_s(family.name, group.labels)
        is_steady &= terms.device_s >= LEAST_ON_DEVICE * terms.latency_s
        limit_w = np.full(len(rows), float(setting.target.power.peak_w))
        kind = np.array([f"{words}: {name}" for name in slowest(terms)], dtype=object)
        yield _Part(rows, energies, limit_w, is_steady, kind, setting.machine.chip)


def slowest(terms: Terms) -> np.ndarray:
    """[rows] names of the resources that are busy longest."""
    names = np.array(list(terms.busy), dtype=object)
    found: np.ndarray = names[
        np.stack([np.broadcast_to(x, terms.latency_s.shape) for x in terms.busy.values()]).argmax(axis=0)
    ]
    return found


def operations_j(family: Family, columns: Columns, setting: Setting, terms: Terms) -> Column:
    """[rows] of products in their format and of the vector lanes in f32, at published energies."""
    flops = np.broadcast_to(np.asarray(family.totals(columns, setting).flops, float), terms.latency_s.shape)
    lanes = lane_flops(terms, setting.machine)
    target = setting.target
    return np.asarray(
        flops * operation_j(target, setting.arithmetic, "matrix") + lanes * operation_j(target, "f32", "vector")
    )


def lane_flops(terms: Terms, machine: GpuMachine) -> Column:
    """[rows] on the vector lanes, by the time that they would take at their peak."""
    none = np.zeros_like(terms.latency_s)
    return np.asarray(terms.demand.busy.get("vector", none) * machine.vector_flops_per_s)
