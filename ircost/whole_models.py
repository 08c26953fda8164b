"""Whole models that were measured, compared with sums of their kernels: `irc evaluate model_latency.parquet`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ircost.backends import Target
from ircost.cost_models.automatic import cost_model_named
from ircost.cost_models.evaluation import Prediction
from ircost.cost_models.gpu.table_work import Columns
from ircost.cost_models.interface import CostModel
from ircost.cost_models.kernel_table import kernel_table
from ircost.cost_models.lower_bound import model_lower_bound_s
from ircost.datasets.model_configs import find_model
from ircost.frontends.config import Architecture, architecture_of, build_model
from ircost.frontends.config.config_file import Config
from ircost.frontends.config.workload import workload_of
from ircost.ir.errors import IrcError
from ircost.ir.types import f32
from ircost.launching import run_seconds
from ircost.passes import PassContext, run_pipeline

COLUMNS = frozenset(("model", "mode", "seq", "batch", "option", "layers", "forward_us"))
# As tables name models -> a bundled one, or keys of a config.json; GPT-3 XL by the widths of its measured kernels.
MODELS: dict[str, str | dict[str, Any]] = {
    "bert_large": "bert-large-uncased",
    "gpt2_large": "gpt2-large",
    "opt_13": "opt-1.3b",
    "gpt3_xl": {
        **{"model_type": "gpt2", "n_embd": 3072, "n_layer": 24, "n_head": 24},
        **{"n_positions": 2048, "vocab_size": 50257, "activation_function": "gelu_new"},
    },
}
EAGER = "canonicalize,eager"
COMPILED = "canonicalize,fuse"
NOT_YET = "training, and models shared by several devices, are not predicted from tables yet"


def is_of_models(columns: Columns) -> bool:
    return columns.keys() >= COLUMNS


def predict_models(columns: Columns, target_of: Callable[[str], Target], model: str) -> Prediction:
    """Each inference as a sum of kernels: op by op, or fused where the row says so.

    Args:
        model: name of the cost model.
    """
    count = len(columns["device"])
    predicted_s, bound_s = np.full(count, np.nan), np.full(count, np.nan)
    failures: dict[str, list[int]] = {}
    for row in range(count):
        facts = {name: columns[name][row] for name in (*COLUMNS, "device", "framework")}
        try:
            predicted_s[row], bound_s[row] = _seconds(facts, target_of, cost_model_named(model))
        except IrcError as error:
            failures.setdefault(error.message, []).append(row)
    measured_s = np.asarray(columns["latency_us"], dtype=float) * 1e-6
    told = {reason: np.array(rows) for reason, rows in sorted(failures.items())}
    return Prediction("model_latency", columns, measured_s, predicted_s, bound_s, told)


def _seconds(facts: dict[str, Any], target_of: Callable[[str], Target], model: CostModel) -> tuple[float, float]:
    option = str(facts["option"] or "")
    if facts["mode"] != "inference" or option not in ("", "fusion"):
        raise IrcError(NOT_YET)
    architecture = _architecture(str(facts["model"]))
    phase = "verify" if architecture.is_decoder else "encode"  # logits of all tokens, as the benchmark asks for
    work = workload_of(phase, batch=int(facts["batch"]), seq=int(facts["seq"]), context=int(facts["seq"]))
    module = build_model(architecture, work).module
    target = target_of(str(facts["device"]))
    if facts["framework"]:
        target = target_of(f"{facts['device']}+{str(facts['framework']).replace(' ', '_')}")
    run_pipeline(module, COMPILED if option else EAGER, context=PassContext(target, model.for_search))
    table = kernel_table(module)
    total_s = float(run_seconds(table.runs, model.estimate(table, target)).sum())
    bound_s = model_lower_bound_s(module, table, table.runs, target)
    return max(total_s, bound_s), bound_s


def _architecture(name: str) -> Architecture:
    if name not in MODELS:
        raise IrcError(f"no configuration of '{name}' is known")
    known = MODELS[name]
    values = find_model(known).config if isinstance(known, str) else known
    return replace(architecture_of(Config(values, f"{name}.json"), name), dtype=f32)
