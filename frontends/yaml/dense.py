"""Layers that multiply by matrices: linear, MLP, attention; and tables that are read by row."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from ircost.frontends.yaml.fields import Extent, Flag, Real, described
from ircost.frontends.yaml.layer import Layer, layer, need_rank
from ircost.ir import ops
from ircost.ir.errors import DTypeError, ShapeError
from ircost.ir.graph import Value
from ircost.ir.types import f32

if TYPE_CHECKING:
    from ircost.frontends.yaml.body import Body

Activation = Literal["relu", "gelu", "gelu_tanh", "quick_gelu", "silu", "sigmoid", "tanh", "hard_swish", "elu"]


def project(body: Body, x: Value, out: int, bias: bool, name: str = "") -> Value:
    """x [.., k] times a weight [k, out]."""
    need_rank(x, 2, "[batch, ..., width]")
    y = ops.matmul(x, body.weight((x.type.shape[-1], out), x, f"{name}weight"))
    return ops.add(y, body.weight((out,), x, f"{name}bias")) if bias else y


@layer("linear")
class Linear(Layer):
    """Matrix product with a weight, along the last axis. Shapes: [.., k] to [.., out]."""

    out: Extent = described(..., "width of the result")
    bias: Flag = described(True, "add a number per element of the result's last axis")

    def build(self, body: Body, *operands: Value) -> Value:
        return project(body, operands[0], self.out, self.bias)


@layer("mlp")
class Mlp(Layer):
    """Linear, activation, linear; gated: activation(gate) * up in the middle. Shapes: [.., k] to [.., out]."""

    hidden: Extent = described(..., "width in the middle")
    activation: Activation = described("gelu", "in the middle; silu with gated is SwiGLU")
    gated: Flag = described(False, "two products at first, the activation of one gates the other")
    bias: Flag = described(True, "in all products")
    out: Extent | None = described(None, "width of the result; that of the input where left out")

    def build(self, body: Body, *operands: Value) -> Value:
        (x,) = operands
        up = project(body, x, self.hidden, self.bias, "up_")
        if not self.gated:
            middle = activated(self.activation, up)
        else:
            gate = project(body, x, self.hidden, self.bias, "gate_")
            middle = (
                ops.swiglu(gate, up) if self.activation == "silu" else ops.mul(activated(self.activation, gate), up)
            )
        return project(body, middle, self.out or x.type.shape[-1], self.bias, "down_")


def activated(name: str, x: Value) -> Value:
    made: Value = getattr(ops, name)(x)
    return made


@layer("embedding")
class Embedding(Layer):
    """Rows of a table, picked by whole numbers. Shapes: [..] to [.., width]."""

    count: Extent = described(..., "rows of the table: words of the vocabulary")
    width: Extent = described(..., "of each row")

    def build(self, body: Body, *operands: Value) -> Value:
        (indices,) = operands
        if not indices.type.dtype.is_integer:
            raise DTypeError(f"its input is {indices.type}, whole numbers expected", help="dtype: i64 for that input")
        return ops.gather(body.weight((self.count, self.width), body.dtype, "table"), indices, axis=0)


@layer("position_embedding")
class PositionEmbedding(Layer):
    """Adds a learned row for each position. Shapes: [n, positions, width], as the input."""

    count: Extent | None = described(None, "rows of the table; the input's positions where left out")

    def build(self, body: Body, *operands: Value) -> Value:
        (x,) = operands
        need_rank(x, 2, "[..., positions, width]")
        used, width = x.type.shape[-2:]
        if self.count is not None and self.count < used:
            raise ShapeError(f"{used} positions, the table has {self.count}")
        table = body.weight((self.count or used, width), x, "table")
        return ops.add(x, ops.slice(table, starts=(0, 0), size=(used, width)))


@layer("attention")
class Attention(Layer):
    """Attention with its four projections. Shapes: [n, m, width], as the first input.

    With a second input [n, k, any] keys and values are of that: cross attention.
    """

    operand_counts: ClassVar[tuple[int, int]] = (1, 2)

    heads: Extent = described(..., "of the queries")
    kv_heads: Extent | None = described(None, "of keys and values: grouped-query attention; as many where left out")
    head_width: Extent | None = described(None, "width / heads where left out")
    causal: Flag = described(False, "each position sees itself and those before")
    rotary: Flag = described(False, "turn queries and keys by their positions")
    rotary_base: Real = described(10000.0, "base of the frequencies")
    bias: Flag = described(False, "in all projections")

    def build(self, body: Body, *operands: Value) -> Value:
        x, memory = operands[0], operands[-1]
        if x.type.rank != 3 or memory.type.rank != 3:
            raise ShapeError(f"its inputs are {x.type} and {memory.type}, [batch, positions, width] expected")
        width = self.width_of_heads(x)
        groups = self.kv_heads or self.heads
        q = self.heads_of(body, x, self.heads, width, "q_")
        k = self.heads_of(body, memory, groups, width, "k_")
        v = self.heads_of(body, memory, groups, width, "v_")
        if self.rotary:
            q, k = (ops.rotary_embedding(t, *rotations(t, self.rotary_base)) for t in (q, k))
        mask = [causal_mask(q, k)] if self.causal else []
        y = ops.attention(q, k, v, *mask, scale=1 / math.sqrt(width))
        n, m, _ = x.type.shape
        joined = ops.reshape(ops.transpose(y, perm=(0, 2, 1, 3)), shape=(n, m, self.heads * width))
        return project(body, joined, x.type.shape[-1], self.bias, "out_")

    def width_of_heads(self, x: Value) -> int:
        if self.head_width is None and x.type.shape[-1] % self.heads:
            raise ShapeError(
                f"width {x.type.shape[-1]} does not divide into {self.heads} heads", help="head_width: ..."
            )
        if self.kv_heads and self.heads % self.kv_heads:
            raise ShapeError(f"{self.heads} heads do not divide into groups of {self.kv_heads} kv_heads")
        width = self.head_width or x.type.shape[-1] // self.heads
        if self.rotary and width % 2:
            raise ShapeError(f"heads are {width} wide, an even number expected for rotary")
        return width

    def heads_of(self, body: Body, x: Value, heads: int, width: int, name: str) -> Value:
        """[n, heads, positions, width of a head]."""
        n, m, _ = x.type.shape
        projected = project(body, x, heads * width, self.bias, name)
        return ops.transpose(ops.reshape(projected, shape=(n, m, heads, width)), perm=(0, 2, 1, 3))


def rotations(x: Value, base: float) -> tuple[Value, Value]:
    """Cosine and sine [m, d] of each position times each frequency; computed when the model is loaded."""
    *_, m, d = x.type.shape
    frequencies = np.tile(base ** (-np.arange(0, d, 2) / d), 2).astype(np.float32)
    turns = ops.mul(ramp((m, 1), 0), ops.constant_of(frequencies))
    cosine, sine = ops.cos(turns), ops.sin(turns)
    if x.type.dtype == f32:
        return cosine, sine
    return ops.cast(cosine, to=x.type.dtype), ops.cast(sine, to=x.type.dtype)


def causal_mask(q: Value, k: Value) -> Value:
    """[m, n]: 0 up to each query's own position, counted from the end of the keys, minus infinity behind it."""
    m, n = q.type.shape[2], k.type.shape[2]
    rows = ops.add(ramp((m, 1), 0), ops.constant_of(np.array(n - m, np.float32)))
    zero, hidden = ops.scalar_like(0.0, q), ops.scalar_like(-math.inf, q)
    return ops.where(ops.greater_equal(rows, ramp((1, n), 1)), zero, hidden)


def ramp(shape: tuple[int, ...], axis: int) -> Value:
    """0, 1, 2 ... along an axis."""
    return ops.cast(ops.ramp(shape, axis), to=f32)
