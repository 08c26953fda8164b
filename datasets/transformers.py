"""Transformers as modules, from their sizes; f16, weights declared but not there."""

from __future__ import annotations

from dataclasses import dataclass, field

from ircost.ir import Builder, Function, Module, Value, ops
from ircost.ir.constant import Missing, Splat
from ircost.ir.types import TensorType, boolean, f16


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
        """Of a head."""
        return self.hidden // self.heads


def transformer(sizes: Transformer) -> Module:
    """A stack of blocks: with biases and layer norms like BERT where all heads have keys, gated and RMS-normed else."""
    function = Function("main", [TensorType((sizes.batch, sizes.rows, sizes.hidden), f16)])
    block = Layers(Builder(function.block), sizes)
    value = function.arguments[0]
    for _ in range(sizes.layers):
        value = block.bert(value) if sizes.heads == sizes.kv_heads else block.llama(value)
    block.build.op(ops.return_.create([value, *block.written]))
    return Module([function], "transformer")


@dataclass(slots=True)
class Layers:
    """Appends layers of one size.

    Args:
        weights: how many there are so far. written: new keys and values, which leave the model.
    """

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


# ---- GPT, cut where attention is


def gpt_block(sizes: Transformer) -> Module:
    """One block of GPT but for its attention: norms before what they feed, biases, GELU by tanh.

    Takes x [batch, rows, hidden] and what attention gives [batch, heads, rows, width]; returns the block's result and
    q, k, v, which attention would take.
    Source: Radford et al., "Language Models are Unsupervised Multitask Learners", 2019; Brown et al., 2020.
    """
    heads = TensorType((sizes.batch, sizes.heads, sizes.rows, sizes.width), f16)
    function = Function("main", [TensorType((sizes.batch, sizes.rows, sizes.hidden), f16), heads])
    x, mixed = function.arguments
    layers = Layers(Builder(function.block), sizes)
    normed = layers.norm(x)
    apart = [layers.heads(layers.linear(normed, sizes.hidden, bias=True), sizes.heads) for _ in range(3)]
    together = layers.build(ops.transpose(mixed, perm=(0, 2, 1, 3)))
    together = layers.build(ops.reshape(together, shape=x.type.shape))
    x = layers.build(ops.add(layers.linear(together, sizes.hidden, bias=True), x))
    inner = layers.build(ops.gelu_tanh(layers.linear(layers.norm(x), sizes.inner, bias=True)))
    x = layers.build(ops.add(layers.linear(inner, sizes.hidden, bias=True), x))
    layers.build.op(ops.return_.create([x, *apart]))
    return Module([function], "gpt_block")


def gpt_head(sizes: Transformer, vocabulary: int) -> Module:
    """The last norm, logits of all tokens, and their logarithms of shares, of which the loss picks one a token."""
    function = Function("main", [TensorType((sizes.batch, sizes.rows, sizes.hidden), f16)])
    layers = Layers(Builder(function.block), sizes)
    logits = layers.linear(layers.norm(function.arguments[0]), vocabulary, bias=False)
    layers.build.op(ops.return_.create([layers.build(ops.log_softmax(logits))]))
    return Module([function], "gpt_head")


def eager_attention(sizes: Transformer) -> Module:
    """Causal attention op by op, all scores written and read between: product, scale, mask, softmax, product.

    Takes q, k, v [batch, heads, rows, width] and a mask [1, 1, rows, rows] of what is seen.
    """
    heads = TensorType((sizes.batch, sizes.heads, sizes.rows, sizes.width), f16)
    function = Function("main", [heads, heads, heads, TensorType((1, 1, sizes.rows, sizes.rows), boolean)])
    q, k, v, seen = function.arguments
    build = Builder(function.block)

    def number(value: float) -> Value:
        return build(ops.constant.create((), {"value": Splat(value)}, result_types=(TensorType((), f16),)).result)

    scores = build(ops.contract(q, k, notation="... m d, ... n d -> ... m n"))
    scores = build(ops.mul(scores, number(sizes.width**-0.5)))
    scores = build(ops.where(seen, scores, number(float("-inf"))))
    out = build(ops.contract(build(ops.softmax(scores)), v, notation="... m n, ... n e -> ... m e"))
    build.op(ops.return_.create([out]))
    return Module([function], "eager_attention")


def parameters(module: Module) -> int:
    """Elements of all constants but single numbers."""
    constants = [op.result.type for op in module.walk() if op.name == "constant"]
    return sum(type.elements for type in constants if type.rank)
