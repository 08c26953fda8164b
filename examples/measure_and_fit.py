"""Measure kernels on this machine's CPU, fit the analytical model to them, and judge it on layers that it did not see.

    python examples/measure_and_fit.py [TARGET.yaml]

Twenty seconds, with ONNX Runtime on one thread: a small table of small kernels. `irc measure` makes large ones.
Without a file that describes the machine, its peaks are the best that was measured, and a quarter on top.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ircost.backends import Target, load_target
from ircost.backends.target_files import parse_target
from ircost.cost_models.evaluation import ROW_MODELS, predict_table, scores_of
from ircost.cost_models.gpu.calibrate import calibrate, measured
from ircost.cost_models.gpu.constants import ConstantsFile, bundled_constants
from ircost.cost_models.learned.rows import SHAPE
from ircost.datasets.measuring.onnxruntime_library import open_onnxruntime
from ircost.datasets.measuring.sampling import Limits, cases
from ircost.datasets.measuring.session import Measured, Session
from ircost.datasets.measuring.timing import Effort

KINDS = (("gemm", "linear"), ("conv", "conv2d"), ("vector", "copies"))
ROWS = 60  # of each family
LIMITS = Limits(most_bytes=2e7, most_flops=2e8)
EFFORT = Effort(tolerance=0.05, least=5, most=20, most_s=0.05)
HEADROOM = 1.25  # peaks cannot be passed: no estimate is shorter

MACHINE = """
name: this_core
extends: cpu
source: "the best of what was measured, and a quarter on top"
vector: {{f32: {flops_per_s:g} FLOP/s}}
memory: {{dram: {{bandwidth: {bytes_per_s:g} B/s}}}}
processors: {{count: 1}}
"""


def main() -> None:
    library = open_onnxruntime(threads=1)
    drawn = cases(KINDS, library.dtypes, seed=0, limits=LIMITS, rows=ROWS)
    found = [
        own for own in Session(library, "this_core", "example", EFFORT).measure(drawn) if isinstance(own, Measured)
    ]
    target = load_target(sys.argv[1]) if len(sys.argv) > 1 else machine_of(found)
    print(f"{library.machine.name}, one thread, ONNX Runtime {library.version}: {len(found)} rows")
    print("errors of layers that nothing was fitted to: mean / median, in percent\n")
    print(f"{'family':10}{'roofline':>16}{'bundled':>16}{'fitted':>16}")
    tables = tables_of(found)
    fitted = calibrate([measured(seen, name, lambda device: target) for name, (seen, _) in tables.items()])
    for name, (_, unseen) in tables.items():
        models = (("roofline", bundled_constants()), ("analytical", bundled_constants()), ("analytical", fitted))
        print(f"{name:10}" + "".join(f"{errors_of(unseen, name, target, *model):>16}" for model in models))


def machine_of(found: Sequence[Measured]) -> Target:
    """A target of one core: its speed in products and convolutions, and of copies that no cache holds."""
    seconds = [1e-6 * float(own.row["latency_us"] or 0) for own in found]
    flops = max(own.case.flops / s for own, s in zip(found, seconds, strict=True) if own.case.family != "vector")
    moved = max(own.case.touched_bytes / s for own, s in zip(found, seconds, strict=True))
    return parse_target(MACHINE.format(flops_per_s=HEADROOM * flops, bytes_per_s=HEADROOM * moved))


def tables_of(found: Sequence[Measured]) -> dict[str, tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Each family's columns in two parts, two thirds of its layers and the others."""
    families = defaultdict(list)
    for own in found:
        families[own.case.family].append(own.row)
    tables = {}
    for name, rows in families.items():
        layers = [tuple(row[size] for size in SHAPE[name]) for row in rows]
        numbers = {layer: number for number, layer in enumerate(dict.fromkeys(layers))}
        held_out = np.array([numbers[layer] % 3 == 0 for layer in layers])
        columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
        columns = {
            key: column.astype(object) if column.dtype.kind == "U" else column for key, column in columns.items()
        }
        parts = [{key: column[which] for key, column in columns.items()} for which in (~held_out, held_out)]
        tables[name] = (parts[0], parts[1])
    return tables


def errors_of(columns: dict[str, np.ndarray], name: str, target: Target, model: str, constants: ConstantsFile) -> str:
    found = predict_table(columns, name, lambda device: target, ROW_MODELS[model], lambda device: constants)
    (score,) = scores_of(found)
    return f"{score.mape:.1f} / {score.median_ape:.1f}"


if __name__ == "__main__":
    main()
