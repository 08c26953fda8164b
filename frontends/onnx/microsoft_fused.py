"""Operators of com.microsoft that stand for several of ai.onnx: activations, products and norms with what is near."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ircost.frontends.onnx.contraction import matmul_of, plain_conv, plain_gemm, scaled
from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import f32

MICROSOFT = "com.microsoft"


@lowering("Gelu", "BiasGelu", domain=MICROSOFT)
def gelu(node: Node) -> Value:
    return ops.gelu(with_bias(node, node[0], 1))


@lowering("FastGelu", domain=MICROSOFT)
def fast_gelu(node: Node) -> Value:
    return ops.gelu_tanh(with_bias(node, node[0], 1))


def with_bias(node: Node, x: Value, index: int) -> Value:
    bias = node.get(index)
    return x if bias is None else ops.add(x, bias)


@lowering("QuickGelu", domain=MICROSOFT)
def quick_gelu(node: Node) -> Value:
    """x sigmoid(alpha x)"""
    alpha = node.float("alpha", 1.702)
    x = node[0]
    return ops.quick_gelu(x) if abs(alpha - 1.702) < 1e-6 else ops.mul(x, ops.sigmoid(scaled(node, x, alpha)))


@lowering("FusedMatMul", "TransposeMatMul", domain=MICROSOFT)
def fused_matmul(node: Node) -> Value:
    """alpha * A' * B', where the last two axes may change places."""
    sides = []
    for index, name in enumerate(("transA", "transB")):
        x = node[index]
        rank = x.type.rank
        swap = bool(node.int(name, 0)) and rank > 1
        sides.append(ops.transpose(x, perm=(*range(rank - 2), rank - 1, rank - 2)) if swap else x)
    return scaled(node, matmul_of(*sides), node.float("alpha", 1.0))


FUSED: dict[str, Callable[..., Value]] = {
    **{"": lambda x: x, "Relu": ops.relu, "Tanh": ops.tanh, "Sigmoid": ops.sigmoid},
    "LeakyRelu": lambda x, alpha=0.01: ops.leaky_relu(x, alpha=alpha),
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5: ops.hard_sigmoid(x, alpha=alpha, beta=beta),
    "Clip": lambda x, low, high: ops.minimum(ops.maximum(x, ops.scalar_like(low, x)), ops.scalar_like(high, x)),
}


@lowering("FusedConv", domain=MICROSOFT)
def fused_conv(node: Node) -> Value:
    """activation(conv(X, W) + B + Z)"""
    return activated(node, with_bias(node, plain_conv(node), 3), node.floats("activation_params", ()))


@lowering("FusedGemm", domain=MICROSOFT)
def fused_gemm(node: Node) -> Value:
    """activation(alpha * A' * B' + beta * C); the activation's own numbers are attributes of their own."""
    given = [f"activation_{name}" for name in ("alpha", "beta", "gamma") if f"activation_{name}" in node.attributes]
    return activated(node, plain_gemm(node), [node.float(name, 0.0) for name in given])


def activated(node: Node, x: Value, numbers: Sequence[float]) -> Value:
    name = node.string("activation", "")
    if name not in FUSED:
        raise node.error(f"activation {name} is not known", help=", ".join(filter(None, FUSED)))
    return FUSED[name](x, *numbers)


@lowering("SkipLayerNormalization", domain=MICROSOFT)
def skip_layer_norm(node: Node) -> list[Value]:
    """layer_norm(input + skip + bias), and the sum itself as the fourth output."""
    total = skipped(node, 4)
    scale, shift = node[2], node.get(3)
    shift = shift if shift is not None else ops.splat(0.0, scale.type)
    normed = ops.layer_norm(total, scale, shift, axis=total.type.rank - 1, epsilon=node.float("epsilon", 1e-12))
    return with_sum(node, normed, total)


@lowering("SkipSimplifiedLayerNormalization", domain=MICROSOFT)
def skip_rms_norm(node: Node) -> list[Value]:
    """rms_norm(input + skip + bias), and the sum itself as the fourth output."""
    total = skipped(node, 3)
    normed = ops.rms_norm(total, node[2], axis=total.type.rank - 1, epsilon=node.float("epsilon", 1e-12))
    return with_sum(node, normed, total)


def skipped(node: Node, bias: int) -> Value:
    return with_bias(node, ops.add(node[0], node[1]), bias)


def with_sum(node: Node, normed: Value, total: Value) -> list[Value]:
    """Outputs 1 and 2, which training asks for, are refused where somebody wants them."""
    if any(node.proto.output[1:3]):
        raise node.error("mean and deviation as outputs are not supported", help="export the model for inference")
    return [normed, normed, normed, total][: max(len(node.proto.output), 1)]


@lowering("SimplifiedLayerNormalization")
@lowering("SimplifiedLayerNormalization", domain=MICROSOFT)
def rms_norm(node: Node) -> list[Value]:
    """Statistics in single precision, as `stash_type` says by default."""
    x, scale = node[0], node[1]
    axis = node.int("axis", -1) % x.type.rank
    if any(node.proto.output[1:]):
        raise node.error("the deviation as an output is not supported", help="export the model for inference")
    epsilon = node.float("epsilon", 1e-5)
    if x.type.dtype.bits >= f32.bits:
        return [ops.rms_norm(x, scale, axis=axis, epsilon=epsilon)]
    ones = ops.splat(1.0, scale.type.with_dtype(f32))
    normed = ops.rms_norm(ops.cast(x, to=f32), ones, axis=axis, epsilon=epsilon)
    return [ops.mul(ops.cast(normed, to=scale.type.dtype), scale)]
