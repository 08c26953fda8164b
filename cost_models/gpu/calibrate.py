"""From measured tables to a file of constants."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from ircost.cost_models.gpu.constants import ConstantsFile, Fitted, Scope
from ircost.cost_models.gpu.families import FAMILIES, Columns, Setting
from ircost.cost_models.gpu.fit import Sample, fit
from ircost.cost_models.gpu.rows import TargetOf, family_of, groups_of
from ircost.cost_models.gpu.terms import Column, Constants

SAMPLE_ROWS = 900  # of one device, runtime, format and kind: more change the constants by less than their noise
FEWEST_ROWS = 12
TRIES = 700


@dataclass(frozen=True, slots=True)
class Measured:
    """A sample of rows that share device, runtime, format and kind."""

    scope: Scope
    device: str
    setting: Setting
    columns: Columns
    latency_s: Column

    def sample(self) -> Sample:
        family = FAMILIES[self.scope.family]

        def model(constants: Constants) -> Column:
            return family.estimate(self.columns, self.setting, constants).latency_s

        return model, self.latency_s


def measured_samples(columns: Columns, at: str, target_of: TargetOf) -> list[Measured]:
    """Samples of a table's groups, the same every time."""
    family = family_of(columns, at)
    found = []
    for group in groups_of(family, columns, target_of):
        if group.setting is None or len(group.rows) < FEWEST_ROWS:
            continue
        chosen = np.random.default_rng(len(group.rows)).permutation(group.rows)[:SAMPLE_ROWS]
        own = {name: column[chosen] for name, column in columns.items()}
        found.append(Measured(group.scope, group.device, group.setting, own, own["latency_us"] * 1e-6))
    return found


def scopes_of(samples: Sequence[Measured]) -> list[tuple[list[Scope], list[Measured]]]:
    """Every scope that some sample belongs to, with its samples; scopes with the same samples together."""
    pools: dict[Scope, list[Measured]] = {}
    for sample in samples:
        for scope in sample.scope.wider():
            pools.setdefault(scope, []).append(sample)
    alike: dict[tuple[int, ...], tuple[list[Scope], list[Measured]]] = {}
    for scope in sorted(pools, key=str):
        scopes, _ = alike.setdefault(tuple(sorted(map(id, pools[scope]))), ([], pools[scope]))
        scopes.append(scope)
    return list(alike.values())


def calibrate(
    samples: Sequence[Measured],
    tables: Mapping[str, str],
    *,
    without_device: str = "",
    workers: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> ConstantsFile:
    """Fits every scope.

    Args:
        samples: of all tables.
        tables: SHA-256 of their files, by name.
        without_device: leave one device out.
        workers: processes.
        on_progress: called with how many fits are done, of how many.
    """
    pools = scopes_of([sample for sample in samples if sample.device != without_device])
    with ProcessPoolExecutor(workers) if workers > 1 else nullcontext() as pool:
        run = map if pool is None else pool.map
        fits: dict[Scope, Fitted] = {}
        for done, ((scopes, _), fitted) in enumerate(
            zip(pools, run(fitted_to, [own for _, own in pools]), strict=True), start=1
        ):
            fits.update(dict.fromkeys(scopes, fitted))
            if on_progress is not None:
                on_progress(done, len(pools))
    return ConstantsFile(dict(tables), fits)


def fitted_to(samples: Sequence[Measured]) -> Fitted:
    """Constants of one scope; where it holds many samples, a part of the rows of each."""
    family = FAMILIES[samples[0].scope.family]
    share = max(SAMPLE_ROWS // len(samples), 60) if len(samples) > 1 else SAMPLE_ROWS
    parts = [head(sample, share) for sample in samples]
    constants, _ = fit([part.sample() for part in parts], family.parameters, tries=TRIES)
    errors = []
    for part in parts:
        model, measured_s = part.sample()
        errors.append(np.abs(np.log(model(constants) / measured_s)))
    return Fitted(
        constants,
        sum(len(sample.latency_s) for sample in samples),
        tuple(sorted({sample.device for sample in samples})),
        round(float(np.median(np.concatenate(errors))), 4),
    )


def head(sample: Measured, count: int) -> Measured:
    own = {name: column[:count] for name, column in sample.columns.items()}
    return Measured(sample.scope, sample.device, sample.setting, own, sample.latency_s[:count])


def unseen_constants(columns: Columns, at: str, target_of: TargetOf) -> dict[str, ConstantsFile]:
    """For each device of a table the constants that all other devices give."""
    samples = measured_samples(columns, at, target_of)
    workers = os.cpu_count() or 1
    devices = [str(name) for name in np.unique(columns["device"].astype(str))]
    return {device: calibrate(samples, {}, without_device=device, workers=workers) for device in devices}
