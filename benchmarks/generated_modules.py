"""Modules of any size, one for each thing that a pass may take too long over; and what they are made of is seeded.

Every kind has about as many ops as asked for, and runs in the interpreter.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ircost.ir import Builder, Function, Module, Value, ops
from ircost.ir.builder import build_body
from ircost.ir.terminators import yield_
from ircost.ir.types import TensorType, f16, f32

TOKENS, DIM = 8, 16
CHANNELS, SIZE = 8, 6
READERS = 10_000  # of one value
SHAPES = 1_000_000  # extents of `distinct`: more than there are ops
Writer = Callable[["Graph", Value], Value]


class Graph:
    """A `main` that is being written: ops by name, weights, and how many ops there are."""

    def __init__(self, *shape: int, seed: int = 0) -> None:
        self.function = Function("main", [TensorType(shape, f32)])
        self.random = np.random.default_rng(seed)
        self.build = Builder(self.function.block)
        self.count = 0

    @property
    def x(self) -> Value:
        return self.function.arguments[0]

    def __call__(self, name: str, *operands: Value, **attrs: object) -> Value:
        self.count += 1
        return self.build(getattr(ops, name)(*operands, **attrs))

    def weight(self, *shape: int) -> Value:
        """Small normal numbers."""
        self.count += 1
        values = (self.random.standard_normal(shape) / max(shape, default=1)).astype(np.float32)
        return self.build(ops.constant_of(values))

    def number(self, value: float) -> Value:
        self.count += 1
        return self.build(ops.scalar_like(value, self.x))

    def module(self, *results: Value) -> Module:
        self.build.op(ops.return_.create(results))
        return Module([self.function], "generated")


def repeated(graph: Graph, nodes: int, block: Writer) -> Module:
    value = graph.x
    while graph.count < nodes:
        value = block(graph, value)
    return graph.module(value)


# ---- kinds


def transformer(nodes: int) -> Module:
    """Blocks of layer norm, attention and GELU, all written out; every eighth skips back to an earlier value."""
    history: list[Value] = []

    def block(g: Graph, x: Value) -> Value:
        y = layer_norm(g, x)
        query, key, value = (g("matmul", y, g.weight(DIM, DIM)) for _ in range(3))
        scores = g("mul", g("matmul", query, g("transpose", key, perm=(0, 2, 1))), g.number(DIM**-0.5))
        shifted = g("exp", g("sub", scores, g("reduce_max", scores, axes=(-1,), keepdims=True)))
        weights = g("div", shifted, g("reduce_sum", shifted, axes=(-1,), keepdims=True))
        x = g("add", x, g("matmul", g("matmul", weights, value), g.weight(DIM, DIM)))
        up = g("matmul", layer_norm(g, x), g.weight(DIM, 2 * DIM))
        bent = g("add", g("erf", g("mul", up, g.number(2**-0.5))), g.number(1.0))
        gelu = g("mul", g("mul", up, bent), g.number(0.5))
        x = g("add", x, g("matmul", gelu, g.weight(2 * DIM, DIM)))
        history.append(x)
        return g("add", x, history[-8]) if len(history) % 8 == 0 else x

    return repeated(Graph(1, TOKENS, DIM), nodes, block)


def layer_norm(g: Graph, x: Value) -> Value:
    centred = g("sub", x, g("reduce_mean", x, axes=(-1,), keepdims=True))
    variance = g("reduce_mean", g("mul", centred, centred), axes=(-1,), keepdims=True)
    normed = g("div", centred, g("sqrt", g("add", variance, g.number(1e-5))))
    return g("add", g("mul", normed, g.weight(DIM)), g.weight(DIM))


def convolutional(nodes: int) -> Module:
    """Inverted residuals: expand, depthwise, squeeze and excite, project; batch norms; channels last and back."""

    def block(g: Graph, x: Value) -> Value:
        wide = g("relu", normed(g, g("conv", x, g.weight(2 * CHANNELS, CHANNELS, 1, 1)), 2 * CHANNELS))
        deep = g("conv", wide, g.weight(2 * CHANNELS, 1, 3, 3), pads=((1, 1), (1, 1)))
        deep = g("mul", normed(g, deep, 2 * CHANNELS), g.number(0.5))
        gate = g("sigmoid", g("reduce_mean", deep, axes=(2, 3), keepdims=True))
        last = g("transpose", g("mul", deep, gate), perm=(0, 2, 3, 1))
        back = g("transpose", g("relu", last), perm=(0, 3, 1, 2))
        return g("add", x, normed(g, g("conv", back, g.weight(CHANNELS, 2 * CHANNELS, 1, 1)), CHANNELS))

    return repeated(Graph(1, CHANNELS, SIZE, SIZE), nodes, block)


def normed(g: Graph, x: Value, channels: int) -> Value:
    mean, scale, bias = (g.weight(channels) for _ in range(3))
    variance = g.build(ops.constant_of(np.ones(channels, np.float32)))
    return g("batch_norm", x, scale, bias, mean, variance, epsilon=1e-5)


def chain(nodes: int) -> Module:
    """One value after another: reshapes, transposes, casts there and back, things that undo one another."""

    def block(g: Graph, x: Value) -> Value:
        y = g("transpose", g("transpose", x, perm=(1, 0)), perm=(1, 0))
        y = g("neg", g("neg", g("reshape", g("reshape", y, shape=(DIM, TOKENS)), shape=(TOKENS, DIM))))
        y = g("cast", g("cast", g("tanh", y), to=f16), to=f32)
        return g("mul", g("relu", g("relu", y)), g.number(1.0))

    return repeated(Graph(TOKENS, DIM), nodes, block)


def fan_out(nodes: int) -> Module:
    """One value that READERS ops read, all of them gathered by one concatenation; again and again."""

    def block(g: Graph, x: Value) -> Value:
        shared = g("tanh", g("add", x, x))
        parts = []
        while len(parts) < READERS and g.count < nodes:
            number = g.number(1.0 + len(parts) % 50)
            part = g("mul", shared, number) if len(parts) % 2 else g("sigmoid", g("transpose", shared, perm=(0, 1)))
            parts.append(g("reshape", g("relu", part), shape=(1, TOKENS * DIM)))
        joined = g("concat", *parts, axis=0)
        return g("reshape", g("reduce_max", joined, axes=(0,), keepdims=False), shape=(TOKENS, DIM))

    return repeated(Graph(TOKENS, DIM), nodes, block)


def alike(nodes: int) -> Module:
    """One op written again and again, all copies of it in one concatenation."""
    g = Graph(TOKENS, DIM)
    parts = []
    while g.count < nodes:
        parts.append(g("tanh", g.x))
    return g.module(g("concat", *parts, axis=0))


def gathered(nodes: int) -> Module:
    """One concatenation of all there is, each part of which is rewritten."""
    g = Graph(TOKENS, DIM)
    parts = []
    while g.count < nodes:
        parts.append(g("neg", g("neg", g("tanh", g("mul", g.x, g.number(1.0 + len(parts) % 50))))))
    return g.module(g("concat", *parts, axis=0))


def backward(nodes: int) -> Module:
    """Values that are read again in reverse order, as by a backward pass: half of them are in use at once."""
    g = Graph(TOKENS, DIM)
    values = [g.x]
    while g.count < nodes // 2:
        values.append(g("tanh", values[-1]))
    gradient = values[-1]
    for value in reversed(values):
        gradient = g("mul", gradient, value)
    return g.module(gradient)


def products(nodes: int) -> Module:
    """One value that READERS products with weights of their own read, summed up."""

    def block(g: Graph, x: Value) -> Value:
        shared, total = g("tanh", x), x
        start = g.count
        while g.count < min(nodes, start + 3 * READERS):
            total = g("add", total, g("matmul", shared, g.weight(DIM, DIM)))
        return total

    return repeated(Graph(TOKENS, DIM), nodes, block)


def elementwise(nodes: int) -> Module:
    """Deep and wide: each op reads two of the last 32 values."""
    g = Graph(TOKENS, DIM)
    values = [g.x, g.weight(TOKENS, DIM)]
    while g.count < nodes:
        near = values[-32:]
        x, y = (near[int(i)] for i in g.random.integers(0, len(near), 2))
        name = ("add", "sub", "mul", "maximum", "tanh", "sigmoid")[int(g.random.integers(0, 6))]
        values.append(g("tanh", g(name, x, y)) if len(name) == 3 or name == "maximum" else g(name, x))
    return g.module(*values[-4:])


def distinct(nodes: int) -> Module:
    """No two ops of one shape, so that nothing is remembered from one to the next."""
    g = Graph(1)
    results = []
    for extent in np.random.default_rng(0).permutation(SHAPES)[: nodes // 4].tolist():
        wide = g("broadcast", g.x, shape=(extent + 1,))
        results.append(g("reduce_max", g("tanh", g("add", wide, wide)), axes=(0,), keepdims=True))
    return g.module(*results)


def nested(nodes: int) -> Module:
    """Branches and kernels: bodies of a few ops each."""

    def block(g: Graph, x: Value) -> Value:
        condition = g("less", g("reduce_sum", x, axes=(0, 1), keepdims=False), g.number(0.0))
        then = build_body([], lambda: ops.neg(ops.neg(ops.tanh(x))), yield_)
        otherwise = build_body([], lambda: ops.add(ops.tanh(x), x), yield_)
        chosen = g.build(ops.if_.create([condition], regions=[then, otherwise]).result)
        body = build_body([x.type], lambda a: ops.tanh(ops.mul(a, a)), yield_)
        g.count += 10
        return g.build(ops.kernel.create([chosen], regions=[body]).result)

    return repeated(Graph(TOKENS, DIM), nodes, block)


KINDS: dict[str, Callable[[int], Module]] = {
    kind.__name__: kind
    for kind in (
        *(transformer, convolutional, chain, fan_out, gathered, backward),
        *(products, elementwise, distinct, nested, alike),
    )
}
