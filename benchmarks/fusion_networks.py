"""Networks of the fusion tables, in the IR's own ops, without values of weights; batch norms are folded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ircost.ir import Builder, Function, Module, Value, ops
from ircost.ir.constant import Missing, Splat
from ircost.ir.types import DType, TensorType, boolean
from ircost.passes.kernel_making import make_kernel

# Expansion, channels, blocks, stride of the first, side of the window. Source: Tan, Le, "EfficientNet", ICML 2019,
# table 1; the stem has 32 channels, the head 1,280, and gates a quarter of a block's input channels.
EFFICIENTNET_B0 = (
    *((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3)),
    *((6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)),
)
# Channels and blocks of each stage. Source: Liu et al., "A ConvNet for the 2020s", CVPR 2022, section 3.
CONVNEXT_T = ((96, 3), (192, 3), (384, 9), (768, 3))
CLASSES = 1000


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

    def gpt2(self, x: Value, heads: int, layers: int) -> Value:
        for _ in range(layers):
            x = self.gpt2_layer(x, heads)
        return x

    def gpt2_layer(self, x: Value, heads: int) -> Value:
        hidden = x.type.shape[-1]
        normed = self.norm(x)
        q, k, v = (self.heads_apart(self.linear(normed, hidden), heads) for _ in range(3))
        mixed = self.build(ops.attention(q, k, v, scale=(hidden // heads) ** -0.5))
        x = self.build(ops.add(self.linear(self.heads_together(mixed), hidden), x))
        inner = self.build(ops.gelu(self.linear(self.norm(x), 4 * hidden)))
        return self.build(ops.add(self.linear(inner, hidden), x))

    # ---- convolutions

    def conv(
        self, x: Value, channels: int, side: int, *, stride: int = 1, is_depthwise: bool = False, is_padded: bool = True
    ) -> Value:
        """Convolution and bias."""
        read = 1 if is_depthwise else x.type.shape[1]
        pads = ((side // 2, side // 2),) * 2 if is_padded else ()
        made = self.build(ops.conv(x, self.weight(channels, read, side, side), strides=(stride,) * 2, pads=pads))
        return self.build(ops.add(made, self.weight(channels, 1, 1)))

    def efficientnet(self, x: Value) -> Value:
        x = self.build(ops.silu(self.conv(x, 32, 3, stride=2)))
        for expansion, channels, count, stride, side in EFFICIENTNET_B0:
            for number in range(count):
                x = self.inverted_residual(x, expansion, channels, stride if number == 0 else 1, side)
        x = self.build(ops.silu(self.conv(x, 1280, 1)))
        return self.linear(self.build(ops.reduce_mean(x, axes=(2, 3))), CLASSES)

    def inverted_residual(self, x: Value, expansion: int, channels: int, stride: int, side: int) -> Value:
        """Expand, filter each channel by itself, gate, project; the input is added where shapes allow."""
        read = x.type.shape[1]
        wide = expansion * read
        inner = x if expansion == 1 else self.build(ops.silu(self.conv(x, wide, 1)))
        inner = self.build(ops.silu(self.conv(inner, wide, side, stride=stride, is_depthwise=True)))
        squeezed = self.build(ops.reduce_mean(inner, axes=(2, 3), keepdims=True))
        squeezed = self.build(ops.silu(self.conv(squeezed, max(read // 4, 1), 1)))
        gate = self.build(ops.sigmoid(self.conv(squeezed, wide, 1)))
        made = self.conv(self.build(ops.mul(inner, gate)), channels, 1)
        return self.build(ops.add(made, x)) if made.type == x.type else made

    def convnext(self, x: Value) -> Value:
        for stage, (channels, count) in enumerate(CONVNEXT_T):
            side = 4 if stage == 0 else 2
            x = self.conv(x, channels, side, stride=side, is_padded=False)
            for _ in range(count):
                x = self.convnext_block(x)
        return self.linear(self.norm(self.build(ops.reduce_mean(x, axes=(2, 3)))), CLASSES)

    def convnext_block(self, x: Value) -> Value:
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
