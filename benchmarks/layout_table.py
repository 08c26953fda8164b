"""Transposes of models before and after the `layout` pass: how many, bytes that they move, predicted latency.

    python -m benchmarks.layout_table DIR [TARGET]

DIR holds models and their index, as ``tests/zoo.py`` reads them. Prints a Markdown table.
"""

from __future__ import annotations

import sys

from ircost.backends import load_target
from ircost.cost_models.automatic import search_model
from ircost.cost_models.kernel_table import kernel_table
from ircost.frontends import load
from ircost.ir import Module
from ircost.passes import PassContext, run_pipeline
from tests.zoo import ZooModel, zoo_models

BEFORE = "canonicalize,recognise,fold-batch-norm"


def transposed(module: Module) -> tuple[int, float]:
    """Transposes that run, and megabytes that they read and write in one run of the model."""
    table = kernel_table(module)
    found = [(run.count, run.op) for run in table.runs if run.op.name == "transpose"]
    return sum(count for count, _ in found), sum(2 * count * op.result.type.size_bytes for count, op in found) / 1e6


def latency_s(module: Module, target: str) -> float:
    machine = load_target(target)
    table = kernel_table(module)
    estimates = search_model(machine).estimate(table, machine)
    return float(sum(estimates.latency_s[run.row] * run.count for run in table.runs))


def row(model: ZooModel, target: str) -> str:
    figures = []
    for extra in ("", ",layout"):
        module = load(model.path, model.options).module
        machine = load_target(target)
        context = PassContext(machine, search_model(machine))
        run_pipeline(module, BEFORE + extra, context=context)
        count, moved = transposed(module)
        run_pipeline(module, "fuse", context=context)
        figures.append((count, moved, latency_s(module, target) * 1e6))
    (before, moved, slow), (after, still, fast) = figures
    change = f"{before} -> {after} | {moved:.2f} -> {still:.2f} | {slow:.1f} -> {fast:.1f}"
    return f"| {model.name} | {change} | {fast / slow - 1:+.1%} |"


def main() -> None:
    target = sys.argv[2] if len(sys.argv) > 2 else "h100_sxm"
    print("| model | transposes | MB moved by them | us predicted | |\n|---|---|---|---|---|")
    for model in zoo_models(sys.argv[1]):
        try:
            print(row(model, target), flush=True)
        except Exception as error:  # one model that cannot be read is no reason to print no other
            print(f"| {model.name} | {type(error).__name__}: {str(error).splitlines()[0][:80]} |", flush=True)


if __name__ == "__main__":
    main()
