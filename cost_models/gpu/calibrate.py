"""From measured tables to a file of constants."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ircost.cost_models.gpu.constants import ConstantsFile, FamilyFit
from ircost.cost_models.gpu.families import FAMILIES, Family
from ircost.cost_models.gpu.fit import Effect, Effects, Sample, fit
from ircost.cost_models.gpu.labels import FASTEST, GRAPH_REPLAY, WIDTHS, as_runtime
from ircost.cost_models.gpu.rows import TargetOf, groups_of
from ircost.cost_models.gpu.table_schema import completed, family_of, number_column, unreadable
from ircost.cost_models.gpu.table_work import Columns
from ircost.cost_models.gpu.unnamed_runtime import fastest_rows, with_graph_replay

SAMPLE_ROWS = 800  # of a group: more change the constants by less than their noise
FEWEST_ROWS = 8
# Of products, what others publish of a machine are mostly large squares. They say next to nothing of main memory, and
# whatever else is off with them would end up there: decode steps of published models erred by a sixth more. Rows of
# other families tell of all that they are asked about; held back likewise they fit worse.
AS_FAR_AS_TOLD = frozenset(("gemm",))
MOST_ROUNDS_ONTO = 12
FEWEST_ONTO = 3  # beside constants that stay: what a few rows tell of a new machine is all that is known of it
OnProgress = Callable[[int, int], object]  # how many fits are done, of how many


@dataclass(frozen=True, slots=True)
class Measured:
    """Samples of one family, group by group.

    Args:
        devices: the target by whose name the chip of each is known.
        fastest: rows of those that are of the fastest of several runtimes, once more.
    """

    family: str
    samples: tuple[Sample, ...]
    devices: tuple[str, ...]
    fastest: tuple[Sample, ...] = ()


def measured(
    columns: Columns,
    at: str,
    target_of: TargetOf,
    sample_rows: int = SAMPLE_ROWS,
    fewest_rows: int = FEWEST_ROWS,
) -> Measured:
    """Samples of a table's groups, the same every time.

    Args:
        columns: of the table, in the schema of `docs/cost-models.md`.
        at: the table's name, for errors.
        sample_rows: of each group, at most.
        fewest_rows: of a group that is taken.

    Raises:
        TargetError: the columns tell of no family of kernels.
    """
    family = family_of(columns, at)
    columns = _usable(completed(family, columns), family.name)
    found = [*_samples(family, columns, target_of, sample_rows, fewest_rows)]
    fastest = _samples(family, fastest_rows(family, columns), target_of, sample_rows, fewest_rows)
    return Measured(
        family.name,
        tuple(sample for _, sample in found),
        tuple(device for device, _ in found),
        tuple(replace(sample, labels=as_runtime(sample.labels, FASTEST)) for _, sample in fastest),
    )


def _samples(
    family: Family, columns: Columns, target_of: TargetOf, sample_rows: int, fewest_rows: int
) -> Iterator[tuple[str, Sample]]:
    """The name of the chip, or of the server, and a sample of its rows, of each group of measured rows."""
    for group in groups_of(family, columns, target_of):
        is_known = group.setting is not None and group.setting.machine.is_of_measured_kind
        # All servers are fitted as one: of each any row counts.
        if group.setting is None or not is_known or len(group.rows) < (1 if group.server else fewest_rows):
            continue
        chosen = np.random.default_rng(len(group.rows)).permutation(group.rows)[:sample_rows]
        own = {name: column[chosen] for name, column in columns.items()}
        demand = family.demand(own, group.setting).narrowed()
        weight = min((len(group.rows) / 100) ** 0.5, 4.0)
        yield group.server or group.setting.machine.chip, Sample(group.labels, demand, own["latency_us"] * 1e-6, weight)


def _usable(columns: Columns, family: str) -> dict[str, np.ndarray]:
    """Rows that tell of a kernel and of a latency."""
    latency_us = number_column(columns["latency_us"]).astype(float)
    usable = np.isfinite(latency_us) & (latency_us > 0)
    for rows in unreadable(FAMILIES[family], columns).values():
        usable[rows] = False
    kept = np.flatnonzero(usable)
    return {name: column[kept] for name, column in {**columns, "latency_us": latency_us}.items()}


def by_family(data: Sequence[Measured]) -> list[Measured]:
    """Samples of several tables of one family together, families in the order of their names."""
    found: dict[str, Measured] = {}
    for own in data:
        before = found.get(own.family, Measured(own.family, (), ()))
        found[own.family] = Measured(
            own.family, before.samples + own.samples, before.devices + own.devices, before.fastest + own.fastest
        )
    return [found[name] for name in sorted(found)]


def calibrate(
    data: Sequence[Measured],
    tables: Mapping[str, str] | None = None,
    on_progress: OnProgress | None = None,
    onto: ConstantsFile | None = None,
) -> ConstantsFile:
    """Fits every family.

    Args:
        data: of all tables.
        tables: SHA-256 of their files, by name.
        on_progress: called after each fit.
        onto: constants that stay as they are: only what they never met is fitted, a machine, a runtime or a format.
    """
    known = onto or ConstantsFile()
    fits = dict(known.fits)
    families = by_family(data)
    for done, own in enumerate(families, start=1):
        found = _family_fit(own, known.fits.get(own.family))
        if found is not None:
            fits[own.family] = found
        if on_progress is not None:
            on_progress(done, len(families))
    if onto is None:
        return ConstantsFile(dict(tables or {}), fits)
    return ConstantsFile(known.tables, fits, {**known.added_tables, **(tables or {})})


def calibrate_without_each(data: Sequence[Measured], on_progress: OnProgress | None = None) -> dict[str, ConstantsFile]:
    """Constants for each target that never saw it: fitted anew to the other targets' rows alone.

    Under the empty name are those that saw all: for targets of which no family has rows enough to be fitted to.
    """
    names = sorted({device for own in data for device in own.devices})
    found = calibrate_without(data, [frozenset(), *(frozenset((name,)) for name in names)], on_progress)
    return {"".join(left_out): constants for left_out, constants in found.items()}


def calibrate_without(
    data: Sequence[Measured],
    left_out: Sequence[frozenset[str]],
    on_progress: OnProgress | None = None,
    onto: ConstantsFile | None = None,
) -> dict[frozenset[str], ConstantsFile]:
    """Constants that never saw some targets, for each such set: a family that met none of them is fitted once.

    Args:
        onto: as of ``calibrate``.
    """
    known = onto or ConstantsFile()
    families = by_family(data)
    fits: dict[tuple[str, frozenset[str]], FamilyFit | None] = {}
    wanted = [(own, targets & frozenset(own.devices)) for own in families for targets in left_out]
    for done, (own, absent) in enumerate(wanted, start=1):
        if (own.family, absent) not in fits:
            before = known.fits.get(own.family)
            fits[own.family, absent] = _family_fit(_without(own, absent), before) or before
        if on_progress is not None:
            on_progress(done, len(wanted))
    return {
        targets: ConstantsFile(
            {},
            dict(known.fits)
            | {
                own.family: found
                for own in families
                if (found := fits[own.family, targets & frozenset(own.devices)]) is not None
            },
        )
        for targets in left_out
    }


def _without(data: Measured, absent: frozenset[str]) -> Measured:
    """The samples of all other targets."""
    kept = [place for place, device in enumerate(data.devices) if device not in absent]
    return Measured(
        data.family,
        tuple(data.samples[place] for place in kept),
        tuple(data.devices[place] for place in kept),
        tuple(sample for sample in data.fastest if sample.labels["device"] not in absent),
    )


def _staying(known: Effects, samples: Sequence[Sample]) -> Effects:
    """What is known; and zero for a runtime's format or kind, where both were met, if not together.

    Such an effect would move kernels of all machines, those that were measured with care among them.
    """
    held: dict[Effect, Mapping[str, float]] = dict(known)
    for sample in samples:
        for effect, level in sample.labels.items():
            parts = effect.split(", ")
            is_pair = bool(level) and len(parts) > 1 and "architecture" not in parts
            if is_pair and all((part, sample.labels.get(part, "")) in known for part in parts):
                held.setdefault((effect, level), {})
    return held


def _family_fit(data: Measured, known: FamilyFit | None = None) -> FamilyFit | None:
    """None where there is no sample.

    Args:
        known: what is known of the family already, and stays.
    """
    samples: Sequence[Sample] = data.samples
    if not samples:
        return None
    family = FAMILIES[data.family]
    rows, devices = sum(len(sample.measured_s) for sample in samples), set(data.devices)
    if known is None:
        found = fit(family.parameters, samples, WIDTHS, family.stiffness)
        effects = with_graph_replay(found.effects)
        return FamilyFit(_with_fastest(family, effects, data.fastest), rows, tuple(sorted(devices)), found.median_error)
    if ("runtime", FASTEST) in known.effects:
        samples = [_as_published(sample) for sample in samples]
    held = _staying(known.all_effects, samples)
    # What others publish starts from other machines' constants, with which other candidates may win.
    is_as_told, most = family.name in AS_FAR_AS_TOLD, MOST_ROUNDS_ONTO
    given = family.parameters, samples, WIDTHS, family.stiffness
    found = fit(*given, most_rounds=most, held=held, is_as_told=is_as_told)
    new = {key: amounts for key, amounts in found.effects.items() if key not in held}
    return replace(
        known,
        added={**known.added, **new},
        added_rows=known.added_rows + rows,
        added_devices=tuple(sorted(devices | {*known.added_devices})),
    )


def _with_fastest(family: Family, effects: Effects, fastest: Sequence[Sample]) -> Effects:
    """The same, knowing what the fastest of several runtimes have in common."""
    if not fastest:
        return effects
    found = fit(family.parameters, fastest, WIDTHS, family.stiffness, held=effects)
    return {**effects, **{key: amounts for key, amounts in found.effects.items() if key not in effects}}


def _as_published(sample: Sample) -> Sample:
    """Rows of no runtime in particular are what somebody holds for the fastest: for the mean of runtimes a new machine
    would come out too fast with each of them.
    """
    if sample.labels["runtime"] != GRAPH_REPLAY:
        return sample
    return replace(sample, labels=as_runtime(sample.labels, FASTEST))
