"""The section of docs/llm-examples.md on servers: time per output token, as measured and as predicted.

    python -m benchmarks.serving_table serving.parquet

The table of measured servers is not part of the package; its columns are told in its own README.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import pandas as pd

from ircost.backends import load_target
from ircost.cost_models.automatic import chosen_model
from ircost.datasets.model_configs import find_model
from ircost.frontends import ImportOptions
from ircost.frontends.config import Architecture, architecture_of
from ircost.frontends.config.config_file import Config
from ircost.ir.errors import IrcError
from ircost.passes import DEFAULT_LEVEL, pipeline_of_level
from ircost.sweeping import sweep

MOST_SEQUENCES = 16  # in flight: beyond, requests wait for one another more than they run
MODELS = {"nvidia/Llama-3.1-8B-Instruct-FP8": "llama-3.1-8b", "meta-llama/Llama-3.1-8B-Instruct": "llama-3.1-8b"}
# What a row's quantisation says of the products -> the `quantization_config` of a checkpoint that has it; nothing
# where the model's own configuration says it: DeepSeek in blocks of fp8, gpt-oss in mxfp4.
QUANTISATION: dict[str, dict[str, Any]] = {
    "fp8": {"quant_method": "fp8", "activation_scheme": "dynamic"},
    "fp8_block": {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]},
}
HEAD = f"""
## Servers

Time per output token of whole servers, as public benchmark runs measured it, against the decode pass of
`device+framework` at the same number of sequences, ranks and quantisation, the context that of the middle of the
answer. Only runs of up to {MOST_SEQUENCES} requests in flight, one pool of workers, experts split like all else, models
that are bundled. *Step*: the decode pass alone. *With prompts*: and, for each token, its share of the prompts of the
other requests, which a server runs in between: (sequences - 1) / (output tokens) prompts of one request each. Bias is
the median of predicted over measured, less one; error the median of its absolute value.

| framework | model | device | weights | rows | step: bias | error | with prompts: bias | error |
|---|---|---|---|--:|--:|--:|--:|--:|"""
FOOT = """
This is a check of what is left out, not of kernels: no constant was fitted to these rows. A server also samples,
schedules, copies tokens to the host and turns them into text between two steps; its requests come and go, so that
steps run with fewer or more sequences than are in flight; speculative decoding, where a run has it, is not told.
Rows whose quantisation is not told are taken as the model's own format; a cache is taken as wide as activations.

Dense models are predicted some 10 to 30 % too quick by the step, and near to what was measured with the prompts in
between. DeepSeek comes out too slow: what some engines run as one kernel (quantising behind a norm, the rotations of
queries and keys, joining a latent and its cache) are ten launches of some 3 us in each of its 58 layers here, and
experts at few tokens are the least certain of all fitted kernels. Rows of DeepSeek-V3 and R1 repeat each other. Prompts
of 8,000 tokens before 100 (Llama-3.1-8B in fp8, one row) are mostly the others' prompts, which servers run along with
steps."""


@dataclass(frozen=True, slots=True)
class Row:
    """One run. Seconds of its step and of one request's prompt as predicted, and of a token as measured."""

    group: tuple[str, str, str, str]
    sequences: int
    output_tokens: int
    step_s: float
    prompt_s: float
    measured_s: float

    @property
    def with_prompts_s(self) -> float:
        return self.step_s + (self.sequences - 1) / self.output_tokens * self.prompt_s


def rows_of(path: str) -> Iterator[Row]:
    """Runs that can be compared, each predicted; those of one shape share a prediction."""
    table = pd.read_parquet(path)
    table = table[(table["mode"] == "agg") & (table["pp_size"] == 1) & (table["tp_size"] <= 8)]
    table = table[table["attention_dp_size"].isna() | (table["attention_dp_size"] == 1)]
    table = table[(table["moe_ep_size"] <= 1) & (table["batch_size"] <= MOST_SEQUENCES)]
    table = table[table["batch_size"] == table["concurrency"]]
    known: dict[tuple[object, ...], tuple[float, float]] = {}
    for row in table.itertuples():
        weights = "" if pd.isna(row.gemm_quant_mode) else str(row.gemm_quant_mode)
        shape = (row.framework, row.model, row.device, weights, int(row.tp_size), int(row.batch_size))
        key = (*shape, int(row.input_len), int(row.output_len))
        try:
            if key not in known:
                known[key] = predicted_s(*key)
        except IrcError as error:
            print(f"left out: {key}: {error.message}", file=sys.stderr)
            continue
        group = (str(row.framework), str(row.model), str(row.device), weights or "own")
        yield Row(group, int(row.batch_size), int(row.output_len), *known[key], row.tpot_ms / 1e3)


def predicted_s(
    framework: str, model: str, device: str, weights: str, tp: int, batch: int, prompt: int, answer: int
) -> tuple[float, float]:
    """A decode pass, and a prompt's.

    Raises:
        IrcError: the model is not bundled, or cannot be split so.
    """
    target = load_target(f"{device}+{framework}")
    architecture, mesh = architecture_with(model, weights), f"tp={tp}"
    pipeline, cost_model = pipeline_of_level(DEFAULT_LEVEL, target.kind), chosen_model("auto", target)
    decode = ImportOptions(dims={"context": prompt + answer // 2}, phase="decode", mesh=mesh)
    prefill = ImportOptions(dims={"batch": 1}, phase="prefill", mesh=mesh)
    (step,) = sweep(architecture, decode, {"batch": (batch,)}, target, cost_model, pipeline).points
    (first,) = sweep(architecture, prefill, {"seq": (prompt,)}, target, cost_model, pipeline).points
    return step.latency_s, first.latency_s


def architecture_with(model: str, weights: str) -> Architecture:
    """A bundled model, its weights as a run says; as its own configuration says, where that is narrow already."""
    known = find_model(MODELS.get(model, model))
    config = dict(known.config)
    if weights in QUANTISATION and "quantization_config" not in config:
        config["quantization_config"] = QUANTISATION[weights]
    return architecture_of(Config(config, f"{known.name}.json"), known.name)


def table_rows(rows: Iterable[Row]) -> Iterator[str]:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    for group, inside in sorted(groups.items()):
        pairs = [errors(inside, kind) for kind in ("step_s", "with_prompts_s")]
        cells = [text for bias, error in pairs for text in (f"{100 * bias:+.0f} %", f"{100 * error:.0f} %")]
        yield f"| {' | '.join((*group, str(len(inside)), *cells))} |"


def errors(rows: Iterable[Row], kind: str) -> tuple[float, float]:
    """Bias and median error, as fractions."""
    logs = [math.log(getattr(row, kind) / row.measured_s) for row in rows]
    return math.expm1(median(logs)), median(abs(math.expm1(log)) for log in logs)


def section(path: str) -> str:
    return "\n".join([HEAD, *table_rows(rows_of(path)), FOOT])


if __name__ == "__main__":
    print(section(sys.argv[1]))
