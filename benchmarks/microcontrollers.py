"""Writes docs/microcontrollers.md; with --fit, the constants of the model first.

    python -m benchmarks.microcontrollers --fit > docs/microcontrollers.md

Published runs of whole networks, datasets/published/microcontrollers.csv, beside what the model says.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

import ircost
from ircost.backends import load_target
from ircost.cost_models.kernel_table import KernelTable, kernel_table
from ircost.cost_models.microcontroller_constants import BUNDLED, bundled_microcontroller_constants
from ircost.cost_models.microcontroller_fit import LeftOut, Runs, fit_constants, left_out
from ircost.cost_models.microcontroller_work import seconds_at_best
from ircost.datasets.tables import read_table
from ircost.report import Report

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "datasets/published/microcontrollers.csv"
MEMORY_TABLE = ROOT / "datasets/published/microcontroller_memory.csv"
# Data sheets' run current from flash at full clock, peripherals off, at the 1.8 V that the boards were measured at.
DATA_SHEET_W = {
    "stm32l4r5": 110e-6 * 120 * 1.8,  # 110 uA/MHz in run mode with the LDO: DS12023
    "stm32u575": 19.5e-6
    * 160
    * 3.3,  # 19.5 uA/MHz at 3.3 V with the SMPS, whose power depends on the voltage little: DS13737
}
# What a factor of a term comes to on a Cortex-M4.
CLOCKS = {
    **dict.fromkeys(("conv", "depthwise", "dense"), lambda factor: f"{factor / 2:.2f} clocks a multiply-add"),
    "elements": lambda factor: f"{factor:.1f} clocks an element",
}
HEAD = """# Microcontrollers

Written by `python -m benchmarks.microcontrollers > docs/microcontrollers.md`; with `--fit`, the constants first.

    irc compile examples/mlperf_tiny_vww.yaml --target nucleo_l4r5+x_cube_ai

**Two memories.** A microcontroller's target has `flash`, where weights lie and are read in place, and main memory,
SRAM, for what a run writes. Weights have to fit the one, the arena the other; `--memory-limit` is of SRAM, and so are
the passes that keep to it. Inputs are planned like any value: their place is used again once nothing reads them, and
functions are written out (`inline`), since a call would hold its operands. What is *not* counted: the code of the
program and of the runtime, 50 KiB of flash and more, the runtime's own tables, the stack, and scratch buffers of
kernels (im2col).

**Latency.** Others published {rows} runs of {networks} whole networks in 8-bit integers on {devices} machines,
`datasets/published/microcontrollers.csv`: MLPerf Tiny, TinyEngine, ESP-NN. No kernel was measured by itself there, so
few constants are fitted: seconds are those of the data sheet's rate (two multiply-adds a clock with SMLAD) times a
factor for each kind of product, and clocks for each element that is written, all times a factor of the core and one
of the runtime. Least squares of relative errors, no factor negative. Wait states of flash, caches and the compiler
are in them, the time of a call is not told apart from them and counts nothing, and what a network has beside (f32,
softmax, recurrent cells) no run had: reports say so.

The interval is what holds nine of ten errors of what was left out of the fit, machines and networks in turn: a factor
of {known:.2f} either way where a runtime is named, {unnamed:.2f} where none is, {new:.2f} on a core that no run was
on. Autoencoder and ResNet are the only networks of their kind: without the one nothing tells of dense layers, so it
is in no error, without the other convolutions of 3 x 3 come out far too fast, and that is in.

Cortex-M0+ and ESP32-S3 rest on one machine each, the latter on one run: a figure there is an order of magnitude.
"""
CONSTANTS = """## What was fitted

| term | times the data sheet's | on a Cortex-M4, of runtimes on the mean |
|---|--:|---|"""
LEFT_OUT = """## How far off, where it was not fitted

Mean size of errors, and their mean in brackets.

| left out | | runs | runtime named | as of none |
|---|---|--:|--:|--:|"""
PREDICTED = """
## Predicted and measured

Milliseconds. *Fitted*: all runs are in the fit. *Left out*: without any run on that machine (on the mean of runtimes
where none other has that runtime).

