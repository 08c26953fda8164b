"""From measured tables to a file of constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ircost.cost_models.gpu.constants import ConstantsFile, FamilyFit
from ircost.cost_models.gpu.families import FAMILIES
from ircost.cost_models.gpu.fit import Fit, Sample, fit
from ircost.cost_models.gpu.labels import WIDTHS
from ircost.cost_models.gpu.rows import TargetOf, family_of, groups_of
from ircost.cost_models.gpu.table_work import Columns

SAMPLE_ROWS = 500  # of a group: more change the constants by less than their noise
FEWEST_ROWS = 8


@dataclass(frozen=True, slots=True)
class Measured:
    """Samples of one table, group by group, and the target of each."""

    family: str
    samples: tuple[Sample, ...]
    devices: tuple[str, ...]


def measured(columns: Columns, at: str, target_of: TargetOf, sample_rows: int = SAMPLE_ROWS) -> Measured:
    """Samples of a table's groups, the same every time."""
    family = family_of(columns, at)
    samples, devices = [], []
    for group in groups_of(family, columns, target_of):
        if group.setting is None or len(group.rows) < FEWEST_ROWS:
            continue
        chosen = np.random.default_rng(len(group.rows)).permutation(group.rows)[:sample_rows]
        own = {name: column[chosen] for name, column in columns.items()}
        demand = family.demand(own, group.setting).narrowed()
        weight = min(len(chosen) / 100, 1.0)
        samples.append(Sample(group.labels, demand, np.asarray(own["latency_us"], float) * 1e-6, weight))
        devices.append(group.setting.machine.name)
    return Measured(family.name, tuple(samples), tuple(devices))


def fitted(data: Measured, without_device: str = "", start: Fit | None = None) -> Fit | None:
    """Effects of all samples but those of one target; None where that leaves nothing."""
    kept = [s for s, device in zip(data.samples, data.devices, strict=True) if device != without_device]
    if not kept:
        return None
    return fit(FAMILIES[data.family].parameters, kept, WIDTHS, rounds=2 if start else 4, start=start)


def calibrate(
    data: Sequence[Measured],
    tables: Mapping[str, str],
    *,
    without_device: str = "",
    start: Mapping[str, Fit] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> ConstantsFile:
    """Fits every family.

    Args:
        data: of all tables.
        tables: SHA-256 of their files, by name.
        without_device: leave one target out.
        start: fits to begin at.
        on_progress: called with how many families are done, of how many.
    """
    fits = {}
    for done, own in enumerate(data, start=1):
        found = fitted(own, without_device, (start or {}).get(own.family))
        if found is not None:
            devices = sorted({device for device in own.devices if device != without_device})
            rows = sum(len(s.measured_s) for s, d in zip(own.samples, own.devices, strict=True) if d != without_device)
            fits[own.family] = FamilyFit(found.effects, rows, tuple(devices), found.median_error)
        if on_progress is not None:
            on_progress(done, len(data))
    return ConstantsFile(dict(tables), fits)
