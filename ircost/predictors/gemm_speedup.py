"""Predicts how much faster a matrix product is with weights of one number format than with those of another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from ircost.backends import Target, load_target
from ircost.cost_models.gpu.constants import ConstantsFile, bundled_constants
from ircost.cost_models.gpu.demand import Terms, times
from ircost.cost_models.gpu.families import FAMILIES
from ircost.cost_models.gpu.rows import RowGroup, groups_of, physical_limit_s
from ircost.cost_models.gpu.table_work import Columns, Setting
from ircost.datasets.claim_yaml import ClaimError, Section
from ircost.datasets.claims import Written
from ircost.predictors.prediction import Point, Prediction, UsedConstant, UsedFit
from ircost.quantity_text import small_text

GEMM = FAMILIES["gemm"]
FIGURE = "speedup"
STEP = 0.01  # by which a constant is moved to see what depends on it
LEAST_INFLUENCE = 0.5e-2
RESOURCES = {
    "matrix": "the matrix units",
    "vector": "the vector units",
    "shared": "shared memory",
    "l2": "the ports of L2",
    "main": "main memory",
}


class SpeedupConfiguration(Written):
    """Args:
    target: the machine.
    runtime: whose constants are taken.
    baseline, compared: number formats, as measured tables name them.
    n, k: of the weights, one matrix.
    batches: rows of the activations, a point each.
    """

    target: str
    runtime: str
    baseline: str
    compared: str
    n: int = Field(ge=1)
    k: int = Field(ge=1)
    batches: tuple[int, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Kernel:
    """One number format's products, a row for each batch.

    Args:
        constants: fitted ones, as used.
        terms: of the latency. latency_s: never below the physical limit.
        datasheet_s: the slower of arithmetic and main memory, at data-sheet speed.
    """

    dtype: str
    group: RowGroup
    setting: Setting
    constants: dict[str, float]
    terms: Terms
    latency_s: np.ndarray
    datasheet_s: np.ndarray


def predict_gemm_speedup(section: Section) -> Prediction:
    """Time with ``baseline`` weights over time with ``compared`` ones, by the analytical model.

    Constants are the bundled ones, those of all measured kernels with the labels of these.

    Raises:
        ClaimError: the configuration is wrong, or the target unknown or without the format.
    """
    wanted = section.read(SpeedupConfiguration)
    fitted = bundled_constants()
    with section.blaming("target"):
        target = load_target(wanted.target)
    slow, fast = (
        _kernel(getattr(wanted, side), wanted, target, fitted, section.place(side)) for side in ("baseline", "compared")
    )
    points: list[Point] = [(FIGURE, f"batch {batch}") for batch in wanted.batches]
    speedups = slow.latency_s / fast.latency_s
    return Prediction(
        values=dict(zip(points, speedups.tolist(), strict=True)),
        reasons={point: reason(slow, fast, row) for row, point in enumerate(points)},
        target=target,
        figures=_deciding_figures(target, (slow.setting, fast.setting)),
        model="analytical, bundled constants",
        fits=tuple(_used(kernel, fitted, wanted) for kernel in (slow, fast)),
    )


def _columns(dtype: str, wanted: SpeedupConfiguration) -> Columns:
    """A table of measurements without the measurements: the way of all rows is that of ``irc evaluate``."""
    count = len(wanted.batches)
    words = {"device": wanted.target, "framework": wanted.runtime, "dtype": dtype, "kernel": ""}
    dims = {"batch": 1, "n": wanted.n, "k": wanted.k}
    return {
        **{name: np.full(count, word, dtype=object) for name, word in words.items()},
        **{name: np.full(count, extent, dtype=float) for name, extent in dims.items()},
        "m": np.array(wanted.batches, dtype=float),
    }


def _kernel(dtype: str, wanted: SpeedupConfiguration, target: Target, fitted: ConstantsFile, at: str) -> Kernel:
    columns = _columns(dtype, wanted)
    (group,) = groups_of(GEMM, columns, lambda name: target)
    if group.setting is None:
        raise ClaimError(group.failure, at=at)
    constants = fitted.of(GEMM.name, group.labels)
    terms = times(GEMM.demand(columns, group.setting), constants)
    totals = GEMM.totals(columns, group.setting)
    arithmetic_s = totals.flops / group.setting.flops_per_s
    memory_s = totals.touched_bytes / group.setting.machine.main_bytes_per_s
    latency_s = np.maximum(terms.latency_s, physical_limit_s(GEMM, columns, group.setting))
    return Kernel(dtype, group, group.setting, constants, terms, latency_s, np.maximum(arithmetic_s, memory_s))


def reason(slow: Kernel, fast: Kernel, row: int) -> str:
    """How the speedup comes about, from the terms of both times."""
    ideal = slow.datasheet_s[row] / fast.datasheet_s[row]
    over = [f"{kernel.dtype} {kernel.latency_s[row] / kernel.datasheet_s[row]:.2f}" for kernel in (slow, fast)]
    return (
        f"the data sheet alone gives {ideal:.2f}; predicted times are longer than its by {' and '.join(over)}. "
        f"{_time_text(fast, row)}. {_time_text(slow, row)}."
    )


def _time_text(kernel: Kernel, row: int) -> str:
    """A time, taken apart: the slowest resource, what others show beside it, what nothing hides."""
    busy = {name: float(seconds[row]) for name, seconds in kernel.terms.busy.items()}
    first, second = sorted(busy, key=busy.__getitem__, reverse=True)[:2]
    share = kernel.constants[first]
    ideal_s = busy[first] * share
    fixed_s = sum(float(seconds[row]) for seconds in kernel.terms.fixed.values())
    shown_s = max(float(kernel.latency_s[row]) - busy[first] - fixed_s, 0.0)
    return (
        f"{kernel.dtype} takes {small_text(kernel.latency_s[row], 's')}: bound by {RESOURCES[first]}, "
        f"{small_text(ideal_s, 's')} at the data sheet's speed, {small_text(busy[first], 's')} at the fitted share "
        f"of {share:.2f}; {small_text(shown_s, 's')} more show beside it (next is {RESOURCES[second]} with "
        f"{small_text(busy[second], 's')}); {small_text(fixed_s, 's')} are launch, waves and steps"
    )


def _deciding_figures(target: Target, settings: tuple[Setting, ...]) -> tuple[str, ...]:
    main = target.main_memory.name
    caches = [level.name for level in target.memory[1:] if not level.per_processor]
    peaks = {f"matrix.{target.unit_for(setting.format.arithmetic)[1]}": None for setting in settings}
    wanted = (
        *(f"memory.{main}.bandwidth_bytes_per_s", *peaks, "vector.f32"),
        *(f"memory.{name}.{what}" for name in caches for what in ("capacity_bytes", "bandwidth_bytes_per_s")),
        *("processors.count", "processors.clock_hz"),
    )
    known = target.sources()
    return tuple(path for path in wanted if path in known)


def _used(kernel: Kernel, fitted: ConstantsFile, wanted: SpeedupConfiguration) -> UsedFit:
    labels = kernel.group.labels
    fit = fitted.fits.get(GEMM.name)
    influences = _influences(kernel, wanted)
    constants = [
        UsedConstant(
            *(name, parameter.meaning, parameter.kind, kernel.constants[name]),
            tuple(fitted.shares(GEMM.name, labels, name)),
            influences[name],
        )
        for name, parameter in GEMM.parameters.items()
        if influences[name] >= LEAST_INFLUENCE
    ]
    unseen = set(fitted.unseen(GEMM.name, labels))
    return UsedFit(
        kernel=f"{kernel.dtype} product",
        family=GEMM.name,
        rows=fit.rows + fit.added_rows if fit else 0,
        devices=tuple(sorted({*fit.devices, *fit.added_devices})) if fit else (),
        median_error=fit.median_error if fit else 0.0,
        labels={effect: level for effect, level in labels.items() if level},
        unseen=tuple(effect for effect in labels if effect in unseen),
        format_seen_with=_seen_with(labels["dtype"], fitted),
        constants=tuple(sorted(constants, key=lambda constant: -constant.influence)),
    )


def _seen_with(dtype: str, fitted: ConstantsFile) -> dict[str, tuple[str, ...]]:
    """Runtimes and architectures whose kernels of a format were measured: the fit has an effect for each such pair."""
    fit = fitted.fits.get(GEMM.name)
    found: dict[str, list[str]] = {}
    for effect, level in fit.effects if fit is not None else ():
        other, _, name = effect.partition(", ")
        if name == "dtype" and level.endswith(f" {dtype}"):
            found.setdefault(other, []).append(level.removesuffix(f" {dtype}"))
    return {other: tuple(sorted(levels)) for other, levels in sorted(found.items())}


def _influences(kernel: Kernel, wanted: SpeedupConfiguration) -> dict[str, float]:
    """Percent that the time moves at most, at any batch, where a constant moves by one percent."""
    demand = GEMM.demand(_columns(kernel.dtype, wanted), kernel.setting)

    def moved(name: str) -> float:
        constants = {**kernel.constants, name: kernel.constants[name] * (1 + STEP)}
        change = np.log(times(demand, constants).latency_s / kernel.terms.latency_s)
        return float(np.abs(change).max() / np.log1p(STEP))

    return {name: moved(name) for name in kernel.constants}
