"""Writes the table of memory plans: arena, lower bound, what onnxruntime's arena grows to, and onnx-tool's plan.

    python -m benchmarks.memory_plans DIR... --onnx-tool PYTHON

Each DIR holds models with their indexes, as for `pytest --zoo`; PYTHON is an interpreter that has onnx-tool. The table
goes into docs/memory.md by `--write`.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
from zoo import ZooModel, zoo_models

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
COLUMNS = ("model", "ops", "inputs KiB", "arena KiB", "bound KiB", "gap", "ordered KiB", "ms")
OTHERS = ("onnxruntime KiB", "ours / its", "onnx-tool KiB", "ours / its")
HEAD = f"| {' | '.join((*COLUMNS, *OTHERS))} |\n|---|{'--:|' * (len(COLUMNS) + len(OTHERS) - 1)}"
PLAN_SECONDS = 300  # for onnx-tool, on one model
NEAR = 0.05
KIB = 1024
EXTENDED = re.compile(r"Extended allocation by (\d+) bytes")
FIRST_RUN, SECOND_RUN = "== first run", "== second run"


@dataclass(frozen=True, slots=True)
class Row:
    """One model; bytes.

    Args:
        inputs: part of the arena that the caller's inputs are. ordered: the arena after `order-for-memory`.
        plan_s: of liveness and allocation. onnxruntime: its arena, which holds no inputs; None: not measured.
        onnx_tool: its plan, inputs included. None: not asked.
    """

    name: str
    ops: int
    inputs: int
    arena: int
    bound: int
    ordered: int
    plan_s: float
    onnxruntime: int | None
    onnx_tool: ToolPlan | None

    def cells(self) -> list[str]:
        gap = self.arena / self.bound - 1 if self.bound else 0.0
        sizes = [f"{size / KIB:,.0f}" for size in (self.inputs, self.arena, self.bound)]
        tool = self.onnx_tool.size if self.onnx_tool else None
        mark = " (wrong)" if self.onnx_tool and self.onnx_tool.is_wrong else ""
        error = "error" if self.onnx_tool and tool is None else "-"
        return [
            *(self.name, str(self.ops), *sizes, f"{gap:.1%}"),
            *(f"{self.ordered / KIB:,.0f}", f"{1000 * self.plan_s:.0f}"),
            *beside(self.arena - self.inputs, self.onnxruntime),
            *((f"{tool / KIB:,.0f}{mark}", f"{self.arena / tool:.2f}") if tool else (error, "-")),
        ]


@dataclass(frozen=True, slots=True)
class ToolPlan:
    """What onnx-tool says.

    Args:
        size: bytes of its plan; None where it stopped with an error.
        is_wrong: its own check found tensors that overlap or are missing.
    """

    size: int | None
    is_wrong: bool = False


def beside(ours: int, theirs: int | None) -> tuple[str, str]:
    return (f"{theirs / KIB:,.0f}", f"{ours / theirs:.2f}") if theirs else ("-", "-")


def main(folders: Sequence[str], tool: str | None, write: bool) -> None:
    rows = list(planned(folders, tool))
    near = sum(row.arena <= row.bound * (1 + NEAR) for row in rows)
    table = [HEAD, *(f"| {' | '.join(row.cells())} |" for row in rows)]
    table += ["", f"Within {NEAR:.0%} of the lower bound: {near} of {len(rows)} models, {near / len(rows):.0%}."]
    table += [against("onnxruntime", [(row.arena - row.inputs, row.onnxruntime) for row in rows])]
    asked = [row for row in rows if row.onnx_tool]
    if asked:
        plans = [row.onnx_tool for row in asked if row.onnx_tool]
        failed, wrong = sum(plan.size is None for plan in plans), sum(plan.is_wrong for plan in plans)
        table += [against("onnx-tool", [(row.arena, row.onnx_tool.size) for row in asked if row.onnx_tool])]
        errors = f"onnx-tool stops with an error on {failed} of {len(plans)} models"
        table += [f"{errors}; its own check finds {wrong} plans wrong."]
    print("\n".join(table))
    if write:
        page = PAGE.read_text()
        head, tail = page.split(BEGIN)[0], page.split(END)[1]
        PAGE.write_text("\n".join([head + BEGIN, *table, END]) + tail)


def against(name: str, pairs: Sequence[tuple[int, int | None]]) -> str:
    """The geometric mean of ours over theirs, and where ours is larger."""
    ratios = [ours / theirs for ours, theirs in pairs if theirs]
    larger = sum(ratio > 1 for ratio in ratios)
    mean = float(np.exp(np.mean(np.log(ratios)))) if ratios else float("nan")
    return f"Ours over that of {name}: {mean:.2f} in the geometric mean of {len(ratios)} models; larger on {larger}."


def planned(folders: Sequence[str], tool: str | None) -> Iterator[Row]:
    for folder in folders:
        for model in zoo_models(folder):
            plan = onnx_tool_plan(model, tool) if tool else None
            yield row(model.name, model.path, model.options, onnxruntime_arena(folder, model.name), plan)
    yield row("resnet50 (bundled)", RESNET, ImportOptions(), None, None)


def row(name: str, path: Path, options: ImportOptions, arena: int | None, tool_plan: ToolPlan | None) -> Row:
    module = load(path, options).module
    verify(module)
    run_pipeline(module, DEFAULT_PIPELINE)
    start = time.process_time()
    lived = lifetimes(module)
    plan = allocate(lived)
    plan_s = time.process_time() - start
    inputs = sum(argument.type.size_bytes for argument in module.main.arguments)
    run_pipeline(module, "order-for-memory")
    ordered = allocate(lifetimes(module)).arena_bytes
    sizes = (inputs, plan.arena_bytes, plan.lower_bound_bytes, ordered)
    return Row(name, len(lived.ops), *sizes, plan_s, arena, tool_plan)


def onnx_tool_plan(model: ZooModel, python: str) -> ToolPlan:
    """By another interpreter, since onnx-tool asks for versions of its own."""
    with tempfile.NamedTemporaryFile(suffix=".npz") as feeds:
        np.savez(feeds.name, **model.feeds())  # type: ignore[arg-type]
        command = [python, str(ROOT / "benchmarks/onnx_tool_plan.py"), str(model.path), feeds.name]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PLAN_SECONDS)
        except subprocess.TimeoutExpired:
            return ToolPlan(None)
    if done.returncode:
        return ToolPlan(None)
    told = json.loads(done.stdout.strip().splitlines()[-1])
    return ToolPlan(told["bytes"], told["warnings"] > 0)


def onnxruntime_arena(folder: str, name: str) -> int | None:
    """Bytes by which its CPU arena grows in the first run, from its own log; weights are reserved before."""
    command = [sys.executable, "-m", "benchmarks.memory_plans", folder, "--run", name]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--onnx-tool", metavar="PYTHON")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--run", metavar="MODEL", help="run onnxruntime once on one model, for its log")
    given = parser.parse_args()
    if given.run:
        run_onnxruntime(given.folders[0], given.run)
    else:
        main(given.folders, given.onnx_tool, given.write)
