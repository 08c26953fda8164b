"""Writes docs/language-models-published.md: whole language models as others timed them, beside what is predicted.

python -m benchmarks.language_models_published > docs/language-models-published.md
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import yaml

from benchmarks.language_model_rows import FOLDER, MOST_SEQUENCES, Row, Seconds, predicted, published_rows
from ircost.ir.errors import IrcError

FEWEST = 3  # rows that make a line of their own
APART = 1.05  # machines whose measured times differ by less are not put in order
WORST = 40
HEAD = """# Whole language models that others timed

Written by `python -m benchmarks.language_models_published > docs/language-models-published.md`.

`datasets/published/language_models.csv` has {rows} figures of {models} models on {machines} machines, alone and in
groups of up to 8, from {sources} [sources](#sources): pages of vendors, READMEs and pull requests. Nothing is fitted to
them. Each is a command, such as
`irc compile llama-3-8b --target rtx_3090 --dtype f16 --phase decode --batch 1 --context 256`.

*Ratio* is the time predicted over the time measured, the median of the rows in a line, and where eight of ten of them
lie: below 1 the prediction is too quick. *Inside*: rows whose measurement is in the interval of 90 % that the hybrid
gives; machines with nobody's constants have none. Kernels are those of the runtime where they are known (TensorRT-LLM,
vLLM, PyTorch), else nobody's in particular.

| phase | what the source timed | what is predicted |
|---|---|---|
| decode | tokens one by one behind a prompt, the mean of them | one step at the context that the middle token sees |
| prefill | a prompt, up to its first token | the pass |
| request | a static batch: all prompts, then all tokens | the pass and the steps behind it (`--output-tokens`) |
| saturated | a server that is never without requests | see below |

Of a saturated server nobody says how many sequences it runs. As many as memory holds are taken, {most:,} at most, each
in the middle of its answer: a token takes a step for all of them, and prompts come one by one in between.

Formats of llama.cpp are put as integers in groups with a scale of 16 bits, as many bits in all: `q8_0` 8.5, `q4_0` 4.5,
`q4_k_m` 5.0 (its own mean, with a wider head, is 4.8 to 4.9). `mxfp4 q8_0` is gpt-oss with its experts in MXFP4, all
else in `q8_0`. A head that is tied to the embedding cannot be narrow here, so no such model is among them.
"""
BY_RUNTIME = """
## By runtime

Runtimes that launch kernel by kernel, sample on the host or widen weights first are slower than the kernels that are
predicted, so a ratio of 0.65 to 0.9 is expected of them, and less of llama.cpp's prompts. More than 1 is not: nothing
runs faster than the best kernels.

| runtime | phase | weights | rows | machines | ratio | 10 to 90 % | inside |
|---|---|---|--:|--:|--:|--:|--:|"""
BY_MACHINE = """
## By machine

Furthest from 1 first; {fewest} rows and more.

| machine | runtime | phase | rows | ratio | 10 to 90 % | inside |
|---|---|---|--:|--:|--:|--:|"""
ORDER = """
## In the right order

The same figure of the same model under the same runtime on two machines: how many pairs whose measured times differ by
more than {apart:.0f} % are predicted in the order that was measured, and how far their quotient is off in the median.

| runtime | phase | pairs | in order | quotient off by |
|---|---|--:|--:|--:|"""
WORST_ROWS = """
## The worst

{count} rows of {rows}, by how far the ratio is from 1.

| machine | runtime | model | weights | figure | batch | prompt | output | measured | predicted | interval | ratio |
|---|---|---|---|---|--:|--:|--:|--:|--:|---|--:|"""
WHY = """
## What is behind the worst

As found when the rows were first compared:

- **L40S in groups of 8** (1.3 to 2.2): sums over a bus are a matter of the server, which nobody names. The one that
  the constants' tables have takes 10 to 14 ms for 32 MiB among four L40S, servers that
  [others published](published.md) 1.3 to 2.6, and so do we; TensorRT-LLM's of eight is better than most of those.
- **Cards without matrix units** (P40 0.9, P100 0.57): products of one row are sums in each lane, with no tile, as
  libraries have them; those of a few rows were measured to take a tile of 32.
- **gpt-oss on GeForce and GB10** (1.2 to 1.4): experts in MXFP4 at one token were measured on an L40S, with kernels
  that reach half of its memory's bandwidth; llama.cpp's reach more. On cards for servers both take as long.
- **Mistral and Falcon under TensorRT-LLM 0.9** (0.5 to 0.7): its kernels for few heads of keys were not enabled by
  default, and others read a cache again for each head of queries. Today's read it once.
- **llama.cpp's prompts** (0.3 to 0.6 on cards for servers): weights and activations are converted around products.
  Its products on an RTX 4080 (1.26) reach 109 TFLOP/s, more than the 97.5 of sums in 32 bits: they add up in 16.
- **llama.cpp on A100 and H100** (0.6 to 0.8): builds of 2023 and 2024 left half of these machines' bandwidth unused;
  on most other cards the same builds are within a tenth.
- **gpt-fast on A100** (1.05 to 1.18): its compiled products at one row are a tenth faster than those of vLLM, SGLang
  and TensorRT-LLM in the tables, and so are its sums over eight devices.
- **Llama-2-7B in FP8 with long contexts on H200, TensorRT-LLM 0.9** (1.2 to 1.3): its attention read a cache in FP8 at
  3.4 TB/s, that of the tables' version 1 at 2.7.
"""
SOURCES = """
## Sources

