"""Writes the tables of fusion: predicted gain of common blocks, and measured gain beside predicted.

    python -m benchmarks.fusion_table FOLDER > docs/fusion.md

FOLDER holds the measured tables; of these, ``model_latency.parquet``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import ircost
from benchmarks.compile_examples import BERT, LLAMA
from ircost.datasets.transformers import transformer
from ircost.ir import Builder, Function, Module, Value, ops
from ircost.ir.constant import Missing, Splat
from ircost.ir.types import DType, TensorType, boolean, f16, f32
from ircost.passes.kernel_making import make_kernel
from ircost.quantity_text import si_text, small_text

ROOT = Path(__file__).resolve().parents[1]
BEFORE = "canonicalize,recognise,fold-batch-norm"
AFTER = BEFORE + ",fuse{by_cost=true},merge-products"
HEAD = """# Fusion

Written by `python -m benchmarks.fusion_table FOLDER > docs/fusion.md`; FOLDER holds the measured tables.

`fuse{by_cost=true}` merges a producer with a consumer wherever iteration spaces and the memory of a processor allow one
kernel and the cost model predicts it to be faster; `merge-products` runs products that share an operand as one. How
they decide is in `passes/fusion_search.py` (the search), `passes/fusion_legality.py` (what one kernel may hold) and
`ir/dependency.py` (which part of a producer a tile needs).

## Predicted, h100_sxm, f16

Before: a kernel for each op, activations, norms and attention recognised. *Saved*: bytes that do not cross between
kernels any more.

| model | kernels before | after | bytes before | saved | before | after | speed-up |
|---|--:|--:|--:|--:|--:|--:|--:|"""
MEASURED_HEAD = """
## Measured and predicted, PyTorch

Layers of the models (embeddings and heads are left out), in f32, op by op against `torch.compile`, on all devices that
were measured with both. Products are library kernels with their bias, as there; all else is fused by `fuse`.

The last column is the predicted gain if the compiler also puts one attention kernel in place of the scores, as its
pattern matcher may do.

