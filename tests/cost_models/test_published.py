"""Rows that others published: each has a source, tells of a kernel or a model, and is no faster than physics allows."""

from __future__ import annotations

import csv
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import pytest
import yaml
from language_model_rows import PHASES, Row, Seconds, checkpoint, compiled, predicted, published_rows

import ircost
from ircost.backends import load_target
from ircost.cost_models.gpu.table_work import Columns
from ircost.cost_models.learned.hybrid import Hybrid
from ircost.cost_models.row_estimates import estimate_rows
from ircost.datasets.tables import read_table

FOLDER = Path(__file__).resolve().parents[2] / "datasets/published"
SOURCES = yaml.safe_load((FOLDER / "sources.yaml").read_text())
FITTED = ("attention", "collective", "gemm", "mla", "moe", "vector")
target_of = lru_cache(maxsize=None)(load_target)


@cache
def rows(name: str) -> Columns:
    return read_table(FOLDER / f"{name}.csv").columns


def networks() -> list[dict[str, str]]:
    """Whole ones, which `benchmarks/vision_networks.py` compares."""
    with (FOLDER / "networks.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", [*FITTED, "conv"])
def test_every_row_has_a_source_and_tells_of_a_kernel(name: str) -> None:
    columns = rows(name)
    assert set(columns["source"].tolist()) <= SOURCES.keys()
    found = estimate_rows(columns, name, target_of, "analytical")
    assert found.family == name and not found.failures


def test_every_source_is_used_and_says_how_it_was_timed() -> None:
    used = {source for name in (*FITTED, "conv", "microcontrollers") for source in rows(name)["source"].tolist()}
    used |= {row.source for row in published_rows()}
    used |= {network["source"] for network in networks()}
    used |= {row.rpartition(",")[2] for row in (FOLDER / "microcontroller_memory.csv").read_text().splitlines()[1:]}
    assert list(SOURCES) == sorted(used)
    assert all(about["at"] and about["how"] for about in SOURCES.values())


def test_networks_are_of_known_machines_and_runtimes_and_no_faster_than_their_products() -> None:
    assert len(networks()) > 400
    for network in networks():
        target = target_of(f"{network['device']}+{network['framework'].replace(' ', '_')}")
        flops = 2e9 * float(network["gmacs"]) * int(network["batch"])
        assert float(network["latency_ms"]) * 1e-3 > flops / target.peak_flops_per_s("f16")


@pytest.mark.parametrize("name", [*FITTED, "conv"])
def test_none_is_faster_than_physics(name: str) -> None:
    """But for int8 on an L40, whose data sheet's rate seems to be half of what it does (423 of 362 TOP/s)."""
    columns = rows(name)
    measured_s = columns["latency_us"].astype(float) * 1e-6
    below = measured_s < estimate_rows(columns, name, target_of, "analytical").at_best_s * (1 - 1e-3)
    assert {(columns["device"][row], columns["dtype"][row]) for row in np.flatnonzero(below)} <= {("l40", "sq")}


@pytest.mark.parametrize("name", FITTED)
def test_fitted_rows_lie_in_their_intervals(name: str) -> None:
    columns = rows(name)
    found = estimate_rows(columns, name, target_of, "hybrid", Hybrid().models)
    measured_s = columns["latency_us"].astype(float) * 1e-6
    assert ((found.low_s <= measured_s) & (measured_s <= found.high_s)).mean() > 0.88
    # Nobody names the server of cards on a bus: all are fitted as one.
    assert np.median(np.abs(found.latency_s / measured_s - 1)) < (0.35 if name == "collective" else 0.12)