| source | rows | where | how it was timed | what is not sure |
|---|--:|---|---|---|"""


@dataclass(frozen=True)
class Compared:
    """A row beside its prediction."""

    row: Row
    seconds: Seconds

    @cached_property
    def ratio(self) -> float:
        return self.seconds.predicted / self.row.measured_s

    @property
    def is_inside(self) -> bool | None:
        low, high = self.seconds.low, self.seconds.high
        return None if low is None or high is None else low <= self.row.measured_s <= high


def main() -> None:
    rows = published_rows()
    with TemporaryDirectory() as folder:
        found = list(compared(rows, Path(folder)))
    counts = {name: len({getattr(row, name) for row in rows}) for name in ("source", "device", "model")}
    print(
        HEAD.format(
            rows=len(rows),
            models=counts["model"],
            machines=counts["device"],
            sources=counts["source"],
            most=MOST_SEQUENCES,
        ),
        end="",
    )
    print(BY_RUNTIME)
    for key, own in groups(found, lambda row: (row.framework, row.phase, row.weights)):
        machines = len({each.row.device for each in own})
        print(line((*key, len(own), machines), own))
    print(BY_MACHINE.format(fewest=FEWEST))
    by_machine = groups(found, lambda row: (row.device, row.framework, row.phase))
    for key, own in sorted(by_machine, key=lambda group: -abs(math.log(median(each.ratio for each in group[1])))):
        if len(own) >= FEWEST:
            print(line((*key, len(own)), own))
    print(ORDER.format(apart=100 * (APART - 1)))
    for key, own in groups(found, lambda row: (row.framework, row.phase)):
        print_order(key, list(pairs(own)))
    print(WORST_ROWS.format(count=WORST, rows=len(found)))
    for each in sorted(found, key=lambda each: -abs(math.log(each.ratio)))[:WORST]:
        print(worst_line(each))
    print(WHY, end="")
    print(SOURCES)
    for source, about in yaml.safe_load((FOLDER / "sources.yaml").read_text()).items():
        if own_rows := sum(row.source == source for row in rows):
            print(f"| {source} | {own_rows} | {about['at']} | {about['how']} | {about.get('doubt', '')} |")


def compared(rows: Iterable[Row], folder: Path) -> Iterator[Compared]:
    """Rows beside their predictions; what cannot be predicted is told on stderr, and left out."""
    for row in rows:
        try:
            yield Compared(row, predicted(row, folder))
        except IrcError as error:
            print(f"left out: {row}: {error.message}", file=sys.stderr)


def groups(
    found: Iterable[Compared], key: Callable[[Row], tuple[str, ...]]
) -> list[tuple[tuple[str, ...], list[Compared]]]:
    by: dict[tuple[str, ...], list[Compared]] = {}
    for each in found:
        by.setdefault(key(each.row), []).append(each)
    return sorted(by.items())


def line(head: Iterable[object], own: Sequence[Compared]) -> str:
    ratios = sorted(each.ratio for each in own)
    tenth = (len(ratios) - 1) // 10
    held = [each.is_inside for each in own if each.is_inside is not None]
    cells = [
        f"{median(ratios):.2f}",
        f"{ratios[tenth]:.2f} to {ratios[-1 - tenth]:.2f}",
        f"{100 * sum(held) / len(held):.0f} %" if held else "-",
    ]
    return f"| {' | '.join(map(str, (*head, *cells)))} |"


def pairs(own: Iterable[Compared]) -> Iterator[tuple[float, float]]:
    """Quotients of two machines in one question, as measured and as predicted; the slower machine first."""
    questions = groups(
        own, lambda row: tuple(map(str, (row.source, row.model, row.weights, row.figure, row.batch, row.count)))
    )
    for _, same in questions:
        for one, other in itertools.combinations(same, 2):
            if one.row.device == other.row.device or (one.row.prompt, one.row.output) != (
                other.row.prompt,
                other.row.output,
            ):
                continue
            slow, fast = (one, other) if one.row.measured_s >= other.row.measured_s else (other, one)
            if slow.row.measured_s / fast.row.measured_s > APART:
                yield (
                    slow.row.measured_s / fast.row.measured_s,
                    slow.seconds.predicted / fast.seconds.predicted,
                )


def print_order(key: tuple[str, ...], quotients: Sequence[tuple[float, float]]) -> None:
    if not quotients:
        return
    in_order = sum(predicted > 1 for _, predicted in quotients) / len(quotients)
    off = median(abs(math.log(predicted / measured)) for measured, predicted in quotients)
    cells = (*key, str(len(quotients)), f"{100 * in_order:.0f} %", f"{100 * math.expm1(off):.0f} %")
    print(f"| {' | '.join(cells)} |")


def worst_line(each: Compared) -> str:
    row, seconds = each.row, each.seconds
    device = row.device if row.count == 1 else f"{row.count} x {row.device}"
    ends = "-" if seconds.low is None or seconds.high is None else f"{ms(seconds.low)} to {ms(seconds.high)}"
    cells = [
        *(device, row.framework, row.model, row.weights, row.figure, str(row.batch or "full"), f"{row.prompt:,}"),
        *(f"{row.output:,}", ms(row.measured_s), ms(seconds.predicted), ends, f"{each.ratio:.2f}"),
    ]
    return f"| {' | '.join(cells)} |"


def ms(seconds: float) -> str:
    return f"{1e3 * seconds:,.3g} ms" if seconds < 1 else f"{seconds:,.3g} s"


if __name__ == "__main__":
    main()
