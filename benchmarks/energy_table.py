"""The section of docs/llm-examples.md on energy: joules and seconds per output token, as measured and as predicted.

    python -m benchmarks.energy_table energy_llm.parquet

The table of measured servers is not part of the package; its columns are told in its own README.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from statistics import median

import pandas as pd

from benchmarks.serving_table import architecture_with
from ircost.backends import load_target
from ircost.cost_models.automatic import chosen_model
from ircost.frontends import ImportOptions
from ircost.ir.errors import IrcError
from ircost.passes import DEFAULT_LEVEL, pipeline_of_level
from ircost.sweep import sweep

TARGET = "h100_sxm+vllm"
TASKS = ("gpqa", "lm-arena-chat")  # text in, text out, prompts short beside answers
HEAD = f"""
## Energy

Energy and time between tokens of vLLM servers in steady state (ML.ENERGY benchmark, H100, power by NVML over all GPUs),
against the decode pass of `{TARGET}` at the mean number of sequences, the context half of the mean answer: 16-bit
weights, or those of the model's own configuration.

| model | ranks | rows | energy: bias | error | time: bias | error |
|---|--:|--:|--:|--:|--:|--:|"""
FOOT = """
**Predicted energy is far too low**: a fifth to two fifths of what is drawn. It is operations and bytes of main memory
at published figures for each (`irc targets h100` marks them as guesses) plus idle power; what caches, wires, clocks and
leakage under load take is not in it, and nothing of it is fitted. Rank by it with care, and do not read it as watts.

Times are short of the measured ones by what servers do between steps, most where steps are short (the 8B models), and
by prompts. Why gpt-oss on one rank is predicted too slow is not known."""


def section(path: str) -> str:
    return "\n".join([HEAD, *table_rows(path), FOOT])


def table_rows(path: str) -> Iterator[str]:
    table = pd.read_parquet(path)
    table = table[(table["data_parallel"] == 1) & (table["expert_parallel"] == 1) & table["task"].isin(TASKS)]
    for (model, ranks), rows in table.groupby(["model", "tensor_parallel"], observed=True):
        try:
            logs = [logs_of(str(model), int(ranks), row) for row in rows.itertuples()]
        except IrcError as error:
            print(f"left out: {model}: {error.message}", file=sys.stderr)
            continue
        cells = [text for column in zip(*logs, strict=True) for text in bias_and_error(column)]
        yield f"| {' | '.join((str(model), str(ranks), str(len(logs)), *cells))} |"


def logs_of(model: str, ranks: int, row: object) -> tuple[float, float]:
    """log(predicted / measured) of energy per token and of the time between tokens.

    Raises:
        IrcError: the model is not bundled, or cannot be split so.
    """
    target = load_target(TARGET)
    options = ImportOptions(
        dims={"context": max(round(row.avg_output_len / 2), 1)},  # type: ignore[attr-defined]
        phase="decode",
        mesh=f"tp={ranks}",
    )
    batches = {"batch": (max(round(row.avg_batch_size), 1),)}  # type: ignore[attr-defined]
    pipeline, cost_model = pipeline_of_level(DEFAULT_LEVEL, target.kind), chosen_model("auto", target)
    (point,) = sweep(architecture_with(model, ""), options, batches, target, cost_model, pipeline).points
    return (
        math.log(1.0 / point.items_per_j / row.energy_per_token_joules),  # type: ignore[attr-defined]
        math.log(point.latency_s / (row.median_itl_ms / 1e3)),  # type: ignore[attr-defined]
    )


def bias_and_error(logs: tuple[float, ...]) -> tuple[str, str]:
    return f"{100 * math.expm1(median(logs)):+.0f} %", f"{100 * median(abs(math.expm1(log)) for log in logs):.0f} %"


if __name__ == "__main__":
    print(section(sys.argv[1]))
