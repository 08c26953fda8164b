"""Writes the tables of fusion: predicted gain of networks, and measured gain beside predicted.

    python -m benchmarks.fusion_table FOLDER > docs/fusion.md

FOLDER holds the measured tables; of these, ``model_latency.parquet`` and ``model_ops.parquet``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ircost
from benchmarks.compile_examples import BERT, LLAMA
from benchmarks.fusion_networks import Blocks, Layers, built
from ircost.datasets.transformers import transformer
from ircost.ir import Module, ops
from ircost.ir.types import f16, f32
from ircost.quantity_text import si_text, small_text
from ircost.report import Report

ROOT = Path(__file__).resolve().parents[1]
BEFORE = "canonicalize,recognise,fold-batch-norm,canonicalize"
AFTER = BEFORE + ",fuse{by_cost=true,max_ops=64},merge-products"
MODEL = "analytical"  # by which the search decides
CHAINED = BEFORE + ",fuse{by_cost=true,chains=true,max_ops=64},merge-products"
HEAD = """# Fusion

Written by `python -m benchmarks.fusion_table FOLDER > docs/fusion.md`; FOLDER holds the measured tables.

`fuse{by_cost=true}` merges a producer with a consumer wherever iteration spaces and the memory of a processor allow one
kernel and the cost model predicts it to be faster; a cheap producer that several read may be copied into each.
`chains=true` adds kernels with several products, chained through tiles on chip: whole blocks, and attention found as a
cascade that one pass can stream. `merge-products` runs products that share an operand as one.

| question | file |
|---|---|
| what to merge: the search | `passes/fusion_search.py` |
| what one kernel may hold | `passes/fusion_legality.py`; with several products `passes/chain_tiles.py` |
| which part of a producer a tile needs, halo included | `ir/dependency.py` |
| what a tile of a chain computes again, and keeps on chip | `ir/chain.py` |
| how often a cascade must read its input | `ir/cascade.py` |
| what such a kernel costs | `cost_models/chain_parts.py`, `cost_models/gpu/chain.py` |

