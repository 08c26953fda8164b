"""Writes docs/published.md: measurements that others published, beside models before and after a fit to them.

    python -m benchmarks.published_table > docs/published.md

Machines are left out in turn, so it takes some minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml

from ircost.backends import load_target
from ircost.cost_models.gpu.calibrate import FEWEST_ONTO, calibrate, measured
from ircost.cost_models.gpu.constants import ConstantsFile, bundled_constants
from ircost.cost_models.gpu.table_work import Columns
from ircost.cost_models.learned.storage import bundled_models
from ircost.cost_models.row_estimates import estimate_rows
from ircost.datasets.tables import read_table

FOLDER = Path(__file__).resolve().parents[1] / "datasets/published"
FITTED = ("gemm", "attention", "mla", "moe", "vector", "collective")
ONLY_COMPARED = ("conv",)  # they would stand for products, which stand in for convolutions of today
HEAD = """# Machines that others measured

Written by `python -m benchmarks.published_table > docs/published.md`.

The tables that the bundled constants are fitted to hold 21 devices, none of them a Blackwell, a CDNA 3 or a GeForce of
this decade. Others have measured kernels there, and published what they found: tables in repositories, pull requests
and issues. `datasets/published` has {rows:,} such rows of {devices} machines, each with its source
([below](#sources)); of several kernels for one shape the fastest.

    irc calibrate --data datasets/published/{{gemm,attention,mla,moe,vector,collective}}.csv --onto constants.json \\
        -o constants.json

fits the constants *onto* those of the tables: whatever those have met stays as it is, to the last digit, and only what
they never met is fitted, an architecture, a machine, a format. So nothing changes on machines that were measured with
care, corrections that were learned beside the constants hold, and a new machine gets what little is known of it. What a
few rows do not say is still the mean of all others, and in products a machine moves a constant only as far as the time
of its rows goes by it: large squares say nothing of main memory. Three rows that are alike (one machine, format,
runtime and kind) are enough. Your own rows are fitted the same way: `--onto bundled`.

Rows that name no runtime are fitted as those of the *fastest* runtime: the tables have the same kernels from vLLM,
SGLang and TensorRT-LLM, and how far the fastest of them, kernel by kernel, is from each is an effect like any other. So
what is fitted is the machine, and a runtime that is named there (`b200+vllm`) keeps its distance. Where none is named,
a machine of these tables has the fastest kernels, one of the others the mean of its runtimes. Latent attention is left
out of that: one of its runtimes takes ten times as long as another, and the fastest of them are no kind of kernels.
`python -m benchmarks.fastest_of_runtimes ../shared/measured gemm attention moe` puts that to the test: each
architecture is left out, up to 40 of its fastest rows of each kind are given, and all its rows estimated, each as of
its own runtime.

Collectives are of cards without links of their own. What their server makes of its bus counts there, not whose cards
they are: all servers are fitted as one (`server` tells them apart, and is what is left out), since nobody names theirs.

How far a figure is known there comes of leaving each machine out in turn: errors of machines of which only the
architecture was left give the interval of the family (`fitted_onto.py`), unless the intervals of
[strangers](learned-models.md) are narrower. Corrections of strangers are not added. The grade stays C.

**What to make of it.** These rows are no benchmark of ours: clocks and power limits are their owners', some machines
are inferred, kernels are of some version of 2024 to 2026. Errors below hold that, too. Convolutions are compared, not
fitted to.

## By family

Mean / median of the error in percent. *Base*: constants that never saw these rows. *Source left out*: fitted onto by
the rows of all other sources. *Machine left out*: by those of all other machines. *Fitted*: the bundled constants,
which saw the rows. *Inside*: in the interval of 90 % that the hybrid gives.

| family | rows | machines | base | source left out | machine left out | fitted | inside |
|---|--:|--:|--:|--:|--:|--:|--:|"""
MACHINES = """
## By machine

Worst first, by the median with the machine left out; 8 rows and more.

| machine | family | rows | base | source left out | machine left out | fitted | inside |
|---|---|--:|--:|--:|--:|--:|--:|"""
SOURCES = """
## Sources

| source | rows | where | how it was timed | what is not sure |
|---|--:|---|---|---|"""

target_of = lru_cache(maxsize=None)(load_target)


def main() -> None:
    tables = {name: read_table(FOLDER / f"{name}.csv").columns for name in (*FITTED, *ONLY_COMPARED)}
    rows = {name: len(columns["device"]) for name, columns in tables.items()}
    devices = {device for columns in tables.values() for device in columns["device"].tolist()}
    print(HEAD.format(rows=sum(rows.values()), devices=len(devices)))
    errors = {name: errors_of(name, columns) for name, columns in tables.items()}
    for name, own in errors.items():
        all_rows = np.arange(rows[name])
        print(line((name, f"{rows[name]:,}", len(set(tables[name]["device"].tolist()))), own, all_rows))
    print(MACHINES)
    for name, device, some in sorted(
        ((name, device, np.flatnonzero(tables[name]["device"] == device)) for name in tables for device in devices),
        key=lambda own: -np.median(errors[own[0]]["machine left out"][own[2]]) if len(own[2]) else 0.0,
    ):
        if len(some) >= 8:
            print(line((device, name, len(some)), errors[name], some))
    print(SOURCES)
    counts: dict[str, int] = {}
    for columns in tables.values():
        for source in columns["source"].tolist():
            counts[source] = counts.get(source, 0) + 1
    for source, about in yaml.safe_load((FOLDER / "sources.yaml").read_text()).items():
        if source in counts:  # others are of whole models, on pages of their own
            print(f"| {source} | {counts[source]} | {about['at']} | {about['how']} | {about.get('doubt', '')} |")


def errors_of(family: str, columns: Columns) -> Mapping[str, np.ndarray]:
    """[rows] each: sizes of relative errors; and whether rows lie inside of their interval."""
    base, bundled = bundled_constants().base, bundled_constants()
    found = {"base": error(family, columns, base)}
    machine = "server" if "server" in columns else "device"
    for name, column in (("source left out", "source"), ("machine left out", machine)):
        found[name] = np.full(len(columns["device"]), np.nan)
        for left_out in sorted(set(columns[column].tolist())):
            out = columns[column] == left_out
            constants = fitted(family, at(columns, ~out), base) if family in FITTED else base
            found[name][out] = error(family, at(columns, out), constants)
    found["fitted"] = error(family, columns, bundled)
    estimates = estimate_rows(columns, family, target_of, "hybrid", bundled_models())
    measured_s = columns["latency_us"].astype(float) * 1e-6
    found["inside"] = (estimates.low_s <= measured_s) & (measured_s <= estimates.high_s)
    return found


def fitted(family: str, columns: Columns, onto: ConstantsFile) -> ConstantsFile:
    if not len(columns["device"]):
        return onto
    return calibrate([measured(columns, family, target_of, fewest_rows=FEWEST_ONTO)], onto=onto)


def error(family: str, columns: Columns, constants: ConstantsFile) -> np.ndarray:
    found = estimate_rows(columns, family, target_of, "analytical", fitted=constants)
    size: np.ndarray = np.abs(found.latency_s * 1e6 / columns["latency_us"].astype(float) - 1)
    return size


def at(columns: Columns, rows: np.ndarray) -> Columns:
    return {name: column[rows] for name, column in columns.items()}


def line(head: tuple[object, ...], errors: Mapping[str, np.ndarray], rows: np.ndarray) -> str:
    return f"| {' | '.join(map(str, (*head, *cells(errors, rows))))} |"


def cells(errors: Mapping[str, np.ndarray], rows: np.ndarray) -> Iterator[str]:
    for name in ("base", "source left out", "machine left out", "fitted"):
        own = 100 * errors[name][rows]
        yield f"{own.mean():.1f} / {np.median(own):.1f}"
    yield f"{100 * errors['inside'][rows].mean():.0f} %"


if __name__ == "__main__":
    main()
