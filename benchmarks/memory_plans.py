"""Writes the table of memory plans: arena, lower bound, and what onnxruntime's arena grows to.

    python -m benchmarks.memory_plans DIR

DIR holds models with their indexes, as for `pytest --zoo`. The table goes into docs/memory.md by `--write`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from zoo import zoo_models

from ircost.api import DEFAULT_PIPELINE
from ircost.cost_models.allocation import allocate
from ircost.cost_models.liveness import lifetimes
from ircost.frontends import ImportOptions, load
from ircost.ir.verify import verify
from ircost.passes import run_pipeline

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/memory.md"
RESNET = ROOT / "datasets/models/resnet50.onnx"
BEGIN, END = "<!-- table: benchmarks/memory_plans.py -->", "<!-- end of table -->"
HEAD = """\
| model | ops | inputs KiB | arena KiB | bound KiB | gap | ordered KiB | ms | onnxruntime KiB | ours / theirs |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"""
NEAR = 0.05
KIB = 1024
EXTENDED = re.compile(r"Extended allocation by (\d+) bytes")
FIRST_RUN, SECOND_RUN = "== first run", "== second run"


@dataclass(frozen=True, slots=True)
class Row:
    """One model; bytes.

    Args:
        inputs: part of the arena that the caller's inputs are. ordered: the arena after `order-for-memory`.
        plan_s: of liveness and allocation. theirs: onnxruntime's arena, which holds no inputs; None: not measured.
    """

    name: str
    ops: int
    inputs: int
    arena: int
    bound: int
    ordered: int
    plan_s: float
    theirs: int | None

    def cells(self) -> list[str]:
        gap = self.arena / self.bound - 1 if self.bound else 0.0
        ratio = f"{(self.arena - self.inputs) / self.theirs:.2f}" if self.theirs else "-"
        theirs = f"{self.theirs / KIB:,.0f}" if self.theirs else "-"
        sizes = [f"{size / KIB:,.0f}" for size in (self.inputs, self.arena, self.bound)]
        return [
            *(self.name, str(self.ops), *sizes, f"{gap:.1%}"),
            *(f"{self.ordered / KIB:,.0f}", f"{1000 * self.plan_s:.0f}", theirs, ratio),
        ]


def main(folder: str, write: bool) -> None:
    rows = list(planned(folder))
    near = sum(row.arena <= row.bound * (1 + NEAR) for row in rows)
    table = [HEAD, *(f"| {' | '.join(row.cells())} |" for row in rows)]
    table += ["", f"Within {NEAR:.0%} of the lower bound: {near} of {len(rows)} models, {near / len(rows):.0%}."]
    print("\n".join(table))
    if write:
        page = PAGE.read_text()
        head, tail = page.split(BEGIN)[0], page.split(END)[1]
        PAGE.write_text("\n".join([head + BEGIN, *table, END]) + tail)


def planned(folder: str) -> Iterator[Row]:
    for model in zoo_models(folder):
        yield row(model.name, model.path, model.options, folder)
    yield row("resnet50", RESNET, ImportOptions(), None)


def row(name: str, path: Path, options: ImportOptions, folder: str | None) -> Row:
    module = load(path, options).module
    verify(module)
    run_pipeline(module, DEFAULT_PIPELINE)
    start = time.perf_counter()
    lived = lifetimes(module)
    plan = allocate(lived)
    plan_s = time.perf_counter() - start
    inputs = sum(argument.type.size_bytes for argument in module.main.arguments)
    run_pipeline(module, "order-for-memory")
    ordered = allocate(lifetimes(module)).arena_bytes
    theirs = onnxruntime_arena(folder, name) if folder else None
    return Row(name, len(lived.ops), inputs, plan.arena_bytes, plan.lower_bound_bytes, ordered, plan_s, theirs)


def onnxruntime_arena(folder: str, name: str) -> int | None:
    """Bytes by which its CPU arena grows in the first run, from its own log; weights are reserved before."""
    command = [sys.executable, "-m", "benchmarks.memory_plans", folder, "--run", name]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    if done.returncode or FIRST_RUN not in done.stderr:
        return None
    log = done.stderr.split(FIRST_RUN)[1].split(SECOND_RUN)[0]
    return sum(map(int, EXTENDED.findall(log)))


def run_onnxruntime(folder: str, name: str) -> None:
    """Two runs, with a verbose log; the arena grows by what is asked for, not to the next power of two."""
    import onnxruntime

    (model,) = [model for model in zoo_models(folder) if model.name == name]
    onnxruntime.set_default_logger_severity(0)
    place = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    arena = onnxruntime.OrtArenaCfg({"max_mem": 0, "arena_extend_strategy": 1})
    onnxruntime.create_and_register_allocator(place, arena)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    session = onnxruntime.InferenceSession(str(model.path), options, providers=["CPUExecutionProvider"])
    for mark in (FIRST_RUN, SECOND_RUN):
        print(mark, file=sys.stderr, flush=True)
        session.run(None, model.feeds())


if __name__ == "__main__":
    if "--run" in sys.argv:
        run_onnxruntime(sys.argv[1], sys.argv[-1])
    else:
        main(sys.argv[1], "--write" in sys.argv)
