"""Lists GPUs that are predicted to be slower than one of their architecture that they are nowhere worse than.

    python -m benchmarks.inversions
    python -m benchmarks.inversions --model analytical --architecture ada blackwell_rtx

Every pair of one architecture is looked at where the first is at least as good as the second in each figure of the two
target files: peaks, processors, clock, memories, power. Both are asked for the same kernels of a few networks. Exits
with 1 where a pair is out of order. It takes some three minutes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.language_model_rows import checkpoint
from ircost.backends import Target, load_target
from ircost.backends.target_files import target_names
from ircost.cost_models.automatic import chosen_model
from ircost.cost_models.kernel_table import KernelTable, kernel_table
from ircost.costing import totals_of
from ircost.datasets.make_resnet50 import PATH as RESNET50
from ircost.frontends import ImportOptions, load
from ircost.ir.errors import IrcError
from ircost.ir.graph import Module
from ircost.model_source import model_file
from ircost.passes import DEFAULT_LEVEL, PassContext, parse_pipeline, pipeline_of_level, run_pipeline

SLOWER = 1.03  # times as long: less is no matter of order
ROUNDED = 0.01  # figures of one chip that data sheets round one way or the other


@dataclass(frozen=True, slots=True)
class Workload:
    """Args:
    model: as of ``irc compile``. weights: their format, a name in ``WEIGHTS``, of a configuration. dtype: that all
        is converted to, of other models.
    """

    name: str
    model: str
    dims: Mapping[str, int]
    phase: str = ""
    weights: str = ""
    dtype: str = ""

    def module(self, target: Target, folder: Path) -> Module:
        path = checkpoint(self.model, self.weights, folder) if self.weights else model_file(self.model)
        module = load(path, ImportOptions(dims=self.dims, phase=self.phase)).module
        convert = f"convert-dtype{{to={self.dtype}}}," if self.dtype else ""
        passes = parse_pipeline(convert + pipeline_of_level(DEFAULT_LEVEL, target.kind, target.runtime))
        run_pipeline(
            module, passes, context=PassContext(target=target, cost_model=chosen_model("auto", target).for_search)
        )
        return module


LLAMA, BERT, RESNET = "llama-3-8b", "bert-base-uncased", str(RESNET50)
WORKLOADS = (
    Workload("Llama-3-8B prompt", LLAMA, {"batch": 1, "seq": 1024}, "prefill", "f16"),
    Workload("Llama-3-8B decode", LLAMA, {"batch": 1, "context": 1024}, "decode", "f16"),
    Workload("Llama-3-8B decode, 16 at once", LLAMA, {"batch": 16, "context": 1024}, "decode", "f16"),
    Workload("Llama-3-8B decode in int4", LLAMA, {"batch": 1, "context": 1024}, "decode", "int4 g128"),
    Workload("BERT-base", BERT, {"batch": 8, "seq": 128}, "encode", "f16"),
    Workload("ResNet-50, 1 image", RESNET, {"N": 1}, dtype="f16"),
    Workload("ResNet-50, 64 images", RESNET, {"N": 64}, dtype="f16"),
)


@dataclass(frozen=True, slots=True)
class Inversion:
    """A machine that takes longer than one that it is nowhere worse than."""

    workload: str
    better: str
    worse: str
    better_s: float
    worse_s: float

    @property
    def times(self) -> float:
        return self.better_s / self.worse_s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="auto", help="cost model")
    parser.add_argument("--architecture", nargs="*", help="these alone")
    parser.add_argument("--targets", nargs="*", default=(), help="folders with more target files")
    own = parser.parse_args()
    machines = [load_target(name, own.targets) for name in target_names(own.targets)]
    gpus = [target for target in machines if target.kind == "gpu"]
    found: list[Inversion] = []
    pairs = 0
    for architecture in sorted({target.architecture for target in gpus} & set(own.architecture or gpus_of(gpus))):
        alike = [target for target in gpus if target.architecture == architecture]
        ordered = [(one, other) for one, other in permutations(alike, 2) if is_nowhere_worse(one, other)]
        pairs += len(ordered)
        found += inversions(ordered, own.model)
    for item in sorted(found, key=lambda item: -item.times):
        print(
            f"{item.times:5.2f}  {item.better:24} {item.better_s * 1e3:9.3f} ms  "
            f"{item.worse:24} {item.worse_s * 1e3:9.3f} ms  {item.workload}"
        )
    print(f"{len(found)} of {pairs * len(WORKLOADS)} comparisons out of order, {pairs} pairs")
    return int(bool(found))


def gpus_of(gpus: Sequence[Target]) -> set[str]:
    return {target.architecture for target in gpus}


def inversions(pairs: Sequence[tuple[Target, Target]], cost_model: str) -> Iterator[Inversion]:
    """Of pairs of one architecture, the better first."""
    machines = {target.name: target for pair in pairs for target in pair}
    if not machines:
        return
    first = machines[min(machines)]
    with TemporaryDirectory() as folder:
        for workload in WORKLOADS:
            module = workload.module(first, Path(folder))
            seconds = seconds_of(module, kernel_table(module), machines, cost_model)
            for better, worse in pairs:
                if better.name in seconds and worse.name in seconds:
                    item = Inversion(workload.name, better.name, worse.name, seconds[better.name], seconds[worse.name])
                    if item.times > SLOWER:
                        yield item


def seconds_of(module: Module, table: KernelTable, machines: Mapping[str, Target], cost_model: str) -> dict[str, float]:
    """Of those machines that can compute it."""
    found = {}
    for name, target in machines.items():
        try:
            found[name] = totals_of(module, table, chosen_model(cost_model, target), target).latency_s
        except IrcError as error:
            print(f"{name}: {error}", file=sys.stderr)
    return found


def is_nowhere_worse(one: Target, other: Target) -> bool:
    """Whether each figure of a target is at least as good as another's, as far as figures are rounded."""
    mine, theirs = figures(one), figures(other)
    return all(mine.get(name, 0.0) >= figure * (1 - ROUNDED) for name, figure in theirs.items())


def figures(target: Target) -> dict[str, float]:
    """What makes a machine faster, the more the better, by name."""
    boost = target.processors.boost
    found = {
        "processors": float(target.processors.count),
        "clock": float(target.processors.clock_hz) * boost,
        "power": float(target.power.peak_w),
        "launches": 1 / float(target.launch_overhead_s),
        "special": float(target.special_per_s or 0.0) * boost,
        "block_scaled": float(target.block_scaled or 1.0),
    }
    for unit, peaks in (("matrix", target.matrix), ("vector", target.vector)):
        found |= {f"{unit}.{dtype}": float(peak) * boost for dtype, peak in peaks.items()}
    for place, level in enumerate(target.memory):
        faster = boost if place else 1.0
        name = level.name if place else "main memory"
        found |= {f"{name} capacity": float(level.capacity_bytes)}
        found |= {f"{name} bandwidth": float(level.bandwidth_bytes_per_s) * faster}
    return found


if __name__ == "__main__":
    sys.exit(main())
