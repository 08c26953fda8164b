"""What rows without a runtime are worth for a machine's other runtimes: architectures left out, and a few rows given.

    python -m benchmarks.fastest_of_runtimes ../shared/measured gemm attention moe

What others publish of a new machine are fast kernels of nobody's runtime. Here each architecture of the tables takes
the part of a new one: constants are fitted to the others, then onto a few of its fastest kernels, which are taken for
the mean of all runtimes or for the fastest of them; then all its rows are estimated, each as of its own runtime.
Printed are mean and median of |ln(estimated / measured)|.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from ircost.backends import load_target
from ircost.cost_models.gpu.calibrate import Measured, calibrate, calibrate_without, measured
from ircost.cost_models.gpu.constants import ConstantsFile, FamilyFit
from ircost.cost_models.gpu.demand import times
from ircost.cost_models.gpu.fit import Sample
from ircost.cost_models.gpu.labels import FASTEST, GRAPH_REPLAY, as_runtime
from ircost.datasets.tables import read_table

GIVEN = 40  # rows of each machine, format and kind: about what is published
TAKEN_FOR = {"nothing given": "", "the mean": GRAPH_REPLAY, "the fastest": FASTEST}
ASKED = ("vllm", "sglang", "trtllm")

target_of = lru_cache(maxsize=None)(load_target)


def main() -> None:
    folder, *families = sys.argv[1:]
    for family in families:
        columns = read_table(Path(folder) / f"{family}.parquet").columns
        errors: dict[str, list[np.ndarray]] = {}
        few = measured(columns, family, target_of, GIVEN).fastest
        for architecture, name, found in errors_of(measured(columns, family, target_of), few):
            print(f"{family:10s} {architecture:8s} {name:14s} {told([found])}", flush=True)
            errors.setdefault(name, []).append(found)
        for name, parts in errors.items():
            print(f"{family:10s} {'each':8s} {name:14s} {told(parts)}", flush=True)


def errors_of(data: Measured, few: Sequence[Sample]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Of each architecture that several runtimes were measured on, and what its few rows are taken for: the errors."""
    devices: dict[str, set[str]] = {}
    for sample, device in zip(data.samples, data.devices, strict=True):
        devices.setdefault(sample.labels["architecture"], set()).add(device)
    wanted = {name: frozenset(devices[name]) for name in sorted({x.labels["architecture"] for x in few})}
    bases = calibrate_without([data], list(wanted.values()))
    for architecture, own in wanted.items():
        given = [x for x in few if x.labels["architecture"] == architecture]
        asked = [x for x in data.samples if x.labels["architecture"] == architecture and x.labels["runtime"] in ASKED]
        for name, runtime in TAKEN_FOR.items():
            constants = onto(bases[own], data.family, given, runtime)
            found = [
                np.log(times(x.demand, constants.of(data.family, x.labels)).latency_s / x.measured_s) for x in asked
            ]
            yield architecture, name, np.abs(np.concatenate(found))


def onto(base: ConstantsFile, family: str, few: Sequence[Sample], runtime: str) -> ConstantsFile:
    """Constants fitted onto others by a few rows, taken for those of a runtime."""
    if not runtime:
        return base
    if runtime == GRAPH_REPLAY:  # where no fit knows the fastest, rows stay those of the mean
        base = replace(base, fits={name: without_fastest(own) for name, own in base.fits.items()})
    nobodys = tuple(replace(x, labels=as_runtime(x.labels, GRAPH_REPLAY)) for x in few)
    return calibrate([Measured(family, nobodys, tuple(x.labels["device"] for x in few))], onto=base)


def without_fastest(own: FamilyFit) -> FamilyFit:
    effects = {key: amounts for key, amounts in own.effects.items() if not key[1].startswith(FASTEST)}
    return replace(own, effects=effects)


def told(errors: Sequence[np.ndarray]) -> str:
    mean, median = np.mean([(own.mean(), np.median(own)) for own in errors], axis=0)
    return f"{mean:.3f} {median:.3f}"


if __name__ == "__main__":
    main()
