"""How far figures of machines are known that constants were fitted onto: each such machine left out in turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ircost.cost_models.gpu.calibrate import Measured, OnProgress, by_family, calibrate_without
from ircost.cost_models.gpu.constants import ConstantsFile
from ircost.cost_models.gpu.demand import times
from ircost.cost_models.learned.conformal import FLOOR, group_quantile

FEWEST_MACHINES = 3  # of which one is left out: of fewer nothing follows for the next


def with_half_widths(
    constants: ConstantsFile,
    data: Sequence[Measured],
    onto: ConstantsFile,
    on_progress: OnProgress | None = None,
) -> ConstantsFile:
    """The same, knowing for each family what holds nine in ten kernels of a machine of an architecture that was met.

    Where too few machines are new to tell, what was known before stands.

    Args:
        data: that was fitted onto others. onto: those.
    """
    families = by_family(data)
    fits = dict(constants.fits)
    for done, own in enumerate(families, start=1):
        if own.family in onto.fits and (found := half_width(own, onto)) is not None:
            fits[own.family] = replace(fits[own.family], added_half_width=found)
        if on_progress is not None:
            on_progress(done, len(families))
    return replace(constants, fits=fits)


def half_width(data: Measured, onto: ConstantsFile) -> float | None:
    """In ln of the latency, as machines need that were left out; None where there are too few of them.

    What is left out must leave its architecture behind, on another machine or in what the rows are fitted onto.
    """
    errors = {device: size for device, size in _errors(data, onto) if len(size)}
    if len(errors) < FEWEST_MACHINES:
        return None
    group = np.repeat(list(errors), [len(size) for size in errors.values()])
    return group_quantile(np.maximum(np.concatenate([*errors.values()]), FLOOR), group)


def _errors(data: Measured, onto: ConstantsFile) -> Iterator[tuple[str, np.ndarray]]:
    """Of each machine: sizes of errors under constants that never saw it."""
    devices = sorted(set(data.devices))
    files: Mapping[frozenset[str], ConstantsFile] = calibrate_without(
        [data], [frozenset((x,)) for x in devices], onto=onto
    )
    for device in devices:
        constants = files[frozenset((device,))]
        found = [
            np.abs(np.log(times(sample.demand, constants.of(data.family, sample.labels)).latency_s / sample.measured_s))
            for sample, name in zip(data.samples, data.devices, strict=True)
            if name == device and constants.has_met(data.family, "architecture", sample.labels["architecture"])
        ]
        yield device, np.concatenate([np.zeros(0), *found])
