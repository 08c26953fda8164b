"""Whole language models that others timed: the rows, and what is predicted of each."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import ircost
from ircost.datasets.model_configs import find_model
from ircost.report import Report

FOLDER = Path(__file__).resolve().parents[1] / "datasets/published"
TABLE = "language_models.csv"
# Runtimes of the rows -> those whose kernels are known here. Of the others nobody's in particular are taken.
RUNTIMES = {"trtllm": "trtllm", "vllm": "vllm", "gpt-fast": "pytorch_graphs", "transformers": "pytorch"}
MOST_SEQUENCES = 2048  # of TensorRT-LLM's servers, its default


def grouped_integers(bits: int, group: int) -> dict[str, Any]:
    """The `quantization_config` of integers in groups with a scale, the head's as well."""
    return compressed([("Linear", "int", bits, group)])


def compressed(groups: Sequence[tuple[str, str, int, int]]) -> dict[str, Any]:
    """Of compressed-tensors. Args: groups: modules, type, bits and size of a group of each."""
    return {
        "quant_method": "compressed-tensors",
        "config_groups": {
            f"group_{n}": {
                "targets": [target],
                "weights": {"type": kind, "num_bits": bits, "group_size": group, "symmetric": True},
            }
            for n, (target, kind, bits, group) in enumerate(groups)
        },
    }


# The rows' words for weights -> a checkpoint's `quantization_config` that has as many bytes. Nothing: 16 bits.
WEIGHTS: Mapping[str, dict[str, Any] | None] = {
    "f16": None,
    "bf16": None,
    "int8": grouped_integers(8, 0),
    "q8_0": grouped_integers(8, 32),
    "q4_0": grouped_integers(4, 32),
    "q4_k_m": grouped_integers(4, 16),
    "int4 g32": grouped_integers(4, 32),
    "int4 g64": {"quant_method": "awq", "bits": 4, "group_size": 64},
    "int4 g128": {"quant_method": "awq", "bits": 4, "group_size": 128},
    "mxfp4 q8_0": compressed([("Linear", "int", 8, 32), ("re:.*experts.*", "float", 4, 32)]),
    "fp8": {"quant_method": "fp8", "activation_scheme": "static"},
    "nvfp4": {"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16, "exclude_modules": ["lm_head"]},
}


@dataclass(frozen=True, slots=True)
class Row:
    """One published figure. Args: prompt, output: tokens of each sequence; output: 0 where only the prompt is timed."""

    source: str
    device: str
    count: int
    framework: str
    model: str
    weights: str
    cache: str
    phase: str
    batch: int
    prompt: int
    output: int
    figure: str
    value: float
    unit: str

    @classmethod
    def of(cls, cells: Mapping[str, str]) -> Row:
        whole = {name: int(cells[name] or 0) for name in ("count", "batch", "prompt", "output")}
        return cls(**{**cells, **whole, "value": float(cells["value"])})  # type: ignore[arg-type]

    @property
    def measured_s(self) -> float:
        """Of a step, of a prompt's pass, or of a whole request; of a server, of each request that it finishes."""
        if self.unit in SECONDS:
            return self.value * SECONDS[self.unit]
        tokens = {"decode": self.batch, "prefill": self.batch * self.prompt}.get(
            self.phase, max(self.batch, 1) * self.output
        )
        return tokens / (self.value * (self.count if self.unit == "tokens/s/device" else 1))

    @property
    def target(self) -> str:
        runtime = RUNTIMES.get(self.framework)
        return self.device if runtime is None else f"{self.device}+{runtime}"


SECONDS = {"ms": 1e-3, "s": 1.0}


@dataclass(frozen=True, slots=True)
class Seconds:
    """What is predicted of a row: its time and interval; at_best: what no run can beat, of passes."""

    predicted: float
    low: float | None
    high: float | None
    at_best: float | None = None


def published_rows() -> list[Row]:
    with (FOLDER / TABLE).open(newline="") as file:
        return [Row.of(cells) for cells in csv.DictReader(file)]


def predicted(row: Row, folder: Path) -> Seconds:
    """Args: folder: for configurations that say what weights a row has."""
    return PHASES[row.phase](row, checkpoint(row.model, row.weights, folder))


def decode(row: Row, model: str) -> Seconds:
    context = row.prompt + (row.output + 1) // 2
    return of_pass(compiled(model, row, phase="decode", dims={"batch": row.batch, "context": context}))


def prefill(row: Row, model: str) -> Seconds:
    return of_pass(compiled(model, row, phase="prefill", dims={"batch": row.batch, "seq": row.prompt}))


def request(row: Row, model: str) -> Seconds:
    dims = {"batch": row.batch, "seq": row.prompt}
    report = compiled(model, row, phase="prefill", dims=dims, output_tokens=row.output)
    figures = report.transformer
    assert figures is not None and figures.request is not None, "asked for by output_tokens"
    return Seconds(figures.request.total_s, figures.request.low_s, figures.request.high_s)


def saturated(row: Row, model: str) -> Seconds:
    """A server with as many sequences as its memory holds: what each of them takes of it."""
    context = row.prompt + (row.output + 1) // 2
    alone = compiled(model, row, phase="decode", dims={"batch": 1, "context": context})
    assert alone.transformer is not None, "a configuration's report has figures of a transformer"
    batch = min(alone.transformer.largest_batch, MOST_SEQUENCES)
    step = of_pass(compiled(model, row, phase="decode", dims={"batch": batch, "context": context}))
    prompt = of_pass(compiled(model, row, phase="prefill", dims={"batch": 1, "seq": row.prompt}))
    steps = row.output / batch
    low, high = ((getattr(step, end), getattr(prompt, end)) for end in ("low", "high"))
    return Seconds(
        prompt.predicted + steps * step.predicted,
        None if None in low else low[1] + steps * low[0],
        None if None in high else high[1] + steps * high[0],
    )


PHASES: Mapping[str, Callable[[Row, str], Seconds]] = {
    "decode": decode,
    "prefill": prefill,
    "request": request,
    "saturated": saturated,
}


def of_pass(report: Report) -> Seconds:
    return Seconds(report.latency_s, report.low_s, report.high_s, report.lower_bound_s)


def compiled(model: str, row: Row, **options: Any) -> Report:
    mesh = f"tp={row.count}" if row.count > 1 else ""
    return ircost.compile(model, row.target, mesh=mesh, cache_dtype=row.cache, **options)


@cache
def checkpoint(model: str, weights: str, folder: Path) -> str:
    """The path of a bundled model's configuration, its weights and activations in a row's formats."""
    known = find_model(model)
    config = {**known.config, "torch_dtype": "bfloat16" if weights == "bf16" else "float16"}
    config.pop("dtype", None)
    config.pop("quantization_config", None)
    if WEIGHTS[weights] is not None:
        config["quantization_config"] = WEIGHTS[weights]
    path = folder / f"{known.name}-{weights.replace(' ', '-')}.json"
    path.write_text(json.dumps(config))
    return str(path)
