"""Writes the table of our figures beside the plain roofline: ResNet-50, BERT-base, a block of Llama.

    python -m benchmarks.compile_examples > docs/compile-examples.md

ResNet-50 is the file in this repository; the others are written here, in the IR's own ops, without values of weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import ircost
from ircost.ir import Builder, Function, Module, Value, ops
from ircost.ir.constant import Missing
from ircost.ir.types import TensorType, f16
from ircost.quantity_text import small_text
from ircost.report import Report
from ircost.report_text import bound_text

ROOT = Path(__file__).resolve().parents[1]
TARGETS = ("h100_sxm", "a100_sxm_80gb", "l40s")
HEAD = """# Compile examples

Written by `python -m benchmarks.compile_examples > docs/compile-examples.md`. All in f16, weights cold, kernels one
after another, nobody's runtime in particular; `irc explain MODEL --target T` opens each figure. *At best* is what no
run can beat, *roofline* what data-sheet rates and the launch floor allow, *analytical* the tile-level model. *Launch*
and *steps* are the shares of the analytical latency in kernels that are bound by their start, or by steps that wait for
each other.

| model | target | kernels | at best | roofline | analytical | ratio | bound by | launch | steps |
|---|---|--:|--:|--:|--:|--:|---|--:|--:|"""


@dataclass(frozen=True, slots=True)
class Transformer:
    """Sizes of a stack of equal blocks.

    Args:
        rows: new tokens of each sequence. context: tokens that they attend to, the new ones included.
    """

    batch: int
    rows: int
    context: int
    hidden: int
    heads: int
    kv_heads: int
    inner: int
    layers: int

    @property
    def width(self) -> int:
        return self.hidden // self.heads


BERT = Transformer(batch=1, rows=128, context=128, hidden=768, heads=12, kv_heads=12, inner=3072, layers=12)
LLAMA = Transformer(batch=1, rows=512, context=512, hidden=4096, heads=32, kv_heads=8, inner=14336, layers=1)
LLAMA_DECODE = Transformer(batch=8, rows=1, context=4096, hidden=4096, heads=32, kv_heads=8, inner=14336, layers=1)


def main() -> None:
    print(HEAD)
    for name, model in examples():
        for target in TARGETS:
            print(row(name, model, target))


def examples() -> Iterator[tuple[str, Path | Transformer]]:
    yield "ResNet-50, batch 1", ROOT / "datasets/models/resnet50.onnx"
    yield "BERT-base, 1 x 128 tokens", BERT
    yield "Llama 3 8B, one block, prefill of 512 tokens", LLAMA
    yield "Llama 3 8B, one block, decode of 8 x 1 token at 4,096", LLAMA_DECODE


def row(name: str, model: Path | Transformer, target: str) -> str:
    ours, plain = (compiled(model, target, cost_model) for cost_model in ("analytical", "roofline"))
    bounds = ", ".join(f"{bound_text(b)} {share:.0%}" for b, share in list(ours.bound_shares.items())[:2])
    cells = [
        *(name, target, len(ours.kernels), small_text(ours.lower_bound_s, "s"), small_text(plain.latency_s, "s")),
        *(small_text(ours.latency_s, "s"), f"{ours.latency_s / plain.latency_s:.1f}", bounds),
        *(f"{ours.bound_shares.get(bound, 0.0):.0%}" for bound in ("launch", "steps")),
    ]
    return f"| {' | '.join(map(str, cells))} |"


def compiled(model: Path | Transformer, target: str, cost_model: str) -> Report:
    if isinstance(model, Path):
        return ircost.compile(model, target=target, dtype="f16", cost_model=cost_model)
    return ircost.compile(transformer(model), target=target, cost_model=cost_model)


def transformer(sizes: Transformer) -> Module:
    """A stack of blocks: with biases and layer norms like BERT where all heads have keys, gated and RMS-normed else."""
    function = Function("main", [TensorType((sizes.batch, sizes.rows, sizes.hidden), f16)])
    block = _Block(Builder(function.block), sizes)
    value = function.arguments[0]
    for _ in range(sizes.layers):
        value = block.bert(value) if sizes.heads == sizes.kv_heads else block.llama(value)
    block.build.op(ops.return_.create([value, *block.written]))
    return Module([function], "transformer")


@dataclass(slots=True)
class _Block:
    build: Builder
    sizes: Transformer
    weights: int = 0
    written: list[Value] = field(default_factory=list)

    def weight(self, *shape: int) -> Value:
        type = TensorType(shape, f16)
        self.weights += 1  # each is another: equal ones would be merged
        value = Missing(f"weight {self.weights}")
        return self.build(ops.constant.create((), {"value": value}, result_types=(type,)).result)

    def linear(self, x: Value, width: int, bias: bool) -> Value:
        y = self.build(ops.matmul(x, self.weight(x.type.shape[-1], width)))
        return self.build(ops.add(y, self.weight(width))) if bias else y

    def heads(self, x: Value, count: int) -> Value:
        s = self.sizes
        apart = ops.reshape(x, shape=(s.batch, x.type.shape[1], count, s.width))
        return self.build(ops.transpose(self.build(apart), perm=(0, 2, 1, 3)))

    def attention(self, x: Value, bias: bool) -> Value:
        s = self.sizes
        q = self.heads(self.linear(x, s.hidden, bias), s.heads)
        k, v = (self.heads(self.linear(x, s.kv_heads * s.width, bias), s.kv_heads) for _ in range(2))
        if s.context > s.rows:
            k, v = (self.cached(new) for new in (k, v))
        mixed = self.build(ops.attention(q, k, v, scale=s.width**-0.5))
        together = ops.reshape(self.build(ops.transpose(mixed, perm=(0, 2, 1, 3))), shape=(s.batch, s.rows, s.hidden))
        return self.linear(self.build(together), s.hidden, bias)

    def cached(self, new: Value) -> Value:
        """The cache of keys or values; it is written in place, so that the new ones are among them."""
        s = self.sizes
        self.written.append(new)
        return self.weight(s.batch, s.kv_heads, s.context, s.width)

    def bert(self, x: Value) -> Value:
        s = self.sizes
        x = self.norm(self.build(ops.add(self.attention(x, bias=True), x)))
        inner = self.build(ops.gelu(self.linear(x, s.inner, bias=True)))
        return self.norm(self.build(ops.add(self.linear(inner, s.hidden, bias=True), x)))

    def norm(self, x: Value) -> Value:
        width = self.sizes.hidden
        return self.build(ops.layer_norm(x, self.weight(width), self.weight(width)))

    def llama(self, x: Value) -> Value:
        s = self.sizes
        x = self.build(ops.add(self.attention(self.rms(x), bias=False), x))
        inner = self.rms(x)
        gate = self.build(ops.silu(self.linear(inner, s.inner, bias=False)))
        gated = self.build(ops.mul(gate, self.linear(inner, s.inner, bias=False)))
        return self.build(ops.add(self.linear(gated, s.hidden, bias=False), x))

    def rms(self, x: Value) -> Value:
        return self.build(ops.rms_norm(x, self.weight(self.sizes.hidden)))


if __name__ == "__main__":
    main()