| machine | runtime | network | measured | fitted | left out | in the interval |
|---|---|---|--:|--:|--:|---|"""
ENERGY = """
## Energy

Power of the running chip times time; it varies by a tenth from network to network. Boards that were measured have
that power in their targets (`power.peak`), others their data sheet's run current, which is half of it and less: *data
sheet* is that current at full clock times the measured time, *target's power* that of the target times the same. So
energies of boards that nobody measured are likely too low, by a factor of two and more; reports say so.

| machine | runtime | network | measured mJ | mW | target's power | data sheet | reported mJ |
|---|---|---|--:|--:|--:|--:|--:|"""
MEMORY = """
## Activations

KiB: what X-CUBE-AI and TinyEngine say they take, inputs and outputs included, and the arena of a report. Theirs have
scratch buffers of kernels in them, and lay results of depthwise convolutions over their operands, as ours do not.

| network | software | theirs | ours | ours / theirs | source |
|---|---|--:|--:|--:|---|"""
# The same silicon, but for what no network uses.
SAME_CHIP = {"stm32u585": "stm32u575"}
target_of = lru_cache(maxsize=None)(load_target)


@dataclass(frozen=True, slots=True)
class Row:
    """A published run."""

    device: str
    runtime: str
    network: str
    dims: tuple[tuple[str, int], ...]
    latency_s: float
    energy_j: float
    source: str

    @property
    def target(self) -> str:
        return f"{self.device}+{self.runtime.replace(' ', '_')}"

    @property
    def title(self) -> str:
        return " ".join([self.network, *(f"{name}={extent}" for name, extent in self.dims)])


@cache
def published() -> tuple[Row, ...]:
    columns = read_table(TABLE).columns
    names = ("device", "runtime", "network", "dims", "latency_us", "energy_uj", "source")
    return tuple(
        Row(device, runtime, network, _dims(dims), latency_us * 1e-6, energy_uj * 1e-6, source)
        for device, runtime, network, dims, latency_us, energy_uj, source in zip(
            *(columns[n] for n in names), strict=True
        )
    )


def _dims(text: str) -> tuple[tuple[str, int], ...]:
    return tuple((name, int(extent)) for name, _, extent in (item.partition("=") for item in text.split()))


@cache
def report_on(network: str, dims: tuple[tuple[str, int], ...], target: str, cost_model: str = "auto") -> Report:
    return ircost.compile(ROOT / f"examples/{network}.yaml", target, dims=dict(dims), cost_model=cost_model)


@cache
def kernels_of(network: str, dims: tuple[tuple[str, int], ...]) -> KernelTable:
    """The passes are those of any microcontroller, and no constants are asked."""
    return kernel_table(report_on(network, dims, "stm32l4r5", "roofline").module)


def runs() -> Runs:
    """The published runs as the fit takes them."""
    rows = published()
    best_s = []
    for row in rows:
        table = kernels_of(row.network, row.dims)
        counts = np.zeros(len(table))
        for run in table.runs:
            counts[run.row] += run.count
        best_s.append(counts @ seconds_at_best(table, target_of(row.device)))
    return Runs(
        best_s=np.array(best_s),
        measured_s=np.array([row.latency_s for row in rows]),
        device=np.array([row.device for row in rows]),
        machine=np.array([SAME_CHIP.get(row.device, row.device) for row in rows]),
        core=np.array([target_of(row.device).architecture for row in rows]),
        runtime=np.array([row.runtime for row in rows]),
        network=np.array([row.network for row in rows]),
    )


def write_constants() -> None:
    powered = {row.device for row in published() if row.energy_j > 0}
    constants = fit_constants(runs(), sorted(powered), hashlib.sha256(TABLE.read_bytes()).hexdigest())
    BUNDLED.write_text(constants.to_json(), encoding="utf-8")


def show() -> None:
    constants, fitted = bundled_microcontroller_constants(), runs()
    width = {name: np.exp(value) for name, value in constants.half_width.items()}
    print(
        HEAD.format(
            rows=constants.rows,
            networks=constants.networks,
            devices=len(constants.devices),
            known=width["known"],
            unnamed=width["no runtime"],
            new=width["new core"],
        )
    )
    print(CONSTANTS)
    for name, factor in constants.terms.items():
        print(f"| {name} | {factor:.2f} | {CLOCKS[name](factor)} |")
    print(f"\n{factors_text('core', constants.cores)}\n\n{factors_text('runtime', constants.runtimes)}\n")
    errors = {"machine": [*left_out(fitted, fitted.machine)], "network": [*left_out(fitted, fitted.network)]}
    print(LEFT_OUT)
    for by, ones in errors.items():
        for one in ones:
            print(left_out_line(by, one))
    print(PREDICTED)
    without = of_rows(errors["machine"], fitted)
    for row, own in zip(published(), without, strict=True):
        print(predicted_line(row, own))
    print(ENERGY)
    for row in published():
        if row.energy_j > 0:
            print(energy_line(row))
    print(MEMORY)
    for line in memory_lines():
        print(line)


def factors_text(what: str, factors: Mapping[str, float]) -> str:
    ranked = sorted(factors.items(), key=lambda item: item[1])
    return f"Times, by {what}: " + ", ".join(f"{name} {factor:.2f}" for name, factor in ranked) + "."


def of_rows(ones: Sequence[LeftOut], fitted: Runs) -> np.ndarray:
    """[rows] ln of predicted over measured where the row's own machine was left out; NaN where its core then is new."""
    found = np.full(len(fitted), np.nan)
    for one in ones:
        found[one.rows] = np.where(one.is_core_met, np.where(one.is_met, one.error, one.mean_error), np.nan)
    return found


