"""How far figures of machines are known that constants were fitted onto: each such machine left out in turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ircost.cost_models.gpu.calibrate import Measured, OnProgress, by_family, calibrate_without
from ircost.cost_models.gpu.constants import ConstantsFile
from ircost.cost_models.gpu.demand import times
from ircost.cost_models.learned.conformal import FLOOR, group_quantile

FEWEST_MACHINES = 3  # of which one is left out: of fewer nothing follows for the next
MANY_MACHINES = 12  # of one architecture: the next of it needs no others to tell


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
        if own.family in onto.fits and (found := half_widths(own, onto)):
            all_of_them = found.pop("")
            fits[own.family] = replace(fits[own.family], added_half_width=all_of_them, half_width_of=found)
        if on_progress is not None:
            on_progress(done, len(families))
    return replace(constants, fits=fits)


def half_widths(data: Measured, onto: ConstantsFile) -> dict[str, float]:
    """In ln of the latency, as machines need that were left out: of all, under "", and of each architecture that many
    machines are of. Nothing where there are too few of them.

    What is left out must leave its architecture behind, on another machine or in what the rows are fitted onto.
    """
    found = [*_errors(data, onto)]
    needed = {"": _needed(found, FEWEST_MACHINES)}
    for architecture in sorted({own.architecture for own in found}):
        needed[architecture] = _needed([own for own in found if own.architecture == architecture], MANY_MACHINES)
    return {name: width for name, width in needed.items() if width is not None} if needed[""] is not None else {}


@dataclass(frozen=True, slots=True)
class _Errors:
    """Sizes of errors of one sample, under constants that never saw its machine."""

    device: str
    architecture: str
    size: np.ndarray


def _needed(errors: Sequence[_Errors], fewest: int) -> float | None:
    """None of fewer machines than that."""
    if len({own.device for own in errors}) < fewest:
        return None
    sizes = np.concatenate([own.size for own in errors])
    group = np.repeat([own.device for own in errors], [len(own.size) for own in errors])
    return group_quantile(np.maximum(sizes, FLOOR), group)


def _errors(data: Measured, onto: ConstantsFile) -> Iterator[_Errors]:
    devices = sorted(set(data.devices))
    files: Mapping[frozenset[str], ConstantsFile] = calibrate_without(
        [data], [frozenset((x,)) for x in devices], onto=onto
    )
    for device in devices:
        constants = files[frozenset((device,))]
        for sample, name in zip(data.samples, data.devices, strict=True):
            architecture = sample.labels["architecture"]
            if name == device and constants.has_met(data.family, "architecture", architecture):
                found_s = times(sample.demand, constants.of(data.family, sample.labels)).latency_s
                yield _Errors(device, architecture, np.abs(np.log(found_s / sample.measured_s)))
