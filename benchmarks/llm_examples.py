"""Writes the table of the reference question: known language models, one pass each, beside what silicon measured.

python -m benchmarks.llm_examples serving.parquet > docs/llm-examples.md
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import ircost
from benchmarks import serving_table
from ircost.quantity_text import three_digits

ENERGY = "\nJoules for each token of measured servers: [energy](energy.md#results)."
RUNTIMES = ("", "+vllm", "+sglang", "+trtllm")
HEAD = """# Language models, one pass

Written by `python -m benchmarks.llm_examples serving.parquet > docs/llm-examples.md`; each row
of the first table is one command, such as
`irc compile llama-2-7b --dtype f16 --phase decode --batch 32 --context 2048 --target h100_sxm+vllm`.

16-bit weights and cache. *At best* is what no run can beat by the data sheet; *roofline* adds the launch floor and
takes each kernel at its data-sheet limit; the next columns are what `irc compile` says, with nobody's runtime in
particular and with the kernels of three. *Silicon* is the range over three runtimes that tables of whole models
measured.

| model | target | pass | at best | roofline | ircost | vllm | sglang | trtllm | silicon |
|---|---|---|--:|--:|--:|--:|--:|--:|--:|"""
FOOT = """
Nothing here is fitted to these cells: constants come from tables of single kernels, and the passes are sums of those.
What is left out: sampling, the scheduler, and gaps between kernels beyond those of a replayed graph.

Why a roofline is too quick: products reach 70 to 90 % of the peak and of main memory's bandwidth, not all of it; small
kernels (norms, rotations, gates) take a few microseconds each and layers have several; with eight devices each layer
waits for two sums over the links, which are bound by latency, not by bandwidth. `irc explain` opens each figure.

With nobody's runtime in particular all seven passes are inside the range. By their own tables TensorRT-LLM's prompt on
the H100 and SGLang's on the A100 come out above it, by 1 and 4 %: the A100's large products differ by a seventh between
the runtimes' tables (241 to 275 TFLOP/s)."""


@dataclass(frozen=True, slots=True)
class Question:
    """One pass, and the range that silicon took for it, in ms."""

    model: str
    target: str
    words: str
    options: dict[str, object]
    silicon_ms: tuple[float, float]


def question(model: str, target: str, words: str, low: float, high: float, **options: object) -> Question:
    return Question(model, target, words, options, (low, high))


PREFILL = {"phase": "prefill", "dims": {"batch": 1, "seq": 2048}}
DECODE = {"phase": "decode", "dims": {"batch": 1, "context": 2048}}
DECODE_32 = {"phase": "decode", "dims": {"batch": 32, "context": 2048}}
QUESTIONS = (
    question("llama-2-7b", "h100_sxm", "prefill of 2,048 tokens", 40.5, 42.4, **PREFILL),
    question("llama-2-7b", "h100_sxm", "decode, batch 1, context 2,048", 5.9, 6.8, **DECODE),
    question("llama-2-7b", "h100_sxm", "decode, batch 32, context 2,048", 17.0, 18.5, **DECODE_32),
    question(
        *("llama-3-70b", "h100_sxm", "tp=8, decode, batch 32, context 4,096", 12.5, 14.5),
        phase="decode",
        mesh="tp=8",
        dims={"batch": 32, "context": 4096},
    ),
    question("llama-2-7b", "a100_sxm_80gb", "prefill of 2,048 tokens", 118, 122, **PREFILL),
    question("llama-2-7b", "a100_sxm_80gb", "decode, batch 1, context 2,048", 10.7, 16.2, **DECODE),
    question("llama-2-7b", "a100_sxm_80gb", "decode, batch 32, context 2,048", 30, 39, **DECODE_32),
)


def main() -> None:
    print(HEAD)
    for asked in QUESTIONS:
        print(row(asked))
    print(FOOT)
    print(serving_table.section(sys.argv[1]))
    print(ENERGY)


def row(asked: Question) -> str:
    reports = [compiled(asked, asked.target + runtime) for runtime in RUNTIMES]
    roofline = compiled(asked, asked.target, cost_model="roofline")
    low, high = asked.silicon_ms
    cells = [
        *(asked.model, asked.target, asked.words),
        *(three_digits(1e3 * s) for s in (reports[0].lower_bound_s, roofline.latency_s)),
        *(three_digits(1e3 * report.latency_s) for report in reports),
        f"{low:g} to {high:g}",
    ]
    return f"| {' | '.join(cells)} |"


def compiled(asked: Question, target: str, **options: object) -> ircost.Report:
    return ircost.compile(asked.model, target=target, dtype="f16", **asked.options, **options)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