def left_out_line(by: str, one: LeftOut) -> str:
    met = one.is_met & one.is_sound
    named = percent(one.error[met]) if met.any() else "-"
    mean = percent(one.mean_error[one.is_core_met & one.is_sound]) if (one.is_core_met & one.is_sound).any() else "-"
    return f"| {by} | {one.what} | {len(one.rows)} | {named} | {mean} |"


def percent(errors: np.ndarray) -> str:
    """Mean size of relative errors, and their mean."""
    relative = np.exp(errors) - 1
    return f"{100 * np.abs(relative).mean():.0f} % ({100 * relative.mean():+.0f})"


def predicted_line(row: Row, error: float) -> str:
    report = report_on(row.network, row.dims, row.target)
    assert report.low_s is not None and report.high_s is not None
    inside = "yes" if report.low_s <= row.latency_s <= report.high_s else "no"
    alone = "-" if np.isnan(error) else f"{1e3 * row.latency_s * np.exp(error):.3g}"
    cells = (row.device, row.runtime, row.title, f"{1e3 * row.latency_s:.4g}", f"{1e3 * report.latency_s:.3g}", alone)
    return f"| {' | '.join(cells)} | {inside} |"


def energy_line(row: Row) -> str:
    report = report_on(row.network, row.dims, row.target)
    measured, own_j = 1e3 * row.energy_j, report.power_w * row.latency_s
    sheet = DATA_SHEET_W.get(row.device)
    by_sheet = "-" if sheet is None else f"{1e3 * sheet * row.latency_s:.3g}"
    cells = (row.device, row.runtime, row.network, f"{measured:.3g}", f"{1e3 * row.energy_j / row.latency_s:.1f}")
    return f"| {' | '.join(cells)} | {1e3 * own_j:.3g} | {by_sheet} | {1e3 * report.energy_j:.3g} |"


def memory_lines() -> Iterator[str]:
    with MEMORY_TABLE.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            report = report_on(row["network"], _dims(row["dims"]), "stm32h743")
            own, theirs = report.arena_bytes / 1024, float(row["activations_kib"])
            title = " ".join(filter(None, (row["network"], row["dims"])))
            yield f"| {title} | {row['software']} | {theirs:.1f} | {own:.1f} | {own / theirs:.2f} | {row['source']} |"


if __name__ == "__main__":
    if "--fit" in sys.argv:
        write_constants()
    show()
