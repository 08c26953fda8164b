"""Whole networks on a CPU: measures them with ONNX Runtime, and writes what the models say beside that.

    python -m benchmarks.cpu_networks measure DIR... --threads 1 --target epyc_7003_core
    python -m benchmarks.cpu_networks table DIR... [--write]

DIR are folders of models with their indexes, as for `pytest --zoo`. Measured latencies go to
`datasets/measured/cpu_networks.csv`; the table stands in docs/cost-models.md. Nothing is fitted to them: constants are
of single layers. A network is one session, inputs and graph optimisation as ONNX Runtime has them by default.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from zoo import ZooModel, zoo_models

import ircost

ROOT = Path(__file__).resolve().parents[1]
MEASURED, PAGE = ROOT / "datasets/measured/cpu_networks.csv", ROOT / "docs/cost-models.md"
BEGIN, END = "<!-- networks: written by benchmarks/cpu_networks.py -->", "<!-- end of networks -->"
FIELDS = ("network", "device", "framework", "framework_version", "latency_us", "latency_iqr_us", "samples")
MODELS = ("roofline", "analytical")
LEAST_S, FEWEST, MOST = 2.0, 9, 300
# How often their loops run depends on what they compute; the report counts the most that is possible.
BOUNDED = frozenset({"slanet_table"})

Row = dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=("measure", "table"))
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--target")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    models = [model for folder in given.folders for model in zoo_models(folder)]
    if given.verb == "measure":
        measure(models, given.threads, given.target)
    else:
        lines = list(table(models, read()))
        print("\n".join(lines))
        if given.write:
            head, tail = PAGE.read_text().split(BEGIN)[0], PAGE.read_text().split(END)[1]
            PAGE.write_text("\n".join([head + BEGIN, "", *lines, "", END]) + tail)


def read() -> list[Row]:
    if not MEASURED.exists():
        return []
    with MEASURED.open(newline="") as file:
        return list(csv.DictReader(file))


def measure(models: Sequence[ZooModel], threads: int, target: str) -> None:
    """Adds the latency of each model on a target, or puts it in the place of an older one."""
    kept = [row for row in read() if row["device"] != target]
    new = [row for model in models if (row := measured(model, threads, target)) is not None]
    with MEASURED.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows([*kept, *new])


def measured(model: ZooModel, threads: int, target: str) -> Row | None:
    """None where ONNX Runtime cannot run it."""
    import onnxruntime

    from ircost.datasets.measuring.onnxruntime_library import RUNTIME_ERRORS

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4
    try:
        session = onnxruntime.InferenceSession(str(model.path), options, providers=["CPUExecutionProvider"])
        feeds = model.feeds()
        session.run(None, feeds)
    except RUNTIME_ERRORS as error:
        print(f"{model.name}: {str(error).splitlines()[0]}", file=sys.stderr)
        return None
    samples: list[float] = []
    begun = time.perf_counter()
    while (time.perf_counter() - begun < LEAST_S or len(samples) < FEWEST) and len(samples) < MOST:
        start = time.perf_counter()
        session.run(None, feeds)
        samples.append(time.perf_counter() - start)
    low, _, high = statistics.quantiles(samples, n=4)
    seconds = statistics.median(samples)
    print(f"{model.name}: {seconds * 1e3:.2f} ms", file=sys.stderr)
    figures = (seconds * 1e6, (high - low) * 1e6)
    values = (model.name, target, "onnxruntime", onnxruntime.__version__, *(f"{x:.5g}" for x in figures), len(samples))
    return {field: str(value) for field, value in zip(FIELDS, values, strict=True)}


def table(models: Sequence[ZooModel], rows: Sequence[Row]) -> Iterator[str]:
    """Errors of each model, and the networks one by one."""
    by_name = {model.name: model for model in models}
    devices = list(dict.fromkeys(row["device"] for row in rows))
    errors: dict[tuple[str, str], list[float]] = {}
    lines: dict[str, list[str]] = {}
    for row in rows:
        if row["network"] not in by_name or row["network"] in BOUNDED:
            continue
        measured_s = float(row["latency_us"]) * 1e-6
        cells = lines.setdefault(row["network"], [])
        cells.append(f"{measured_s * 1e3:.3g}")
        for name in MODELS:
            latency_s = estimate_s(by_name[row["network"]], row["device"], name)
            errors.setdefault((row["device"], name), []).append(latency_s / measured_s - 1)
            cells.append(f"{latency_s * 1e3:.3g}")
    yield "| machine | networks | model | MAPE | median | p90 | bias |"
    yield "|---|--:|---|--:|--:|--:|--:|"
    for (device, name), found in errors.items():
        size = np.abs(found) * 100
        parts = (size.mean(), np.median(size), np.quantile(size, 0.9))
        figures = " | ".join(f"{part:.1f} %" for part in parts)
        yield f"| {device} | {len(found)} | {name} | {figures} | {np.median(found) * 100:+.1f} % |"
    yield ""
    yield f"| network, ms | {' | '.join(part for device in devices for part in (device, *MODELS))} |"
    yield f"|---|{'--:|' * (len(devices) * (1 + len(MODELS)))}"
    for network, cells in sorted(lines.items()):
        yield f"| {network} | {' | '.join(cells)} |"


def estimate_s(model: ZooModel, target: str, cost_model: str) -> float:
    options = model.options
    report = ircost.compile(
        str(model.path), target, cost_model=cost_model, shapes=options.shapes, values=options.values
    )
    return float(report.latency_s)


if __name__ == "__main__":
    main()