| device | model | batch | measured | compiled | gain | predicted | fused | gain | with attention |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"""


def main(folder: Path) -> None:
    print(HEAD)
    for name, model in blocks():
        print(row(name, model))
    print(MEASURED_HEAD)
    for line in measured_rows(folder):
        print(line)


# ---- predicted gain


def blocks() -> Iterator[tuple[str, Callable[[], Module | Path]]]:
    yield "ResNet-50, batch 1", lambda: ROOT / "datasets/models/resnet50.onnx"
    yield "BERT-base block, 1 x 128 tokens", lambda: transformer(replace(BERT, layers=1))
    yield "BERT-base block, 32 x 128 tokens", lambda: transformer(replace(BERT, batch=32, layers=1))
    yield "GPT-2 block, 1 x 1,024 tokens", lambda: built((1, 1024, 768), f16, lambda b, x: b.gpt2(x, heads=12))
    yield "Llama 3 8B block, prefill of 512 tokens", lambda: transformer(LLAMA)
    yield (
        "EfficientNet block, batch 32, 56 x 56, 24 channels",
        lambda: built((32, 24, 56, 56), f16, Blocks.efficientnet),
    )
    yield "ConvNeXt block, batch 32, 56 x 56, 96 channels", lambda: built((32, 96, 56, 56), f16, Blocks.convnext)


def row(name: str, model: Callable[[], Module | Path]) -> str:
    before, after = (ircost.compile(model(), "h100_sxm", dtype="f16", pipeline=p) for p in (BEFORE, AFTER))
    cells = [
        *(name, len(before.kernels), len(after.kernels)),
        *(si_text(before.bytes, "B"), f"{1 - after.bytes / before.bytes:.0%}"),
        *(small_text(before.latency_s, "s"), small_text(after.latency_s, "s")),
        f"{before.latency_s / after.latency_s:.2f}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


# ---- measured gain


@dataclass(frozen=True, slots=True)
class Layers:
    """Layers as a framework runs them op by op.

    Args:
        is_gpt: masked, normed before, its activation written out; else BERT's.
        is_whole: attention is one kernel.
    """

    hidden: int
    heads: int
    is_gpt: bool
    is_whole: bool = False


MEASURED = {"bert_large": Layers(1024, 16, is_gpt=False), "gpt2_large": Layers(1280, 20, is_gpt=True)}


def measured_rows(folder: Path) -> Iterator[str]:
    import pandas as pd

    table = pd.read_parquet(folder / "model_latency.parquet")
    table = table[(table["mode"] == "inference") & table["model"].isin(list(MEASURED))]
    table = table.assign(option=table["option"].fillna(""))
    keys = ["device", "model", "seq", "batch", "layers"]
    pairs = table[table["option"] == "fusion"].merge(table[table["option"] == ""], on=keys, suffixes=("_fused", ""))
    for pair in pairs.sort_values(keys).itertuples():
        layers, target = MEASURED[str(pair.model)], f"{pair.device}+pytorch"
        shape = (int(pair.batch), int(pair.seq), layers.hidden)
        ways = (("", False), ("fuse{by_cost=true}", False), ("fuse{by_cost=true}", True))
        before_s, after_s, whole_s = (
            ircost.compile(eager(shape, layers, is_whole), target, pipeline=passes).latency_s * float(pair.layers)
            for passes, is_whole in ways
        )
        one_s, fused_s = pair.latency_us / 1e6, pair.latency_us_fused / 1e6
        cells = [
            *(pair.device, pair.model, int(pair.batch)),
            *(small_text(one_s, "s"), small_text(fused_s, "s"), f"{one_s / fused_s:.2f}"),
            *(small_text(before_s, "s"), small_text(after_s, "s"), f"{before_s / after_s:.2f}"),
            f"{before_s / whole_s:.2f}",
        ]
        yield f"| {' | '.join(map(str, cells))} |"


def eager(shape: tuple[int, ...], layers: Layers, is_attention_whole: bool) -> Module:
    """One layer, each product a kernel of its own that nothing joins; attention op by op or as one kernel."""
    return built(shape, f32, lambda blocks, x: blocks.eager_layer(x, replace(layers, is_whole=is_attention_whole)))


# ---- blocks


def built(shape: tuple[int, ...], dtype: DType, block: Callable[[Blocks, Value], Value]) -> Module:
    function = Function("main", [TensorType(shape, dtype)])
    blocks = Blocks(Builder(function.block), dtype)
    result = block(blocks, function.arguments[0])
    blocks.build.op(ops.return_.create([result]))
    return Module([function], "block")


@dataclass(slots=True)
class Blocks:
    """Writes blocks of networks, without values of weights."""

    build: Builder
    dtype: DType
    weights: int = field(default=0)

    def weight(self, *shape: int) -> Value:
        self.weights += 1
        data = Missing(f"weight {self.weights}")
        return self.build(
            ops.constant.create((), {"value": data}, result_types=(TensorType(shape, self.dtype),)).result
        )

    def number(self, value: float) -> Value:
        type = TensorType((), self.dtype)
        return self.build(ops.constant.create((), {"value": Splat(value)}, result_types=(type,)).result)

    def linear(self, x: Value, width: int) -> Value:
        product = self.build(ops.matmul(x, self.weight(x.type.shape[-1], width)))
        return self.build(ops.add(product, self.weight(width)))

    def norm(self, x: Value) -> Value:
        width = x.type.shape[-1]
        return self.build(ops.layer_norm(x, self.weight(width), self.weight(width)))

    def heads_apart(self, x: Value, heads: int) -> Value:
        batch, rows, hidden = x.type.shape
        apart = self.build(ops.reshape(x, shape=(batch, rows, heads, hidden // heads)))
        return self.build(ops.transpose(apart, perm=(0, 2, 1, 3)))

    def heads_together(self, x: Value) -> Value:
        batch, heads, rows, width = x.type.shape
        moved = self.build(ops.transpose(x, perm=(0, 2, 1, 3)))
        return self.build(ops.reshape(moved, shape=(batch, rows, heads * width)))

    def gpt2(self, x: Value, heads: int) -> Value:
        hidden = x.type.shape[-1]
        normed = self.norm(x)
        q, k, v = (self.heads_apart(self.linear(normed, hidden), heads) for _ in range(3))
        mixed = self.build(ops.attention(q, k, v, scale=(hidden // heads) ** -0.5))
        x = self.build(ops.add(self.linear(self.heads_together(mixed), hidden), x))
        inner = self.build(ops.gelu(self.linear(self.norm(x), 4 * hidden)))
        return self.build(ops.add(self.linear(inner, hidden), x))

    # ---- convolutions

    def conv(self, x: Value, channels: int, side: int, *, is_depthwise: bool = False) -> Value:
        """Convolution and bias; batch norms are folded into them."""
        read = 1 if is_depthwise else x.type.shape[1]
        pads = ((side // 2, side // 2),) * 2
        made = self.build(ops.conv(x, self.weight(channels, read, side, side), pads=pads))
        return self.build(ops.add(made, self.weight(channels, 1, 1)))

    def efficientnet(self, x: Value) -> Value:
        """An inverted residual with squeeze and excitation, widened by 6."""
        channels = x.type.shape[1]
        wide = 6 * channels
        inner = self.build(ops.silu(self.conv(x, wide, 1)))
        inner = self.build(ops.silu(self.conv(inner, wide, 3, is_depthwise=True)))
        squeezed = self.build(ops.reduce_mean(inner, axes=(2, 3), keepdims=True))
        squeezed = self.build(ops.silu(self.conv(squeezed, channels // 4, 1)))
        gate = self.build(ops.sigmoid(self.conv(squeezed, wide, 1)))
        return self.build(ops.add(self.conv(self.build(ops.mul(inner, gate)), channels, 1), x))

    def convnext(self, x: Value) -> Value:
        channels = x.type.shape[1]
        inner = self.build(ops.transpose(self.conv(x, channels, 7, is_depthwise=True), perm=(0, 2, 3, 1)))
        inner = self.build(ops.gelu(self.linear(self.norm(inner), 4 * channels)))
        inner = self.build(ops.mul(self.linear(inner, channels), self.weight(channels)))
        return self.build(ops.add(self.build(ops.transpose(inner, perm=(0, 3, 1, 2))), x))

    # ---- as a framework runs them op by op

    def eager_layer(self, x: Value, layers: Layers) -> Value:
        if layers.is_gpt:
            x = self.build(ops.add(self.eager_attention(self.norm(x), layers), x))
            return self.build(ops.add(self.eager_mlp(self.norm(x), layers), x))
        x = self.norm(self.build(ops.add(self.eager_attention(x, layers), x)))
        return self.norm(self.build(ops.add(self.eager_mlp(x, layers), x)))

    def eager_attention(self, x: Value, layers: Layers) -> Value:
        rows = x.type.shape[1]
        q, k, v = (self.heads_apart(self.library_linear(x, layers.hidden), layers.heads) for _ in range(3))
        if layers.is_whole:
            mixed = self.build(ops.attention(q, k, v, scale=(layers.hidden // layers.heads) ** -0.5))
            return self.library_linear(self.heads_together(mixed), layers.hidden)
        scores = self.library_kernel(ops.contract(q, k, notation="b h m d, b h n d -> b h m n"))
        scores = self.build(ops.div(scores, self.number((layers.hidden // layers.heads) ** 0.5)))
        if layers.is_gpt:
            data = Missing("mask")
            mask = ops.constant.create((), {"value": data}, result_types=(TensorType((rows, rows), boolean),)).result
            scores = self.build(ops.where(self.build(mask), scores, self.number(-1e9)))
        else:
            scores = self.build(ops.add(scores, self.weight(x.type.shape[0], 1, 1, rows)))
        mixed = self.library_kernel(ops.matmul(self.build(ops.softmax(scores)), v))
        return self.library_linear(self.heads_together(mixed), layers.hidden)

    def eager_mlp(self, x: Value, layers: Layers) -> Value:
        inner = self.library_linear(x, 4 * layers.hidden)
        inner = self.written_out_gelu(inner) if layers.is_gpt else self.build(ops.gelu(inner))
        return self.library_linear(inner, layers.hidden)

    def written_out_gelu(self, x: Value) -> Value:
        """0.5 x (1 + tanh(0.798 (x + 0.0447 x^3))): eight kernels."""
        cube = self.build(ops.pow(x, self.number(3.0)))
        inner = self.build(ops.add(x, self.build(ops.mul(cube, self.number(0.044715)))))
        turned = self.build(ops.tanh(self.build(ops.mul(inner, self.number(0.7978845608)))))
        half = self.build(ops.mul(x, self.number(0.5)))
        return self.build(ops.mul(half, self.build(ops.add(turned, self.number(1.0)))))

    def library_linear(self, x: Value, width: int) -> Value:
        product = self.build(ops.matmul(x, self.weight(x.type.shape[-1], width)))
        bias = self.weight(width)
        made = self.build(ops.add(product, bias))
        assert product.producer is not None and made.producer is not None
        return make_kernel([product.producer, made.producer], [made]).result

    def library_kernel(self, made: Value) -> Value:
        self.build(made)
        assert made.producer is not None
        return make_kernel([made.producer], [made]).result


if __name__ == "__main__":
    main(Path(sys.argv[1]))
