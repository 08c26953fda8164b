"""Writes the table of layers built of ops against measured kernels.

    python -m benchmarks.layers_measured FOLDER

FOLDER holds attention.parquet, mla.parquet and recurrent.parquet. Each row of a table is made of the op that stands
for its kernel, with the row's sizes, and priced alone on its device and runtime. The fitted constants have seen these
tables: what this shows is whether ops arrive at their kernels with the right sizes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from ircost.backends import load_target
from ircost.cost_models.analytical import Analytical
from ircost.cost_models.kernel_table import kernel_table
from ircost.ir import Builder, Function, Module, Value, ops
from ircost.ir.types import parse_type

Row = Any
DEVICE = "h100_sxm"
SAMPLE, SEED = 40, 1
CACHE_FORMATS = {"bfloat16": "bf16", "float16": "f16", "fp8": "f8e4m3"}
LATENT, ROPE, NOPE, VALUE = 512, 64, 128, 128  # DeepSeek-V2, arXiv:2405.04434


@dataclass(frozen=True)
class Case:
    """Rows of one kind, and the op that stands for one of them."""

    op: str
    table: str
    runtime: str
    kind: str
    where: Mapping[str, object]
    make: Callable[[Row], tuple[tuple[str, ...], Callable[..., tuple[Value, ...]]]]


def attention_of(row: Row) -> tuple[tuple[str, ...], Callable[..., tuple[Value, ...]]]:
    b, m, n, h, g, d = (int(row[x]) for x in ("batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim"))
    attrs = {"scale": d**-0.5, "is_causal": row.phase != "encoder", "window": max(int(row.window), 0)}
    kv = f"{b}x{g}x{n}x{d}x{CACHE_FORMATS[row.kv_dtype]}"
    return (f"{b}x{h}x{m}x{d}xbf16", kv, kv), lambda *args: (ops.attention(*args, **attrs),)


def latents_of(row: Row) -> tuple[tuple[str, ...], Callable[..., tuple[Value, ...]]]:
    b, m, n, h = (int(row[x]) for x in ("batch", "q_len", "kv_len", "heads"))
    if row.phase == "prefill":
        keys, values = (f"{b}x{h}x{n}x{width}xbf16" for width in (NOPE + ROPE, VALUE))
        types = (f"{b}x{h}x{m}x{NOPE + ROPE}xbf16", keys, values)
        return types, lambda *args: (ops.attention(*args, scale=1.0, is_causal=True),)
    types = (f"{b}x{h}x{m}x{LATENT + ROPE}xbf16", f"{b}x1x{n}x{LATENT + ROPE}x{CACHE_FORMATS[row.kv_dtype]}")
    attrs = {"scale": 1.0, "is_causal": True, "value_width": LATENT}
    return types, lambda q, k: (ops.attention(q, k, k, **attrs),)


def delta_of(row: Row) -> tuple[tuple[str, ...], Callable[..., tuple[Value, ...]]]:
    sizes = ("batch", "seq_len", "num_k_heads", "head_k_dim", "num_v_heads", "head_v_dim")
    b, t, g, d, h, e = (int(row[x]) for x in sizes)
    decay = f"{b}x{t}x{h}xbf16" if row.op == "gdn" else f"{b}x{t}x{h}x{d}xbf16"
    types = (*[f"{b}x{t}x{g}x{d}xbf16"] * 2, f"{b}x{t}x{h}x{e}xbf16", decay, f"{b}x{t}x{h}xbf16")
    attrs = {"scale": d**-0.5, "has_state": True}
    return (*types, f"{b}x{h}x{d}x{e}xf32"), lambda *args: ops.gated_delta_rule.results(*args, **attrs)


def window_of(row: Row) -> tuple[tuple[str, ...], Callable[..., tuple[Value, ...]]]:
    b, t = int(row.batch), int(row.seq_len)
    heads = row.nheads * row.head_dim + 2 * row.n_groups * row.d_state
    c = int(heads if row.op == "mamba2" else 2 * row.num_k_heads * row.head_k_dim + row.num_v_heads * row.head_v_dim)
    types = (f"{b}x{t}x{c}xbf16", f"{c}x4xbf16", f"{b}x3x{c}xbf16")
    return types, lambda *args: ops.causal_conv1d.results(*args, has_state=True)


CASES = (
    *(
        Case("`attention`", "attention", runtime, f"{phase}{note}", {"phase": phase, "kv_dtype": cache}, attention_of)
        for runtime in ("vllm", "sglang", "trtllm")
        for phase, cache, note in (
            ("decode", "bfloat16", ""),
            ("decode", "fp8", ", 8-bit cache"),
            ("prefill", "bfloat16", ""),
            ("encoder", "bfloat16", ""),
        )
    ),
    *(
        Case("`attention`, latents", "mla", runtime, phase, {"phase": phase, "kv_dtype": "bfloat16"}, latents_of)
        for runtime in ("vllm", "sglang", "trtllm")
        for phase in ("decode", "prefill")
    ),
    *(
        Case(op, "recurrent", "vllm", kind, {"kernel": kernel}, make)
        for op, kind, kernel, make in (
            ("`gated_delta_rule`", "decode", "fused_recurrent_gated_delta_rule_packed_decode", delta_of),
            ("`gated_delta_rule`", "prefill", "chunk_gated_delta_rule_flashinfer", delta_of),
            ("`gated_delta_rule`, Kimi", "decode", "fused_recurrent_kda_packed_decode", delta_of),
            ("`gated_delta_rule`, Kimi", "prefill", "flashkda_fwd", delta_of),
            ("`causal_conv1d`", "prefill", "causal_conv1d_fn", window_of),
            ("`causal_conv1d`", "decode", "causal_conv1d_update", window_of),
        )
    ),
)


def main() -> None:
    tables = {name: pandas.read_parquet(Path(sys.argv[1]) / f"{name}.parquet") for name in {c.table for c in CASES}}
    print("| op | runtime | kind | median | 10 % | 90 % |\n|---|---|---|--:|--:|--:|")
    for case in CASES:
        ratios = [ratio(case, row) for _, row in rows_of(tables[case.table], case).iterrows()]
        numbers = " | ".join(f"{value:.2f}" for value in np.percentile(ratios, [50, 10, 90]))
        print(f"| {case.op} | {case.runtime} | {case.kind} | {numbers} |")


def rows_of(table: pandas.DataFrame, case: Case) -> pandas.DataFrame:
    """Some of them; prefills of more than a few tokens, since few tokens go another way."""
    chosen = (table.device == DEVICE) & (table.framework == case.runtime)
    for column, value in case.where.items():
        chosen &= table[column] == value
    if "dtype" in table:
        chosen &= table.dtype != "fp8"
    if case.kind.startswith("prefill"):
        chosen &= table["seq_len" if "seq_len" in table else "q_len"] > 8
    found = table[chosen]
    return found.sample(min(SAMPLE, len(found)), random_state=SEED)


def ratio(case: Case, row: Row) -> float:
    """Estimate over measurement."""
    types, make = case.make(row)
    function = Function("main", [parse_type(text) for text in types])
    build = Builder(function.block)
    results = make(*function.arguments)
    for result in results:
        build(result)
    build.op(ops.return_.create(results))
    target = load_target(f"{DEVICE}+{case.runtime}")
    estimates = Analytical().estimate(kernel_table(Module([function])), target)
    return float(estimates.latency_s.sum()) * 1e6 / float(row.latency_us)


if __name__ == "__main__":
    main()
