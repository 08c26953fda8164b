"""Writes the table of our figures beside the plain roofline: ResNet-50, BERT-base, a block of Llama.

    python -m benchmarks.compile_examples > docs/compile-examples.md

ResNet-50 is the file in this repository; the others are built from their sizes, without values of weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import ircost
from ircost.datasets.transformers import Transformer, transformer
from ircost.quantity_text import small_text
from ircost.report import Report
from ircost.report_text import bound_text

ROOT = Path(__file__).resolve().parents[1]
TARGETS = ("h100_sxm", "a100_sxm_80gb", "l40s")
HEAD = """# Compile examples

Written by `python -m benchmarks.compile_examples > docs/compile-examples.md`. All in f16, weights cold, kernels one
after another, nobody's runtime in particular; `irc explain MODEL --target T` opens each figure. *At best* is what no
run can beat, *roofline* what data-sheet rates and the launch floor allow, *ircost* what `irc compile` says, and 90 % of
runs beside it. *Launch* and *steps* are the shares of that latency in kernels that are bound by their start, or by
steps that wait for each other.

| model | target | kernels | at best | roofline | ircost | 90 % of runs | ratio | bound by | launch | steps |
|---|---|--:|--:|--:|--:|---|--:|---|--:|--:|"""


BERT = Transformer(batch=1, rows=128, context=128, hidden=768, heads=12, kv_heads=12, inner=3072, layers=12)
LLAMA = Transformer(batch=1, rows=512, context=512, hidden=4096, heads=32, kv_heads=8, inner=14336, layers=1)
LLAMA_DECODE = Transformer(batch=8, rows=1, context=4096, hidden=4096, heads=32, kv_heads=8, inner=14336, layers=1)


def main() -> None:
    print(HEAD)
    for name, model in examples():
        for target in TARGETS:
            print(row(name, model, target))


def examples() -> Iterator[tuple[str, Path | Transformer]]:
    yield "ResNet-50, batch 1", ROOT / "datasets/models/resnet50.onnx"
    yield "BERT-base, 1 x 128 tokens", BERT
    yield "Llama 3 8B, one block, prefill of 512 tokens", LLAMA
    yield "Llama 3 8B, one block, decode of 8 x 1 token at 4,096", LLAMA_DECODE


def row(name: str, model: Path | Transformer, target: str) -> str:
    ours, plain = (compiled(model, target, cost_model) for cost_model in ("auto", "roofline"))
    ends = " to ".join(small_text(end, "s") for end in (ours.low_s, ours.high_s) if end is not None)
    bounds = ", ".join(f"{bound_text(b)} {share:.0%}" for b, share in list(ours.bound_shares.items())[:2])
    cells = [
        *(name, target, len(ours.kernels), small_text(ours.lower_bound_s, "s"), small_text(plain.latency_s, "s")),
        *(small_text(ours.latency_s, "s"), ends, f"{ours.latency_s / plain.latency_s:.1f}", bounds),
        *(f"{ours.bound_shares.get(bound, 0.0):.0%}" for bound in ("launch", "steps")),
    ]
    return f"| {' | '.join(map(str, cells))} |"


def compiled(model: Path | Transformer, target: str, cost_model: str) -> Report:
    if isinstance(model, Path):
        return ircost.compile(model, target=target, dtype="f16", cost_model=cost_model)
    return ircost.compile(transformer(model), target=target, cost_model=cost_model)


if __name__ == "__main__":
    main()
