"""Measured servers against the decode pass: watts, seconds and joules for each output token."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import pandas as pd

from benchmarks.serving_table import architecture_with
from ircost.backends import load_target
from ircost.cost_models.automatic import chosen_model
from ircost.frontends import ImportOptions
from ircost.ir.errors import IrcError
from ircost.passes import DEFAULT_LEVEL, pipeline_of_level
from ircost.sweeping import sweep

TARGET = "h100_sxm+vllm"
TASKS = ("gpqa", "lm-arena-chat")  # text in, text out, prompts short beside answers
# Checkpoints of one architecture, by the bundled one's name.
SAME_AS = {
    **dict.fromkeys(("Qwen/Qwen3-30B-A3B-Instruct-2507", "Qwen/Qwen3-30B-A3B-Thinking-2507"), "qwen3-30b-a3b"),
    "meta-llama/Llama-3.1-405B-Instruct-FP8": "llama-3.1-405b",
}


@dataclass(frozen=True, slots=True)
class ServerRow:
    """A server in steady state; one device's power, and what a step gives.

    Args:
        logits: of one step: sequences times the vocabulary.
        step_s, energy_j: of the decode pass as predicted; of one device.
        measured_s, measured_w: time between tokens, mean power of one device.
        tokens, ranks: of a step; devices. measured_j: of a token, of all devices.
    """

    model: str
    ranks: int
    logits: float
    step_s: float
    energy_j: float
    tokens: float
    measured_s: float
    measured_w: float
    measured_j: float

    @property
    def watts(self) -> float:
        return self.energy_j / self.step_s

    def logs(self, s_per_logit: float) -> tuple[float, ...]:
        """ln(predicted / measured) of power, time and energy of the pass, and of time and energy with what samples."""
        longer = 1.0 + s_per_logit * self.logits / self.step_s
        token_j = self.energy_j * self.ranks / self.tokens
        return (
            math.log(self.watts / self.measured_w),
            math.log(self.step_s / self.measured_s),
            math.log(token_j / self.measured_j),
            math.log(self.step_s * longer / self.measured_s),
            math.log(token_j * longer / self.measured_j),
        )


def server_rows(path: str) -> list[ServerRow]:
    table = pd.read_parquet(path)
    table = table[(table["data_parallel"] == 1) & (table["expert_parallel"] == 1) & table["task"].isin(TASKS)]
    found = []
    for (model, ranks), rows in table.groupby(["model", "tensor_parallel"], observed=True):
        try:
            found += [_row(str(model), int(ranks), row) for row in rows.itertuples()]
        except IrcError as error:
            print(f"left out: {model}: {error.message}", file=sys.stderr)
    return found


def _row(model: str, ranks: int, row: object) -> ServerRow:
    """Raises:
    IrcError: the model is not bundled, or cannot be split so.
    """
    target = load_target(TARGET)
    options = ImportOptions(
        dims={"context": max(round(row.avg_output_len / 2), 1)},  # type: ignore[attr-defined]
        phase="decode",
        mesh=f"tp={ranks}",
    )
    sequences = max(round(row.avg_batch_size), 1)  # type: ignore[attr-defined]
    weights = "fp8" if str(row.dtype) == "fp8" else ""  # type: ignore[attr-defined]
    architecture = architecture_with(SAME_AS.get(model, model), weights)
    assert architecture.head is not None, "language models end in logits"
    pipeline, cost_model = pipeline_of_level(DEFAULT_LEVEL, target.kind), chosen_model("auto", target)
    (point,) = sweep(architecture, options, {"batch": (sequences,)}, target, cost_model, pipeline).points
    return ServerRow(
        *(model, ranks, float(sequences * architecture.head.vocabulary), point.latency_s, point.energy_j, sequences),
        row.median_itl_ms / 1e3,  # type: ignore[attr-defined]
        row.avg_power_w / row.num_gpus,  # type: ignore[attr-defined]
        row.energy_per_token_joules,  # type: ignore[attr-defined]
    )


def sampling_s_per_logit(rows: Sequence[ServerRow]) -> float:
    """The time that each logit adds to a step, with the least median error of the time between tokens."""

    def error(added_s: float) -> float:
        return median(abs(row.logs(added_s)[3]) for row in rows)

    return min((max(row.measured_s - row.step_s, 0.0) / row.logits for row in rows), key=error)


def is_fitted(model: str, rows: Sequence[ServerRow]) -> bool:
    """Every other model, in the order of their names."""
    return sorted({row.model for row in rows}).index(model) % 2 == 0


def server_lines(rows: Sequence[ServerRow], s_per_logit: float) -> Iterator[str]:
    yield "| model | ranks | rows | watts | seconds | joules | with sampling: seconds | joules | |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|---|"
    for model, ranks in sorted({(row.model, row.ranks) for row in rows}):
        own = [row for row in rows if (row.model, row.ranks) == (model, ranks)]
        yield _line(f"{model} | {ranks}", own, s_per_logit, "fitted" if is_fitted(model, rows) else "tested")
    for words, kept in (("tested", False), ("fitted", True)):
        some = [row for row in rows if is_fitted(row.model, rows) == kept]
        yield _line("all | ", some, s_per_logit, words)
    yield _line("all | ", rows, s_per_logit, "")


def _line(name: str, rows: Sequence[ServerRow], s_per_logit: float, words: str) -> str:
    cells = [bias_and_error(column) for column in zip(*(row.logs(s_per_logit) for row in rows), strict=True)]
    return f"| {name} | {len(rows)} | {' | '.join(cells)} | {words} |"


def bias_and_error(logs: Sequence[float]) -> str:
    bias, error = 100 * math.expm1(median(logs)), 100 * median(abs(math.expm1(log)) for log in logs)
    return f"{bias:+.0f} / {error:.0f} %"