**How a chain is priced.** A tile of the last product's result, and a step along its reduction, say by the access maps
which box of each value a block makes; recomputation is what all blocks and steps make, over what there is. It counts as
work, in the estimate and in the physical limit. Each product is a phase on the constants fitted to attention, the one
chain that was measured: resources side by side within it, phases one after the other, one block on a processor. Priced
that way, attention itself comes out at 0.99 to 6 times what it takes as the family that was fitted to it. All other
chains are *not measured*. A cascade that streams is priced as attention, whose measured kernels stream in the same way.
What was chosen stands in the kernel's schedule and in `irc explain`: `chain n=1 o0=14 o1=14; again products=1.05; room
bytes=181952`.

## Predicted, h100_sxm, f16

By the analytical model, which the search asks. Before: a kernel for each op, activations, norms and attention
recognised. *Saved*: bytes that do not cross between kernels any more. *Chains*: with kernels of several products.

| model | kernels | after | bytes | saved | time | after | speed-up | chains: kernels | saved | time | speed-up |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"""
CASCADE_HEAD = """
## Attention that nobody recognised

Scores, a bias of each head and query, softmax and a second product, written out and not recognised; 16 heads of 64,
2,048 tokens, f16, h100_sxm. The search finds product, cascade and product as one kernel, since one pass over the keys
is enough; the composite `attention` with the same mask is beside it.

| way | kernels | bytes | time |
|---|--:|--:|--:|"""
MEASURED_HEAD = """
## Measured and predicted, PyTorch

Layers of the models (embeddings and heads are left out), in f32, op by op against `torch.compile`, on all devices that
were measured with both. Products are library kernels with their bias, as there; all else is fused by `fuse`.

Inductor puts one attention kernel in place of scores / sqrt(d) + mask, softmax and product, which is how BERT writes it
(PyTorch 2.1, `torch/_inductor/fx_passes/fuse_attention.py`, pattern 5); none of its patterns has the `where` of GPT-2.
*Gain* is that of the compiler's kernels.

The two batched products of eager attention are slower than the model has them: `model_ops` has 627 and 949 us for
BERT at batch 8, the model 411 each. *With measured products*: these two at their measured times wherever they run.
That is what hides BERT's gain: attention takes the place of both.

| device | model | batch | measured | compiled | gain | predicted | fused | gain | with measured products |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"""


def main(folder: Path) -> None:
    print(HEAD)
    for name, model in networks():
        print(row(name, model))
    print(CASCADE_HEAD)
    for line in cascade_rows():
        print(line)
    print(MEASURED_HEAD)
    for line in measured_rows(folder):
        print(line)


# ---- predicted gain


def networks() -> Iterator[tuple[str, Callable[[], Module | Path]]]:
    yield "ResNet-50, batch 1", lambda: ROOT / "datasets/models/resnet50.onnx"
    yield "EfficientNet-B0, batch 1", lambda: built((1, 3, 224, 224), f16, Blocks.efficientnet)
    yield "EfficientNet-B0, batch 32", lambda: built((32, 3, 224, 224), f16, Blocks.efficientnet)
    yield "ConvNeXt-T, batch 1", lambda: built((1, 3, 224, 224), f16, Blocks.convnext)
    yield "ConvNeXt-T, batch 32", lambda: built((32, 3, 224, 224), f16, Blocks.convnext)
    yield "BERT-base, 1 x 128 tokens", lambda: transformer(BERT)
    yield "BERT-base, 32 x 128 tokens", lambda: transformer(replace(BERT, batch=32))
    yield "GPT-2, 1 x 1,024 tokens", lambda: built((1, 1024, 768), f16, lambda b, x: b.gpt2(x, heads=12, layers=12))
    yield "Llama 3 8B block, prefill of 512 tokens", lambda: transformer(LLAMA)


def row(name: str, model: Callable[[], Module | Path]) -> str:
    before, after, chained = (
        ircost.compile(model(), "h100_sxm", dtype="f16", pipeline=p, cost_model=MODEL) for p in (BEFORE, AFTER, CHAINED)
    )
    cells = [
        *(name, len(before.kernels), len(after.kernels)),
        *(si_text(before.bytes, "B"), saved(before, after)),
        *(small_text(before.latency_s, "s"), small_text(after.latency_s, "s"), speed_up(before, after)),
        *(len(chained.kernels), saved(before, chained), small_text(chained.latency_s, "s"), speed_up(before, chained)),
    ]
    return f"| {' | '.join(map(str, cells))} |"


def saved(before: Report, after: Report) -> str:
    return f"{1 - after.bytes / before.bytes:.0%}"


def speed_up(before: Report, after: Report) -> str:
    return f"{before.latency_s / after.latency_s:.2f}"


# ---- a cascade


def cascade_rows() -> Iterator[str]:
    ways = (
        ("a kernel for each op", "", False),
        ("`fuse{by_cost=true}`", "fuse{by_cost=true}", False),
        ("`fuse{by_cost=true,chains=true}`", "fuse{by_cost=true,chains=true}", False),
        ("composite `attention`, `fuse{by_cost=true}`", "fuse{by_cost=true}", True),
    )
    for name, pipeline, is_whole in ways:
        report = ircost.compile(biased_attention(is_whole), "h100_sxm", pipeline=pipeline, cost_model=MODEL)
        cells = [name, len(report.kernels), si_text(report.bytes, "B"), small_text(report.latency_s, "s")]
        yield f"| {' | '.join(map(str, cells))} |"


def biased_attention(is_whole: bool) -> Module:
    """q, k, v [1, 16, 2048, 64] as one input [3, 16, 2048, 64], and a bias for each score."""

    def scores(b: Blocks, x: Any) -> Any:
        shape = (1, 16, 2048, 64)
        q, k, v = (b.build(ops.slice(x, starts=(i, 0, 0, 0), size=shape)) for i in range(3))
        bias = b.weight(1, 16, 2048, 2048)
        if is_whole:
            return b.build(ops.attention(q, k, v, bias, scale=0.125))
        made = b.build(ops.contract(q, k, notation="b h m d, b h n d -> b h m n"))
        made = b.build(ops.add(b.build(ops.mul(made, b.number(0.125))), bias))
        shifted = b.build(ops.exp(b.build(ops.sub(made, b.build(ops.reduce_max(made, axes=(3,), keepdims=True))))))
        total = b.build(ops.reduce_sum(shifted, axes=(3,), keepdims=True))
        return b.build(ops.matmul(b.build(ops.div(shifted, total)), v))

    return built((3, 16, 2048, 64), f16, scores)


# ---- measured gain

MEASURED = {"bert_large": Layers(1024, 16, is_gpt=False), "gpt2_large": Layers(1280, 20, is_gpt=True)}
SCORE_PRODUCTS = ("contract", "matmul")  # of eager attention; all others are products with a bias


def measured_rows(folder: Path) -> Iterator[str]:
    import pandas as pd

    table = pd.read_parquet(folder / "model_latency.parquet")
    table = table[(table["mode"] == "inference") & table["model"].isin(list(MEASURED))]
    table = table.assign(option=table["option"].fillna(""))
    keys = ["device", "model", "seq", "batch", "layers"]
    pairs = table[table["option"] == "fusion"].merge(table[table["option"] == ""], on=keys, suffixes=("_fused", ""))
    operations = pd.read_parquet(folder / "model_ops.parquet")
    operations = operations[(operations["mode"] == "inference") & (operations["op"] == "BMM")]
    for pair in pairs.sort_values(keys).itertuples():
        own = operations
        for key in ("device", "model", "batch"):
            own = own[own[key] == getattr(pair, key)]
        yield measured_row(pair, float(own["forward_us"].sum()) / 1e6)


def measured_row(pair: Any, products_s: float) -> str:
    """One pair of rows; ``products_s`` is what the two products of attention take in one layer, measured."""
    layers, target = MEASURED[str(pair.model)], f"{pair.device}+pytorch"
    shape = (int(pair.batch), int(pair.seq), layers.hidden)
    before, after = (
        ircost.compile(eager(shape, layers, is_attention_whole=is_whole), target, pipeline=passes, cost_model=MODEL)
        for passes, is_whole in (("", False), ("fuse{by_cost=true}", not layers.is_gpt))
    )
    with_measured = [report.latency_s + correction_s(report, products_s) for report in (before, after)]
    one_s, fused_s = pair.latency_us / 1e6, pair.latency_us_fused / 1e6
    count = float(pair.layers)
    cells = [
        *(pair.device, pair.model, int(pair.batch)),
        *(small_text(one_s, "s"), small_text(fused_s, "s"), f"{one_s / fused_s:.2f}"),
        *(small_text(before.latency_s * count, "s"), small_text(after.latency_s * count, "s"), speed_up(before, after)),
        f"{with_measured[0] / with_measured[1]:.2f}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def correction_s(report: Report, products_s: float) -> float:
    """From the predicted time of the two products of attention to the measured; 0 where neither runs."""
    predicted = [kernel.latency_s for kernel in report.kernels if kernel.op in SCORE_PRODUCTS]
    return products_s - sum(predicted) if predicted else 0.0


def eager(shape: tuple[int, ...], layers: Layers, is_attention_whole: bool) -> Module:
    """One layer, each product a kernel of its own that nothing joins; attention op by op or as one kernel."""
    return built(shape, f32, lambda blocks, x: blocks.eager_layer(x, replace(layers, is_whole=is_attention_whole)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
