"""What rows without a runtime are worth for a machine's other runtimes: architectures left out, and a few rows given.

    python -m benchmarks.fastest_of_runtimes ../shared/measured mla gemm

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
from ircost.cost_models.gpu.calibrate import FEWEST_ONTO, Measured, calibrate, calibrate_without, measured
from ircost.cost_models.gpu.constants import ConstantsFile, FamilyFit
from ircost.cost_models.gpu.demand import times
from ircost.cost_models.gpu.fit import Sample
from ircost.cost_models.gpu.labels import FASTEST, GRAPH_REPLAY, as_runtime
from ircost.datasets.tables import read_table

GIVEN = 40  # rows of each machine, format and kind: about what is published
TAKEN_FOR = {"nothing given": "", "the mean": GRAPH_REPLAY, "the fastest": FASTEST}

target_of = lru_cache(maxsize=None)(load_target)


def main() -> None:
    folder, *families = sys.argv[1:]
    for family in families:
        data = measured(read_table(Path(folder) / f"{family}.parquet").columns, family, target_of)
        errors: dict[str, list[np.ndarray]] = {}
        for architecture, name, found in errors_of(data):
            print(f"{family:10s} {architecture:8s} {name:14s} {told(found)}", flush=True)
            errors.setdefault(name, []).append(found)
        for name, parts in errors.items():
            sizes = np.mean([(part.mean(), np.median(part)) for part in parts], axis=0)
            print(f"{family:10s} {'each':8s} {name:14s} {sizes[0]:.3f} {sizes[1]:.3f}", flush=True)


def errors_of(data: Measured) -> Iterator[tuple[str, str, np.ndarray]]:
    """Of each architecture that several runtimes were measured on, and what its few rows are taken for: the errors."""
    fastest = [sample for sample in data.samples if sample.labels["runtime"] == FASTEST]
    of_architecture: dict[str, set[str]] = {}
    for sample, device in zip(data.samples, data.devices, strict=True):
        of_architecture.setdefault(sample.labels["architecture"], set()).add(device)
    wanted = {name: frozenset(of_architecture[name]) for name in {x.labels["architecture"] for x in fastest}}
    bases = calibrate_without([data], list(wanted.values()))
    for architecture, devices in sorted(wanted.items()):
        base = bases[devices]
        own = [x for x in data.samples if x.labels["architecture"] == architecture]
        runs = [x for x in own if x.labels["runtime"] in ("vllm", "sglang", "trtllm")]
        for name, runtime in TAKEN_FOR.items():
            constants = onto(base, data.family, [x for x in own if x.labels["runtime"] == FASTEST], runtime)
            found = [
                np.log(times(x.demand, constants.of(data.family, x.labels)).latency_s / x.measured_s) for x in runs
            ]
            yield architecture, name, np.abs(np.concatenate(found))


def onto(base: ConstantsFile, family: str, fastest: Sequence[Sample], runtime: str) -> ConstantsFile:
    """Constants fitted onto others by a few rows of each sample, taken for those of a runtime."""
    if not runtime:
        return base
    if runtime == GRAPH_REPLAY:  # where no fit knows the fastest, rows stay those of the mean
        base = replace(base, fits={name: without_fastest(own) for name, own in base.fits.items()})
    few = [some_of(sample) for sample in fastest if len(sample.measured_s) >= FEWEST_ONTO]
    return calibrate([Measured(family, tuple(few), tuple(x.labels["device"] for x in few))], onto=base)


def some_of(sample: Sample) -> Sample:
    """A few rows, of nobody's runtime, as they are published."""
    some = np.random.default_rng(len(sample.measured_s)).permutation(len(sample.measured_s))[:GIVEN]
    labels = as_runtime(sample.labels, GRAPH_REPLAY)
    return replace(sample, labels=labels, demand=sample.demand.at(some), measured_s=sample.measured_s[some])


def without_fastest(own: FamilyFit) -> FamilyFit:
    effects = {key: amounts for key, amounts in own.effects.items() if not key[1].startswith(FASTEST)}
    return replace(own, effects=effects)


def told(errors: np.ndarray) -> str:
    return f"{errors.mean():.3f} {np.median(errors):.3f}"


if __name__ == "__main__":
    main()