@pytest.mark.parametrize(
    ("device", "op", "elements", "dtype", "latency_us"),
    [
        *[("b200_sxm", "relu", 2**28, "float16", 163.846), ("b200_sxm", "add", 2**28, "float16", 239.643)],
        ("h200_sxm+pytorch", "tanh", 4096 * 393216, "float32", 3050),
    ],
)
def test_memory_faster_than_any_that_was_fitted_is_kept_busy(
    device: str, op: str, elements: int, dtype: str, latency_us: float
) -> None:
    """As many bytes are on their way as it takes; with those of an H100 they would take 1.2 to 1.5 times as long.

    Source: the rows of cccl_7391 and kernelbench, which no constant is fitted to.
    """
    columns = {"device": device, "op": op, "rows": elements // 4096, "cols": 4096, "dtype": dtype}
    (found_s,) = ircost.predict(columns, model="analytical").latency_s
    assert found_s == pytest.approx(latency_us * 1e-6, rel=0.1)


WHOLE_MODELS = published_rows()
TIMED_ALONE = [row for row in WHOLE_MODELS if row.count == 1 and row.phase in ("decode", "prefill")]


def quickest(device: str) -> Row:
    """Of a machine's rows of single passes: that with the shortest time for each byte of weights, nearly."""
    own = [row for row in TIMED_ALONE if row.device == device]
    return min((row for row in own if row.phase == "decode"), key=lambda row: row.measured_s, default=own[0])


def test_rows_of_whole_models_say_what_was_timed() -> None:
    assert len(WHOLE_MODELS) > 400 and len({row.device for row in WHOLE_MODELS}) > 30
    assert {row.phase for row in WHOLE_MODELS} == set(PHASES)
    assert all(row.measured_s > 0 and load_target(row.target) for row in WHOLE_MODELS)
    assert all((row.batch == 0) == (row.phase == "saturated") for row in WHOLE_MODELS)
    assert all((row.output == 0) == (row.phase == "prefill") for row in WHOLE_MODELS)


def test_measured_seconds_are_of_a_step_a_prompt_or_a_request() -> None:
    """By hand: 40.58 tokens/s; 7,246.97 tokens/s of 512; 896 sequences of 128 tokens at 20,618 a second; 8 devices."""
    cells = {"source": "", "framework": "", "model": "", "weights": "", "cache": "", "figure": "", "device": "h100_sxm"}

    def seconds(phase: str, batch: int, prompt: int, output: int, value: float, unit: str, count: int = 1) -> float:
        sizes = {"batch": str(batch), "prompt": str(prompt), "output": str(output), "count": str(count)}
        return Row.of({**cells, **sizes, "phase": phase, "value": str(value), "unit": unit}).measured_s

    assert seconds("decode", 1, 0, 512, 40.58, "tokens/s") == pytest.approx(24.64e-3, rel=1e-3)
    assert seconds("prefill", 1, 512, 0, 7246.97, "tokens/s") == pytest.approx(70.65e-3, rel=1e-3)
    assert seconds("request", 896, 128, 128, 20618, "tokens/s/device") == pytest.approx(5.562, rel=1e-3)
    assert seconds("request", 1024, 128, 128, 254, "tokens/s/device", count=8) == pytest.approx(64.50, rel=1e-3)
    assert seconds("decode", 1, 512, 128, 24.95, "ms") == 24.95e-3


@pytest.mark.parametrize("device", sorted({row.device for row in TIMED_ALONE}))
def test_no_model_ran_faster_than_physics(device: str, tmp_path: Path) -> None:
    """A bandwidth or a peak that is too low, or weights that are too wide, show here."""
    row = quickest(device)
    found = predicted(row, tmp_path)
    assert found.at_best is not None and found.at_best < row.measured_s


@pytest.mark.parametrize("device", ["gaudi2", "gaudi3", "h100_sxm", "h200_sxm", "a100_sxm_80gb", "l40s"])
def test_batches_that_ran_fit_in_memory(device: str, tmp_path: Path) -> None:
    """With the last token of all sequences in the cache; 217 of Llama-2-7B in FP8 fill a Gaudi 3."""
    ran = [row for row in WHOLE_MODELS if (row.device, row.phase, row.count) == (device, "request", 1)]
    row = max(ran, key=lambda row: row.batch * (row.prompt + row.output) * (row.model == "llama-2-7b"))
    dims = {"batch": row.batch, "context": row.prompt + row.output}
    report = compiled(checkpoint(row.model, row.weights, tmp_path), row, phase="decode", dims=dims)
    assert report.allocated_bytes <= report.memory_limit_bytes


@pytest.mark.parametrize("device", ["b200_sxm", "h200_sxm", "h100_sxm"])
def test_saturated_servers_are_near_what_was_measured(device: str, tmp_path: Path) -> None:
    """No constant was fitted to them: 70 billion parameters, 1,000 tokens in and out, within a fifth."""
    (row,) = (
        row
        for row in WHOLE_MODELS
        if (row.source, row.device, row.model, row.prompt, row.output)
        == ("trtllm_100", device, "llama-3.3-70b", 1000, 1000)
    )
    found: Seconds = predicted(row, tmp_path)
    assert 0.8 < found.predicted / row.measured_s < 1.25
